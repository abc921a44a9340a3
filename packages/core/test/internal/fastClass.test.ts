import { assert, describe, it } from "@effect/vitest"
import {
  Arbitrary,
  Cause,
  Chunk,
  Effect,
  Either,
  Equal,
  Exit,
  FastCheck as fc,
  Hash,
  Inspectable,
  Option,
  ParseResult,
  Pretty,
  PrimaryKey,
  Redacted,
  Schema
} from "effect"
import { inspect } from "node:util"
import { fastClass } from "../../src/internal/fastClass.ts"

const same = <C>(klass: C): C => klass

const runs = (numRuns: number) => ({ fastCheck: { numRuns } })

// -------------------------------------------------------------------------------------------------
// classes
// -------------------------------------------------------------------------------------------------

type Kind = "Class" | "TaggedClass" | "TaggedRequest"
type Wrap = <C>(klass: C) => C
type AnyClass = new(...args: ReadonlyArray<any>) => any

const make = (kind: Kind, fields: any, annotations?: any): any => {
  switch (kind) {
    case "Class":
      return (Schema.Class<any>("X") as any)(fields, annotations)
    case "TaggedClass":
      return (Schema.TaggedClass<any>("X") as any)("Tag", fields, annotations)
    case "TaggedRequest":
      return (Schema.TaggedRequest<any>("X") as any)(
        "Tag",
        { payload: fields, success: Schema.Number, failure: Schema.String },
        annotations
      )
  }
}

/** Two classes of equal definition; the second one by `fastClass`. */
const both = (kind: Kind, fields: any, annotations?: any): [any, any] => {
  const define = (wrap: Wrap) => class X extends wrap(make(kind, fields, annotations)) {}
  return [define(same), define(fastClass)]
}

class Point extends Schema.Class<Point>("Point")({ x: Schema.Number, y: Schema.optional(Schema.Number) }) {}
class Tagged extends Schema.TaggedClass<Tagged>()("Tagged", { a: Schema.String }) {}
class Quick extends fastClass(Schema.TaggedClass<Quick>()("Quick", { a: Schema.String })) {}

interface List {
  readonly head: unknown
  readonly tail: List | null
}
const List: Schema.Schema<List> = Schema.Struct({
  head: Schema.Unknown,
  tail: Schema.NullOr(Schema.suspend(() => List))
})

enum Fruit {
  Apple,
  Pear = "pear"
}
const unique = Symbol.for("fastClass.test/unique")
const Inner = Schema.Struct({ a: Schema.String, b: Schema.optional(Schema.Number) })
const Async = Schema.declare([], {
  decode: () => (u) => Effect.delay(Effect.succeed(u), 1),
  encode: () => ParseResult.succeed
})
const Effectful = Schema.declare([], {
  decode: () => (u, _, ast) =>
    Effect.suspend(() => typeof u === "string" ? Effect.succeed(u) : Effect.fail(new ParseResult.Type(ast, u))),
  encode: () => ParseResult.succeed
})
const Even = Schema.Number.pipe(Schema.filter((n) => n % 2 === 0 ? undefined : `${n} is odd`))
const Throwing = Schema.String.pipe(Schema.filter((s) => {
  if (s === "boom") {
    throw new Error("boom")
  }
  return true
}))
const Sorted = Schema.Struct({ from: Schema.Number, to: Schema.Number }).pipe(
  Schema.filter(({ from, to }) => from <= to ? undefined : { path: ["to"], message: "before from" })
)
const fallback = <A>(value: A) => ({ decodingFallback: () => Either.right(value) })

