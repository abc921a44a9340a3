import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Either, FastCheck as fc, JSONSchema, Schema } from "effect"
import { jsonSchemaOf } from "../../src/internal/jsonSchema.ts"
import { misfits } from "../../src/internal/subset.ts"

const json = (schema: Schema.Schema.All) => Either.getOrThrow(jsonSchemaOf(schema, "it"))

const told = (writer: Schema.Schema.All | object, reader: Schema.Schema.All | object) =>
  misfits(Schema.isSchema(writer) ? json(writer) : writer as {}, Schema.isSchema(reader) ? json(reader) : reader as {})
    .map(({ kind, path }) => `${kind} ${path}`.trim())

const { Array: List, Boolean, Int, Literal, NullOr, Number, optional, Record, String, Struct, Tuple, Union } = Schema

class Leaf extends Schema.Class<Leaf>("Leaf")({ n: Number }) {}

interface Tree {
  readonly n: number
  readonly children: ReadonlyArray<Tree>
}
const tree = (n: Schema.Schema<number>): Schema.Schema<Tree> => {
  const self: Schema.Schema<Tree> = Struct({ n, children: List(Schema.suspend(() => self)) })
    .annotations({ identifier: "Tree" })
  return self
}

const A = Struct({ _tag: Literal("A"), a: String })
const B = Struct({ _tag: Literal("B"), b: Number })

const named = (inner: Schema.Schema.Any) => Struct({ a: inner.annotations({ identifier: "@rooms/100%~Room" }) })
const keywords = (inner: Schema.Schema.Any) => Struct({ $ref: inner, allOf: inner, a: inner })

describe("all that the writer may write is taken by the reader", () => {
  for (
    const [name, writer, reader] of [
      ["anything by what wants nothing", Union(String, A), Schema.Unknown],
      ["a whole number as a number", Int, Number],
      ["a field that the reader does not know", Struct({ a: String, b: String }), Struct({ a: String })],
      ["a required field as an optional one", Struct({ a: String }), Struct({ a: optional(String) })],
      ["an optional field that the reader does not know", Struct({ a: optional(String) }), Struct({})],
      ["fewer values", Literal("a", "b"), Literal("a", "b", "c")],
      ["values as text", Literal("a", "b"), String.pipe(Schema.maxLength(1))],
      ["a value of the pattern", Literal("ab"), String.pipe(Schema.pattern(/^a/))],
      ["a value that is one of several unions' branches", Literal("a", "b"), {
        anyOf: [{ enum: ["a"] }, { enum: ["b"] }]
      }],
      ["a constant", { const: 1 }, Int.pipe(Schema.between(1, 2))],
      ["zero as a multiple", Literal(0), Number.pipe(Schema.multipleOf(2))],
      ["true and false as a boolean, and the other way round", Boolean, { enum: [true, false] }],
      ["null of several", Schema.Null, NullOr(String)],
      ["one of a union", A, Union(A, B)],
      ["a union in another order", Union(A, B), Union(B, A)],
      ["narrower bounds", Number.pipe(Schema.between(2, 3)), Number.pipe(Schema.between(1, 4))],
      ["whole numbers above zero as from one", Int.pipe(Schema.positive()), Int.pipe(Schema.greaterThanOrEqualTo(1))],
      ["above as from", Number.pipe(Schema.greaterThan(1)), Number.pipe(Schema.greaterThanOrEqualTo(1))],
      ["multiples of a multiple", Number.pipe(Schema.multipleOf(6)), Number.pipe(Schema.multipleOf(3))],
      ["a non-empty list as a list", Schema.NonEmptyArray(String), List(String)],
      ["a pair as a list", Tuple(Int, Int), List(Number)],
      [
        "a record of whole numbers as one of numbers",
        Record({ key: String, value: Int }),
        Record({ key: String, value: Number })
      ],
      ["a structure as a record", Struct({ a: Int }), Record({ key: String, value: Number })],
      ["a class as a structure", Leaf, Struct({ n: Number })],
      ["a tree of whole numbers as a tree of numbers", tree(Int), tree(Number)],
      ["a list of types", { type: ["string", "null"] }, NullOr(String)],
      ["what nobody can write", Struct({ a: optional(Schema.Never) }), Struct({ a: optional(String) })]
    ] as const
  ) it(name, () => assert.deepStrictEqual(told(writer, reader), []))
})