/** Each with values of which most are valid. */
const family: Record<string, [any, ReadonlyArray<unknown>?]> = {
  string: [Schema.String],
  number: [Schema.Number],
  boolean: [Schema.Boolean],
  bigint: [Schema.BigIntFromSelf],
  symbol: [Schema.SymbolFromSelf],
  uniqueSymbol: [Schema.UniqueSymbolFromSelf(unique), [unique]],
  object: [Schema.Object],
  undefined: [Schema.Undefined],
  null: [Schema.Null],
  void: [Schema.Void],
  never: [Schema.Never, [1]],
  unknown: [Schema.Unknown],
  any: [Schema.Any],
  literal: [Schema.Literal("a", 1, null, true)],
  enums: [Schema.Enums(Fruit)],
  templateLiteral: [Schema.TemplateLiteral("a", Schema.Number)],
  nonEmpty: [Schema.NonEmptyString],
  uuid: [Schema.UUID],
  int: [Schema.Int],
  between: [Schema.Number.pipe(Schema.between(-5, 5))],
  brand: [Schema.NonEmptyString.pipe(Schema.brand("Name"))],
  twoBrands: [Schema.Int.pipe(Schema.brand("A"), Schema.positive(), Schema.brand("B"))],
  pattern: [Schema.String.pipe(Schema.pattern(/^a+$/g)), ["a", "aa", "b"]],
  message: [Schema.String.annotations({ message: () => "a string, please" })],
  title: [Schema.Int.annotations({ title: "T", parseIssueTitle: () => "issue" })],
  even: [Even, [0, 2, 3]],
  throwing: [Throwing, ["a", "boom"]],
  optional: [Schema.optional(Schema.String)],
  exact: [Schema.optionalWith(Schema.String, { exact: true })],
  optionalInner: [Schema.optional(Inner)],
  optionalDefault: [Schema.optionalWith(Schema.Number, { default: () => 7 })],
  optionalInvalidDefault: [Schema.optionalWith(Schema.Int, { default: () => 0.5 })],
  optionalNullable: [Schema.optionalWith(Inner, { nullable: true, default: () => ({ a: "d" }) })],
  optionalAsOption: [Schema.optionalWith(Schema.Number, { as: "Option" })],
  constructorDefault: [Schema.propertySignature(Schema.Array(Inner)).pipe(Schema.withConstructorDefault(() => []))],
  invalidDefault: [Schema.propertySignature(Even).pipe(Schema.withConstructorDefault(() => 1)), [2]],
  excessDefault: [
    Schema.propertySignature(Inner).pipe(
      Schema.withConstructorDefault(() => ({ a: "d", excess: 1 }) as any)
    )
  ],
  undefinedDefault: [
    Schema.propertySignature(Schema.UndefinedOr(Schema.String)).pipe(
      Schema.withConstructorDefault(() => undefined)
    )
  ],
  throwingDefault: [
    Schema.propertySignature(Schema.String).pipe(Schema.withConstructorDefault((): string => {
      throw new Error("no default")
    }))
  ],
  optionalConstructorDefault: [Schema.optional(Schema.Number).pipe(Schema.withConstructorDefault(() => 3))],
  fromKey: [Schema.propertySignature(Schema.String).pipe(Schema.fromKey("other"))],
  fromKeyDefault: [
    Schema.propertySignature(Schema.String).pipe(
      Schema.fromKey("another"),
      Schema.withConstructorDefault(() => "d")
    )
  ],
  missingMessage: [Schema.propertySignature(Schema.String).annotations({ missingMessage: () => "where is it" })],
  nullOr: [Schema.NullOr(Schema.Number)],
  undefinedOr: [Schema.UndefinedOr(Schema.Number)],
  nullishOr: [Schema.NullishOr(Schema.NonEmptyString)],
  union: [Schema.Union(Schema.Int, Schema.NonEmptyString, Schema.Literal("", false))],
  unionOfUnions: [Schema.Union(Schema.NullOr(Schema.Int), Schema.UndefinedOr(Schema.Boolean))],
  nullOrInner: [Schema.NullOr(Inner)],
  structs: [Schema.Union(Inner, Schema.Struct({ b: Schema.Number, c: Schema.String }))],
  taggedStructs: [Schema.Union(
    Schema.Struct({ a: Schema.String }),
    Schema.TaggedStruct("A", { a: Schema.String }),
    Schema.TaggedStruct("B", { b: Schema.Number })
  )],
  classes: [Schema.Union(Tagged, Point, Schema.Null)],
  unknownFirst: [Schema.Union(Schema.Unknown, Schema.TaggedStruct("A", {}))],
  inner: [Inner],
  empty: [Schema.Struct({})],
  allOptional: [Schema.Struct({ a: Schema.optional(Schema.String), length: Schema.optional(Schema.Number) })],
  deep: [Schema.Struct({ inner: Inner, at: Schema.Date, list: Schema.Array(Schema.Struct({ point: Point })) })],
  defaultsInside: [Schema.Struct({
    a: Schema.propertySignature(Schema.Int).pipe(
      Schema.withConstructorDefault(() => 1)
    )
  })],
  unusualInside: [
    Schema.Struct({ toString: Schema.Unknown, ["__proto__"]: Schema.Unknown, [unique]: Schema.Int, 1: Schema.Int }),
    [{ [unique]: 1, 1: 1 }, { toString: 1, [unique]: 1, 1: 2, ["__proto__"]: 5 }]
  ],
  index: [Schema.Struct({ a: Schema.String }, { key: Schema.String, value: Schema.String })],
  sorted: [Sorted],
  point: [Point],
  tagged: [Tagged],
  quick: [Quick],
  nullOrPoint: [Schema.NullOr(Point)],
  array: [Schema.Array(Schema.String)],
  arrayOfInner: [Schema.Array(Inner)],
  minItems: [Schema.Array(Schema.Number).pipe(Schema.minItems(1), Schema.maxItems(3))],
  nonEmptyArray: [Schema.NonEmptyArray(Schema.Int)],
  tuple: [Schema.Tuple(Schema.String, Schema.optionalElement(Schema.Number))],
  rest: [Schema.Tuple([Schema.String], Schema.Number, Schema.Boolean)],
  trailing: [Schema.Tuple([], Schema.Number, Schema.Boolean)],
  mutable: [Schema.mutable(Schema.Array(Schema.Number))],
  record: [Schema.Record({ key: Schema.String, value: Schema.Number })],
  map: [Schema.Map({ key: Schema.String, value: Schema.Number })],
  date: [Schema.Date],
  dateFromSelf: [Schema.DateFromSelf],
  numberFromString: [Schema.NumberFromString],
  trimmed: [Schema.Trim],
  option: [Schema.Option(Inner)],
  redacted: [Schema.Redacted(Schema.String), [Redacted.make("s"), Redacted.make(1)]],
  chunk: [Schema.Chunk(Schema.Int)],
  data: [Schema.Data(Inner)],
  duration: [Schema.Duration],
  async: [Async, ["a"]],
  effectful: [Effectful, ["a", 1]],
  filterEffect: [Schema.filterEffect(Schema.String, () => Effect.succeed(false)), ["a"]],
  stringOptions: [Schema.String.annotations({ parseOptions: { errors: "all" } })],
  noExcess: [Inner.annotations({ parseOptions: { onExcessProperty: "error" } })],
  keepExcess: [Inner.annotations({ parseOptions: { onExcessProperty: "preserve", propertyOrder: "original" } })],
  keepExcessInside: [Schema.Array(Schema.Struct({
    inner: Inner.annotations({ parseOptions: { onExcessProperty: "preserve" } })
  }))],
  allErrors: [Schema.Struct({ a: Schema.Int, inner: Inner }).annotations({ parseOptions: { errors: "all" } })],
  exactInside: [Schema.Struct({ a: Schema.Unknown }).annotations({ parseOptions: { exact: true } })],
  fallback: [Schema.String.annotations(fallback("fallback"))],
  fallbackInside: [Schema.Struct({ a: Schema.Array(Schema.Int.annotations(fallback(0))) })],
  fallbackInUnion: [Schema.NullOr(Schema.Int.annotations(fallback(0)))],
  fallbackInRefinement: [Schema.Number.annotations(fallback(1)).pipe(Schema.filter((n) => n > 0))],
  fallbackOfStruct: [Inner.annotations(fallback({ a: "fallback" }))],
  fallbackOfArray: [Schema.Array(Schema.Int).annotations(fallback([1]))],
  fallbackEffect: [Schema.Int.annotations({ decodingFallback: () => Effect.sync(() => 5) })],
  suspended: [Schema.suspend(() => Inner)],
  suspendedFilter: [Schema.suspend(() => Schema.Number).pipe(Schema.filter((n) => n > 0)), [1, 0]],
  list: [List, [
    { head: 1, tail: null },
    { head: 1, tail: { head: 2, tail: { head: 3, tail: null, excess: 1 } } },
    { head: 1, tail: { head: 2, tail: 3 } }
  ]],
  lists: [Schema.Array(Schema.suspend(() => List)), [[{ head: 1, tail: { head: 2, tail: null } }]]]
}

// -------------------------------------------------------------------------------------------------
// inputs
// -------------------------------------------------------------------------------------------------

const fixed = <A>(...values: ReadonlyArray<A>) => fc.constantFrom(...values)

/** Made anew each time: an instance keeps its hash. */
const strangers: ReadonlyArray<() => unknown> = [
  ...[undefined, null, NaN, -0, 0, 1, 2, "", "a", "aa", "boom", "pear", "a1", true, 1n, unique, () => 1].map(
    (value) => () => value
  ),
  () => "7f2c1c3e-6a0b-4a57-9d5e-2f1f3d3b0c11",
  () => [],
  () => [1, true],
  () => [undefined, "a", { a: "x", excess: 1 }],
  () => Object.assign(new Array(3), { 1: 1, extra: 1 }),
  () => ({}),
  () => ({ a: "x", b: undefined, excess: 1 }),
  () => ({ excess: 1, b: 1, a: "x" }),
  () => ({ b: 1, c: "x" }),
  () => ({ _tag: "A", a: "x", excess: 1 }),
  () => ({ _tag: "C", a: "x" }),
  () => ({ from: 2, to: 1 }),
  () => ({ x: 1 }),
  () => Object.create({ a: "x" }),
  () => Object.create(Point.prototype),
  () => Object.assign(Object.create(Tagged.prototype), { _tag: "other", a: "x" }),
  () => Object.defineProperty({}, "a", { get: () => "x", enumerable: false }),
  () => ({
    get a() {
      return "x"
    }
  }),
  () => new Proxy({ a: "x", b: 1 }, {}),
  () => new Point({ x: 1 }),
  () => new Tagged({ a: "x" }),
  () => new Quick({ a: "x" }),
  () => new Date(0),
  () => new Date(NaN),
  () => Option.some({ a: "x" }),
  () => Chunk.make(1, 2),
  () => new Map([["a", 1]])
]

const strange = fc.oneof({ weight: 3, arbitrary: fixed(...strangers).map((f) => f()) }, fc.anything())

const valuesOf = (name: string): fc.Arbitrary<unknown> => {
  const [field, values] = family[name]
  if (values !== undefined) {
    return fixed(...values)
  }
  const struct = Schema.typeSchema(Schema.Struct({ field }))
  return Arbitrary.make(struct as any).map((s: any) => s.field)
}

const usual = ["a", "b", "c", "d", "e", "f"]
const unusual: ReadonlyArray<PropertyKey> = [
  "constructor",
  "toString",
  "hasOwnProperty",
  "__proto__",
  "1",
  "0",
  "10",
  "",
  "length",
  "message",
  "make",
  unique,
  Symbol.for("fastClass.test/other")
]

interface Cell {
  readonly field: string
  readonly name: PropertyKey
  /** No value: the property is missing. */
  readonly value: Option.Option<unknown>
}

const valueArbitraries = new Map<string, fc.Arbitrary<unknown>>()
const valueArbitrary = (field: string) => {
  const memo = valueArbitraries.get(field) ?? valuesOf(field)
  valueArbitraries.set(field, memo)
  return memo
}

const cells = (names: ReadonlyArray<PropertyKey>): fc.Arbitrary<ReadonlyArray<Cell>> =>
  fc.tuple(
    fc.shuffledSubarray([...names], { maxLength: 6 }),
    fc.array(fixed(...Object.keys(family)), { minLength: 6, maxLength: 6 })
  ).chain(([names, fields]) =>
    fc.tuple(...names.map((name, i): fc.Arbitrary<Cell> =>
      fc.oneof(
        { weight: 16, arbitrary: valueArbitrary(fields[i]).map(Option.some) },
        { weight: 1, arbitrary: strange.map(Option.some) },
        { weight: 1, arbitrary: fc.constant(Option.some(undefined)) },
        { weight: 1, arbitrary: fc.constant(Option.none()) }
      ).map((value) => ({ field: fields[i], name, value }))
    ))
  )