describe("what the reader does not take", () => {
  for (
    const [name, writer, reader, expected] of [
      ["a number as a whole number", Number, Int, ["type"]],
      ["text as a number", Struct({ a: String }), Struct({ a: Number }), ["type a"]],
      ["a field that is not there", Struct({}), Struct({ a: String }), ["missing a"]],
      ["a field that may be left out", Struct({ a: optional(String) }), Struct({ a: String }), ["optional a"]],
      ["a field further in", Struct({ a: Struct({}) }), Struct({ a: Struct({ b: Int }) }), ["missing a.b"]],
      ["a field of a list's items", List(Struct({})), List(Struct({ b: Int })), ["missing [].b"]],
      ["more values", Literal("a", "b", "c"), Literal("a", "b"), ["values"]],
      ["any text as some", String, Literal("a"), ["values"]],
      ["values of another type", Literal(1), Literal("a"), ["type"]],
      ["a value that is too long", Literal("abc"), String.pipe(Schema.maxLength(2)), ["bounds"]],
      ["a value of another pattern", Literal("ba"), String.pipe(Schema.pattern(/^a/)), ["bounds"]],
      ["null", NullOr(String), String, ["type"]],
      ["a branch that is new", Union(A, B), A, ["missing a", "values _tag"]],
      ["a branch's field, as its own branch tells", Union(Struct({ _tag: Literal("A") }), B), Union(A, B), [
        "missing a"
      ]],
      [
        "a branch's field of another type, as its own branch tells",
        Struct({ _tag: Literal("A"), a: Int }),
        Union(A, B),
        [
          "type a"
        ]
      ],
      ["lower", Number, Number.pipe(Schema.greaterThan(0)), ["bounds"]],
      ["the bound itself", Number.pipe(Schema.greaterThanOrEqualTo(1)), Number.pipe(Schema.greaterThan(1)), ["bounds"]],
      ["higher", Number.pipe(Schema.lessThan(5)), Number.pipe(Schema.lessThan(4)), ["bounds"]],
      ["what is between", Int, Number.pipe(Schema.multipleOf(2)), ["bounds"]],
      ["longer", String.pipe(Schema.maxLength(5)), String.pipe(Schema.maxLength(4)), ["bounds"]],
      ["another pattern", String, String.pipe(Schema.pattern(/^a/)), ["bounds"]],
      ["another format", String, Schema.UUID, ["bounds", "bounds"]],
      ["an empty list", List(String), Schema.NonEmptyArray(String), ["bounds"]],
      ["more items", Tuple(Int, Int, Int), Tuple(Int, Int), ["type [2]"]],
      ["a record's values", Record({ key: String, value: String }), Record({ key: String, value: Int }), ["type {}"]],
      ["a record's values as a field", Record({ key: String, value: String }), Struct({ a: optional(Int) }), [
        "type a"
      ]],
      ["a tree's values, at any depth", tree(Number), tree(Int), ["type n"]],
      ["a part with a name of its own that has a slash in it", named(Number), named(String), ["type a"]],
      ["fields that are called as keywords are", keywords(Number), keywords(String), [
        "type $ref",
        "type allOf",
        "type a"
      ]],
      ["what a strict reader forbids", Struct({ a: Int }), { type: "object", additionalProperties: false }, [
        "unexpected a"
      ]],
      ["anything where nothing is taken", String, Schema.Never, ["type"]],
      ["a keyword that is not compared", { type: "object" }, { type: "object", dependentRequired: { a: ["b"] } }, [
        "unclear"
      ]]
    ] as const
  ) it(name, () => assert.deepStrictEqual(told(writer, reader), [...expected]))
})