type Entries = ReadonlyArray<readonly [PropertyKey, unknown]>

/** The properties as they are, not as the setter of `__proto__` would have them. */
const fill = (
  target: object,
  entries: Entries,
  describe = (descriptor: PropertyDescriptor, _index: number): PropertyDescriptor => descriptor
): object => {
  entries.forEach(([name, value], i) =>
    Object.defineProperty(target, name, {
      configurable: true,
      ...describe({ enumerable: true, value, writable: true }, i)
    })
  )
  return target
}

const fieldsOf = (row: ReadonlyArray<Cell>): object => fill({}, row.map(({ field, name }) => [name, family[field][0]]))

const excess = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Array<[PropertyKey, unknown]>>([]) },
  {
    weight: 1,
    arbitrary: fc.array(
      fc.tuple(fixed<PropertyKey>("_tag", "excess", "5", "toString", "__proto__", Symbol.iterator), strange),
      { maxLength: 3 }
    )
  }
)

/** In how many ways an object may hold its properties. */
const forms: Record<string, (entries: Entries) => unknown> = {
  plain: (entries) => fill({}, entries),
  reversed: (entries) => fill({}, [...entries].reverse()),
  nullPrototype: (entries) => fill(Object.create(null), entries),
  inherited: (entries) =>
    fill(Object.create(fill({}, entries.filter((_, i) => i % 2 === 0))), entries.filter((_, i) => i % 2 === 1)),
  getters: (entries) => fill({}, entries, ({ value }) => ({ enumerable: true, get: () => value })),
  hidden: (entries) => fill({}, entries, ({ value }, i) => ({ enumerable: i % 2 === 0, value })),
  frozen: (entries) => Object.freeze(fill({}, entries)),
  proxy: (entries) => new Proxy(fill({}, entries), {}),
  array: (entries) => entries.map(([, value]) => value),
  instance: (entries) => fill(new Point({ x: 1 }), entries),
  error: (entries) => fill(new Error("message"), entries),
  undefined: () => undefined,
  null: () => null,
  string: () => "ab"
}

const form = fc.oneof(
  { weight: 8, arbitrary: fc.constant("plain") },
  { weight: 4, arbitrary: fixed(...Object.keys(forms)) }
)

const options = fc.oneof(
  { weight: 3, arbitrary: fc.constant<unknown>(undefined) },
  {
    weight: 1,
    arbitrary: fixed<unknown>(
      true,
      false,
      null,
      0,
      1,
      "yes",
      {},
      { disableValidation: true },
      { disableValidation: false },
      { disableValidation: undefined },
      { disableValidation: 1 }
    )
  }
)

const inputOf = (row: ReadonlyArray<Cell>, more: Entries, form: string) => {
  const given = row.flatMap(({ name, value }) => Option.isSome(value) ? [[name, value.value] as const] : [])
  const [before, after] = [more.slice(0, 1), more.slice(1)]
  return forms[form]([...before, ...given, ...after])
}

// -------------------------------------------------------------------------------------------------
// observations
// -------------------------------------------------------------------------------------------------

const attempt = <A>(f: () => A): Either.Either<A, unknown> => Either.try({ try: f, catch: (error) => error })

const failure = (error: unknown) =>
  ParseResult.isParseError(error)
    ? {
      message: error.message,
      issues: ParseResult.ArrayFormatter.formatErrorSync(error),
      actual: "actual" in error.issue ? error.issue.actual : undefined,
      tag: error.issue._tag
    }
    : { error: String(error) }

/** All that can be seen of an outcome, save the identity of the class. */
const seen = (f: () => any): unknown =>
  Either.match(attempt(f), {
    onLeft: failure,
    onRight: (value) =>
      typeof value !== "object" || value === null ? { value } : {
        own: Reflect.ownKeys(value).map((name) => [name, Object.getOwnPropertyDescriptor(value, name)]),
        string: Either.mapLeft(attempt(() => String(value)), String),
        json: Either.mapLeft(attempt(() => JSON.stringify(value)), String),
        formatted: Either.mapLeft(attempt(() => Inspectable.format(value)), String),
        inspected: Either.mapLeft(attempt(() => inspect(value)), String),
        frozen: Object.isFrozen(value)
      }
  })

/** Which of the values are the very ones that were given. */
const kept = (f: () => any, input: any): unknown =>
  Either.match(attempt(f), {
    onLeft: () => undefined,
    onRight: (value) => Reflect.ownKeys(value).map((name) => Object.is(value[name], Object(input)[name]))
  })

const kinds: ReadonlyArray<Kind> = ["Class", "TaggedClass", "TaggedRequest"]

const assertAlike = (
  kind: Kind,
  row: ReadonlyArray<Cell>,
  more: Entries,
  form: string,
  options: unknown,
  annotations?: unknown
) => {
  const fields = fieldsOf(row)
  const defined = attempt(() => both(kind, fields, annotations))
  if (Either.isLeft(defined)) {
    return undefined
  }
  const [Original, Fast] = defined.right
  const input = inputOf(row, more, form)
  const original = () => new Original(input, options)
  const fast = () => new Fast(input, options)
  assert.deepStrictEqual(seen(fast), seen(original))
  assert.deepStrictEqual(kept(fast, input), kept(original, input))
  assert.deepStrictEqual(seen(() => Fast.make(input, options)), seen(() => Original.make(input, options)))
  return [original, fast, Fast] as const
}

describe("fastClass constructs what Schema constructs", () => {
  const inputsOf = (field: string) => [
    {},
    ...[
      ...fc.sample(valueArbitrary(field), { numRuns: 10, seed: 7 }),
      ...strangers.map((f) => f()),
      ...fc.sample(fc.anything(), { numRuns: 15, seed: 7 })
    ].map((a) => ({ a }))
  ]

  it("from each field alone, by each kind, from each strange value", () => {
    for (const kind of kinds) {
      for (const field of Object.keys(family)) {
        const [Original, Fast] = both(kind, { a: family[field][0] })
        for (const input of inputsOf(field)) {
          assert.deepStrictEqual(seen(() => new Fast(input)), seen(() => new Original(input)), `${kind} ${field}`)
          assert.deepStrictEqual(kept(() => new Fast(input), input), kept(() => new Original(input), input))
        }
      }
    }
  }, 120_000)

  it("without the help of the original: what is accepted has been checked once", () => {
    for (const kind of kinds) {
      for (const field of Object.keys(family)) {
        let checks = 0
        const probe = Schema.String.pipe(Schema.filter(() => {
          checks++
          return true
        }))
        const klass: any = fastClass(make(kind, { probe, a: family[field][0] }))
        for (const input of inputsOf(field)) {
          checks = 0
          const outcome = attempt(() => new klass({ _tag: "another", probe: "", ...input }))
          assert.isTrue(Either.isLeft(outcome) || checks === 1, `${kind} ${field}`)
        }
      }
    }
  })

  it.prop(
    "the same own properties in the same order, or the same whole error",
    [fixed(...kinds), cells(usual), excess, form, options],
    ([kind, row, more, form, options]) => void assertAlike(kind, row, more, form, options),
    { ...runs(2000), timeout: 120_000 }
  )

  it.prop(
    "with fields of unusual names too: of integers, symbols, members of Object.prototype",
    [fixed(...kinds), cells([...usual.slice(0, 2), ...unusual]), excess, form, options],
    ([kind, row, more, form, options]) => void assertAlike(kind, row, more, form, options),
    { ...runs(1000), timeout: 120_000 }
  )

  it.prop(
    "with annotations of the class",
    [
      fixed(...kinds),
      cells(usual),
      excess,
      fixed<any>(
        { title: "T" },
        { identifier: "I", description: "D" },
        { message: () => "message" },
        { parseIssueTitle: ({ actual }: any) => Object.keys(actual).sort().join() },
        { parseOptions: { errors: "all" } },
        { parseOptions: { onExcessProperty: "error" } },
        { parseOptions: { onExcessProperty: "preserve" } },
        { parseOptions: { exact: true } },
        { parseOptions: { propertyOrder: "original" } },
        fallback({ fallen: true }),
        [{ parseOptions: { errors: "all" } }, { title: "transformation" }, { title: "encoded" }],
        [undefined, { parseOptions: { errors: "all" } }, { parseOptions: { errors: "all" } }]
      )
    ],
    ([kind, row, more, annotations]) => void assertAlike(kind, row, more, "plain", undefined, annotations),
    { ...runs(2000), timeout: 120_000 }
  )

  it.prop(
    "from a schema that holds the fields: filtered, annotated, with an index signature, another class",
    [
      fixed<Kind>("Class", "TaggedClass"),
      fixed<() => any>(
        () => Schema.Struct({ a: Schema.Number, b: Schema.Number }).pipe(Schema.filter(({ a, b }) => a <= b)),
        () => Schema.Struct({ a: Schema.Number, b: Schema.Number }),
        () => Schema.Struct({ b: Schema.Number }).annotations({ parseOptions: { onExcessProperty: "error" } }),
        () => Schema.Struct({ b: Schema.Number }).annotations({ parseOptions: { onExcessProperty: "preserve" } }),
        () => Schema.Struct({ b: Schema.Number }).annotations(fallback({ b: 1 })),
        () => Schema.Struct({ b: Schema.Number }, { key: Schema.String, value: Schema.Unknown }),
        () => Schema.Struct({}),
        () => Schema.Class<any>("Base")({ a: Schema.Number })
      ),
      fc.record({ a: fc.oneof(fc.integer(), strange), b: fc.integer(), c: strange }, { requiredKeys: [] })
    ],
    ([kind, schema, input]) => {
      const defined = attempt(() => both(kind, schema()))
      if (Either.isRight(defined)) {
        const [Original, Fast] = defined.right
        assert.deepStrictEqual(seen(() => new Fast(input)), seen(() => new Original(input)))
        assert.deepStrictEqual(seen(() => new Fast(input, true)), seen(() => new Original(input, true)))
      }
    },
    runs(600)
  )

  it.prop(
    "instances equal and hashed alike",
    [fixed(...kinds), cells(usual)],
    ([kind, row]) => {
      const made = assertAlike(kind, row, [], "plain", undefined)
      if (made === undefined || Either.isLeft(attempt(made[1]))) {
        return
      }
      const [original, fast, Fast] = made
      assert.strictEqual(Equal.equals(fast(), fast()), Equal.equals(original(), original()))
      assert.strictEqual(
        Hash.hash(fast()) === Hash.hash(fast()),
        Hash.hash(original()) === Hash.hash(original())
      )
      // across the two: what is equal to itself made twice by one, is equal to what the other makes
      assert.strictEqual(Equal.equals(original(), fast()), Equal.equals(original(), original()))
      assert.instanceOf(fast(), Fast)
      assert.strictEqual(Object.getPrototypeOf(fast()), Fast.prototype)
      assert.strictEqual(fast().constructor, Fast)
    },
    runs(500)
  )
})