/** Schemas of all kinds, as they are declared. */
const { schema } = fc.letrec<{ schema: Schema.Schema<any, any>; fields: Record<string, Schema.Struct.Field> }>((
  tie
) => ({
  fields: fc.dictionary(
    fc.constantFrom("a", "b", "c"),
    fc.oneof(tie("schema"), tie("schema").map((one) => Schema.optional(one)))
  ),
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<Schema.Schema<any, any>>(
      String,
      Number,
      Int,
      Boolean,
      Schema.Date,
      Schema.UUID,
      Schema.Null,
      Leaf,
      tree(Number),
      Literal("a", "b", 3),
      Schema.NonEmptyString.pipe(Schema.maxLength(9), Schema.brand("Id")),
      Schema.BigInt
    ),
    fc.tuple(fc.integer(), fc.nat()).map(([least, more]) => Number.pipe(Schema.between(least, least + more))),
    tie("schema").map((one) => List(one)),
    tie("schema").map((one) => Record({ key: String, value: one })),
    fc.tuple(tie("schema"), tie("schema")).map(([one, other]) => Union(one, other)),
    fc.tuple(tie("schema"), tie("schema")).map(([one, other]) => Tuple(one, other)),
    tie("fields").map((fields) => Struct(fields) as unknown as Schema.Schema<any, any>)
  )
}))

const objects = fc.dictionary(fc.constantFrom("a", "b", "c"), schema, { minKeys: 1 })
const runs = { fastCheck: { numRuns: 50 } }

describe("whatever the schema is", () => {
  it.prop("it is taken by itself", [schema], ([one]) => assert.deepStrictEqual(told(one, one), []), runs)

  it.prop("a field that is added, required or not, is no harm to those who read what was there", [objects, schema], ([
    fields,
    added
  ]) => {
    assert.deepStrictEqual(told(Struct({ ...fields, d: added }), Struct(fields)), [])
    assert.deepStrictEqual(told(Struct({ ...fields, d: Schema.optional(added) }), Struct(fields)), [])
    assert.deepStrictEqual(told(Struct(fields), Struct({ ...fields, d: Schema.optional(added) })), [])
  }, runs)

  it.prop("a required field that is removed is missed, and nothing else", [objects], ([fields]) => {
    const [first, ...rest] = Object.keys(fields)
    const less = Object.fromEntries(rest.map((name) => [name, fields[name]!]))
    assert.deepStrictEqual(told(Struct(less), Struct(fields)), [`missing ${first}`])
  }, runs)

  it.prop(
    "what is taken without a word is decoded by the reader, whatever the writer writes",
    [schema, schema, fc.integer()],
    ([writer, reader, seed]) => {
      if (told(writer, reader).length > 0) return
      const [value] = fc.sample(Arbitrary.make(writer), { numRuns: 1, seed })
      const written = JSON.parse(JSON.stringify(Schema.encodeSync(writer)(value) ?? null))
      assert.isTrue(Either.isRight(Schema.decodeUnknownEither(Schema.encodedSchema(reader))(written)))
    },
    { fastCheck: { numRuns: 100 } }
  )
})

it("is made of JSON Schema as Effect makes it, without what says nothing", () => {
  assert.deepStrictEqual(json(Struct({ a: Schema.NonEmptyString.pipe(Schema.maxLength(3)) })), {
    type: "object",
    required: ["a"],
    properties: {
      a: {
        allOf: [{ $ref: "#/$defs/NonEmptyString" }],
        description: "a string at most 3 character(s) long",
        maxLength: 3
      }
    },
    $defs: { NonEmptyString: JSONSchema.make(Schema.NonEmptyString).$defs!.NonEmptyString }
  } as object)
})