describe("fastClass evaluates defaults as Schema does", () => {
  it.prop(
    "once each, in order, before validation",
    [
      fixed(...kinds),
      fc.array(fc.option(fixed<unknown>("a", 1, undefined), { nil: null }), { minLength: 3, maxLength: 3 })
    ],
    ([kind, given]) => {
      const trace = (wrap: Wrap) => {
        const log: Array<string> = []
        const logged = (name: string) =>
          Schema.propertySignature(Schema.String.pipe(Schema.filter(() => void log.push(`filter ${name}`)))).pipe(
            Schema.withConstructorDefault(() => {
              log.push(`default ${name}`)
              return name
            })
          )
        const klass: any = wrap(make(kind, { x: logged("x"), y: logged("y"), z: logged("z") }))
        const input = Object.fromEntries(
          ["x", "y", "z"].flatMap((name, i) => given[i] === null ? [] : [[name, given[i]]])
        )
        const outcome = seen(() => new klass(input))
        const isRefused = given.includes(1)
        return { outcome, log: isRefused ? log.filter((entry) => entry.startsWith("default")) : log }
      }
      assert.deepStrictEqual(trace(fastClass), trace(same))
    },
    runs(300)
  )
})

// -------------------------------------------------------------------------------------------------
// the class as a schema
// -------------------------------------------------------------------------------------------------

const rich = {
  id: Schema.UUID,
  name: Schema.NonEmptyString.pipe(Schema.brand("Name")),
  at: Schema.Date,
  count: Schema.optionalWith(Schema.NumberFromString, { default: () => 1 }),
  note: Schema.optional(Schema.String),
  key: Schema.propertySignature(Schema.Int).pipe(Schema.fromKey("k")),
  list: Schema.Array(Inner),
  point: Schema.NullOr(Point),
  option: Schema.Option(Schema.Number)
}

/** A class as programs declare it: with a getter, a method, a field of its own and a primary key. */
const declare = (kind: Kind, wrap: Wrap): any =>
  class Rich extends (wrap(make(kind, rich)) as AnyClass) {
    readonly own = "own"
    get label() {
      return `${this.name}/${this.own}`
    }
    describe() {
      return `${this.label} ${this.list.length}`
    }
    [PrimaryKey.symbol]() {
      return this.id
    }
    static readonly version = 2
    static of(props: any) {
      return new this(props)
    }
  }

const wrecked = (encoded: fc.Arbitrary<any>) =>
  fc.tuple(encoded, fixed("", ...Object.keys(rich), "k", "_tag", "excess"), strange).map(([props, name, value]) =>
    name === "" ? props : { ...props, [name]: value }
  )

const encodedOf = (klass: any): fc.Arbitrary<any> => Arbitrary.make(Schema.encodedSchema(klass))
const propsOf = (klass: any): fc.Arbitrary<any> => Arbitrary.make(Schema.typeSchema(Schema.Struct(klass.fields)))

const result = (either: Either.Either<any, ParseResult.ParseError>) =>
  Either.match(either, { onLeft: (error) => error.message, onRight: (value) => seen(() => value) })

for (const kind of kinds) {
  describe(`a ${kind} by fastClass is the schema it was`, () => {
    const Original = declare(kind, same)
    const Fast = declare(kind, fastClass)

    it.prop("decodes, encodes and round-trips alike", [wrecked(encodedOf(Original))], ([encoded]) => {
      for (const options of [undefined, { errors: "all" as const }, { onExcessProperty: "error" as const }]) {
        const original = Schema.decodeUnknownEither(Original, options)(encoded)
        const fast = Schema.decodeUnknownEither(Fast, options)(encoded)
        assert.deepStrictEqual(result(fast), result(original))
        if (Either.isRight(original) && Either.isRight(fast)) {
          assert.instanceOf(fast.right, Fast)
          assert.deepStrictEqual(
            result(Schema.encodeUnknownEither(Fast)(fast.right)),
            result(Schema.encodeUnknownEither(Original)(original.right))
          )
        }
      }
    }, runs(300))

    it.prop("constructs, encodes, tests and validates alike", [wrecked(propsOf(Original))], ([props]) => {
      assert.deepStrictEqual(seen(() => new Fast(props)), seen(() => new Original(props)))
      assert.deepStrictEqual(seen(() => Fast.of(props)), seen(() => Original.of(props)))
      const original = attempt(() => new Original(props))
      const fast = attempt(() => new Fast(props))
      for (const [a, b] of [[original, fast], [Either.right(props), Either.right(props)]] as const) {
        if (Either.isRight(a) && Either.isRight(b)) {
          assert.deepStrictEqual(
            result(Schema.encodeUnknownEither(Fast)(b.right)),
            result(Schema.encodeUnknownEither(Original)(a.right))
          )
          assert.strictEqual(Schema.is(Fast)(b.right), Schema.is(Original)(a.right))
          assert.deepStrictEqual(
            result(Schema.validateEither(Fast)(b.right)),
            result(Schema.validateEither(Original)(a.right))
          )
        }
      }
      if (Either.isRight(original) && Either.isRight(fast)) {
        assert.strictEqual(fast.right.describe(), original.right.describe())
        assert.strictEqual(PrimaryKey.value(fast.right), PrimaryKey.value(original.right))
        assert.strictEqual(
          Pretty.make<any, any, any>(Fast)(fast.right),
          Pretty.make<any, any, any>(Original)(original.right)
        )
        assert.strictEqual(Equal.equals(fast.right, new Fast(props)), Equal.equals(original.right, new Original(props)))
        // an instance of either is a value of both, as two classes of one identifier are to Schema
        assert.isTrue(Schema.is(Original)(fast.right) && Schema.is(Fast)(original.right))
      }
    }, runs(300))

    it.prop("compares alike", [propsOf(Original), propsOf(Original)], ([a, b]) => {
      for (const [x, y] of [[a, b], [a, a], [a, { ...a, note: "other" }]]) {
        assert.strictEqual(
          Schema.equivalence<any, any, any>(Fast)(new Fast(x), new Fast(y)),
          Schema.equivalence<any, any, any>(Original)(new Original(x), new Original(y))
        )
      }
    }, runs(200))

    it("generates instances of itself, the same from the same seed", () => {
      const original = fc.sample<any>(Arbitrary.make<any, any, any>(Original), { numRuns: 50, seed: 1 })
      const fast = fc.sample<any>(Arbitrary.make<any, any, any>(Fast), { numRuns: 50, seed: 1 })
      fast.forEach((value, i) => {
        assert.instanceOf(value, Fast)
        assert.deepStrictEqual(seen(() => value), seen(() => original[i]))
      })
    })

    it("keeps its statics, its name, its text and its annotations", () => {
      const [O, F] = [make(kind, rich), fastClass(make(kind, rich))]
      for (const [a, b] of [[O, F], [Original, Fast]]) {
        assert.strictEqual(b.name, a.name)
        assert.strictEqual(b.length, a.length)
        assert.strictEqual(b.identifier, a.identifier)
        assert.strictEqual(b._tag, a._tag)
        assert.strictEqual(b.success, a.success)
        assert.strictEqual(b.failure, a.failure)
        assert.strictEqual(b.version, a.version)
        assert.strictEqual(String(b), String(a))
        assert.strictEqual(String(b.ast), String(a.ast))
        assert.deepStrictEqual(Object.keys(b.fields), Object.keys(a.fields))
        assert.isTrue(Schema.isSchema(b))
        assert.strictEqual(String(b.annotations({ identifier: "J" })), String(a.annotations({ identifier: "J" })))
        assert.strictEqual(b.pipe((klass: any) => klass), b)
      }
    })

    it("is a class: not to be called, and constructed by Reflect as any other", () => {
      const [O, F] = [make(kind, { a: Schema.String }), fastClass(make(kind, { a: Schema.String }))]
      assert.throws(() => F({ a: "x" }), TypeError)
      assert.throws(() => O({ a: "x" }), TypeError)
      assert.strictEqual(new F({ a: "x" }).constructor, F)
      assert.strictEqual(new F({ a: "x" }, true).constructor, F)
      class Other {}
      const [original, fast] = [O, F].map((klass) => Reflect.construct(klass, [{ a: "x" }], Other))
      assert.instanceOf(fast, Other)
      assert.deepStrictEqual(seen(() => fast), seen(() => original))
    })

    it.prop(
      "is extended and transformed as before",
      [fc.record({ a: fc.oneof(fc.string(), strange), b: fc.oneof(fc.integer(), strange), _tag: strange }, {
        requiredKeys: []
      })],
      ([props]) => {
        const families = [same, fastClass].map((wrap) => {
          class Base extends (wrap(make(kind, {
            a: Schema.String,
            d: Schema.optionalWith(Schema.Int, { default: () => 4 })
          })) as AnyClass) {
            hello() {
              return `hello ${this.a}`
            }
          }
          class Extended extends (Base as any).extend("Extended")({ b: Schema.Number }) {}
          class Twice extends (Extended as any).extend("Twice")({ c: Schema.optional(Schema.Number) }) {}
          const inverse = {
            decode: (i: any) => ParseResult.succeed({ ...i, b: i.a.length }),
            encode: ({ b: _, ...a }: any) => ParseResult.succeed(a)
          }
          class Transformed extends (Base as any).transformOrFail("Transformed")({ b: Schema.Number }, inverse) {}
          class From extends (Base as any).transformOrFailFrom("From")({ b: Schema.Number }, inverse) {}
          return [Base, Extended, Twice, Transformed, From] as ReadonlyArray<any>
        })
        families[0].forEach((original, i) => {
          const fast = families[1][i]
          for (const options of [undefined, true, { disableValidation: true }]) {
            assert.deepStrictEqual(seen(() => new fast(props, options)), seen(() => new original(props, options)))
            assert.deepStrictEqual(
              seen(() => new fast(props, options).hello()),
              seen(() => new original(props, options).hello())
            )
          }
          assert.deepStrictEqual(
            result(Schema.decodeUnknownEither(fast as any)({ _tag: "Tag", ...props })),
            result(Schema.decodeUnknownEither(original as any)({ _tag: "Tag", ...props }))
          )
        })
      },
      runs(60)
    )

    it.prop("meets the accessors and the constructor of a subclass alike", [strange], ([value]) => {
      const log = (wrap: Wrap) => {
        const calls: Array<unknown> = []
        class Setter extends (wrap(make(kind, { a: Schema.Unknown, b: Schema.String })) as AnyClass) {
          set a(value: unknown) {
            calls.push(["a", value, Object.keys(this)])
          }
          set b(value: unknown) {
            calls.push(["b", value, Object.keys(this)])
          }
        }
        class Getter extends (wrap(make(kind, { a: Schema.Unknown })) as AnyClass) {
          get a() {
            return 1
          }
        }
        class Constructor extends (wrap(make(kind, { a: Schema.Unknown })) as AnyClass) {
          readonly initialized = Object.keys(this)
          constructor(a: unknown) {
            super({ a })
            calls.push(["constructor", Object.keys(this)])
          }
        }
        return {
          outcomes: [
            () => new Setter({ a: value, b: "b" }),
            () => new Setter({ a: value, b: value }),
            () => new Setter({ a: value }, true),
            () => new Getter({ a: value }),
            () => new Getter({ a: value }, true),
            () => new Constructor(value)
          ].map(seen),
          calls
        }
      }
      assert.deepStrictEqual(log(fastClass), log(same))
    }, runs(60))

    it.prop(
      "validates a recursive class, its field suspended",
      [
        fc.letrec((tie) => ({
          tree: fc.record({
            value: fc.oneof({ weight: 12, arbitrary: fc.integer() }, strange),
            children: fc.oneof({ maxDepth: 3 }, fc.constant([]), fc.array(tie("tree"), { maxLength: 3 })),
            isInstance: fc.boolean()
          })
        })).tree
      ],
      ([seed]) => {
        const grow = (wrap: Wrap) => {
          class Tree extends (wrap(make(kind, {
            value: Schema.Int,
            children: Schema.Array(Schema.suspend((): Schema.Schema<any> => Tree as any)),
            sibling: Schema.optional(Schema.suspend((): Schema.Schema<any> => Tree as any))
          })) as AnyClass) {}
          const from = (node: any): any => {
            const props = { value: node.value, children: node.children.map(from) }
            return node.isInstance ? new Tree(props) : { _tag: "Tag", ...props }
          }
          return [
            seen(() => from(seed)),
            seen(() => JSON.stringify(from({ ...seed, isInstance: true }))),
            seen(() => new Tree({ value: 1, children: [], sibling: from(seed) })),
            seen(() => Schema.decodeUnknownSync(Tree as any)(from({ ...seed, isInstance: false })))
          ].map((outcome) => inspect(outcome, { depth: 20 }))
        }
        assert.deepStrictEqual(grow(fastClass), grow(same))
      },
      runs(100)
    )
  })
}

describe("a request by fastClass", () => {
  it.effect("serializes itself and its result", () =>
    Effect.gen(function*() {
      class Ping extends fastClass(
        Schema.TaggedRequest<Ping>()("Ping", {
          payload: { id: Schema.Number },
          success: Schema.NumberFromString,
          failure: Schema.String
        })
      ) {}
      const ping = new Ping({ id: 1 })
      assert.strictEqual(Schema.serializableSchema(ping) as unknown, Ping)
      assert.deepStrictEqual(yield* Schema.serialize(ping), { _tag: "Ping", id: 1 })
      const back = yield* Schema.deserialize(ping, { _tag: "Ping", id: 2 })
      assert.isTrue(back instanceof Ping && Equal.equals(back, new Ping({ id: 2 })))
      const exit = yield* Schema.serializeExit(ping, Exit.succeed(3))
      assert.deepStrictEqual(yield* Schema.deserializeExit(ping, exit), Exit.succeed(3))
      const failed = yield* Schema.serializeExit(ping, Exit.fail("no"))
      assert.deepStrictEqual(yield* Schema.deserializeExit(ping, failed), Exit.failCause(Cause.fail("no")))
    }))
})

describe("fastClass answers a class as it is", () => {
  const fields = { a: Schema.String }

  it("when Schema did not make its constructor alone", () => {
    class Base extends Schema.Class<Base>("Base")(fields) {}
    class Child extends Schema.TaggedClass<Child>()("Child", fields) {
      readonly own = 1
    }
    class Failure extends Schema.TaggedError<Failure>()("Failure", fields) {}
    const foreign: ReadonlyArray<unknown> = [
      Base,
      Child,
      Failure,
      Schema.TaggedError<any>()("Failure", fields),
      Base.extend<any>("Extended")({ b: Schema.String }),
      Child.extend<any>("Extended")({ b: Schema.String })
    ]
    foreign.forEach((klass) => assert.strictEqual(fastClass(klass), klass))
  })

  it("when a field has an unusual name", () => {
    const ofAll: ReadonlyArray<PropertyKey> = ["0", "10", unique]
    for (const kind of kinds) {
      // the tagged kinds refuse the names of Object.prototype themselves
      for (const name of kind === "Class" ? [...ofAll, "__proto__", "constructor", "toString"] : ofAll) {
        const klass = make(kind, fill({}, [[name, Schema.Unknown]]))
        assert.strictEqual(fastClass(klass), klass)
      }
    }
  })

  it("when it made it itself", () => {
    const klass = fastClass(make("TaggedRequest", fields))
    assert.strictEqual(fastClass(klass), klass)
  })
})
