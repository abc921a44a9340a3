/**
 * A faster constructor for the classes of `Schema`, equal to the original in everything but time.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Request from "effect/Request"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

const invalid = Symbol("invalid")
const absent = Symbol("absent")

type Props = Record<PropertyKey, unknown>

/** The value as the type side of a schema answers it, or `invalid`. */
type Validate = (value: any) => unknown

const readsOptions = (annotated: AST.Annotated): boolean =>
  Option.isSome(AST.getParseOptionsAnnotation(annotated)) || Option.isSome(AST.getDecodingFallbackAnnotation(annotated))

/** A test of values which validation answers unchanged, or `undefined` for every other schema. */
const predicate = (ast: AST.AST): ((value: any) => boolean) | undefined => {
  if (readsOptions(ast)) {
    return undefined
  }
  switch (ast._tag) {
    case "StringKeyword":
      return Predicate.isString
    case "NumberKeyword":
      return Predicate.isNumber
    case "BooleanKeyword":
      return Predicate.isBoolean
    case "BigIntKeyword":
      return Predicate.isBigInt
    case "UndefinedKeyword":
      return Predicate.isUndefined
    case "AnyKeyword":
    case "UnknownKeyword":
    case "VoidKeyword":
      return () => true
    case "Literal": {
      const literal = ast.literal
      return (value) => value === literal
    }
    case "Refinement": {
      const from = predicate(ast.from)
      const filter = ast.filter
      return from && ((value) => from(value) && Option.isNone(filter(value, AST.defaultParseOption, ast)))
    }
    case "Union": {
      // a member that is a struct or a class would be looked up by its literals first, not tried in order
      const members = ast.types.map(predicate)
      return members.every(Predicate.isNotUndefined)
        ? (value) => {
          for (let i = 0; i < members.length; i++) {
            if (members[i](value)) {
              return true
            }
          }
          return false
        }
        : undefined
    }
  }
  return undefined
}

interface Field {
  readonly name: PropertyKey
  readonly isOptional: boolean
  readonly validate: Validate
}

const fieldsOf = (ast: AST.TypeLiteral): ReadonlyArray<Field> =>
  ast.propertySignatures.map(({ isOptional, name, type }) => ({ isOptional, name, validate: validator(type) }))

const validator = (ast: AST.AST): Validate => {
  const test = predicate(ast)
  if (test !== undefined) {
    return (value) => test(value) ? value : invalid
  }
  if (!readsOptions(ast)) {
    switch (ast._tag) {
      case "Refinement": {
        const from = validator(ast.from)
        const filter = ast.filter
        return (value) => {
          const out = from(value)
          return out !== invalid && Option.isNone(filter(out, AST.defaultParseOption, ast)) ? out : invalid
        }
      }
      case "TypeLiteral": {
        if (ast.indexSignatures.length > 0 || ast.propertySignatures.length === 0) {
          break
        }
        const fields = fieldsOf(ast)
        return (value) => {
          if (!Predicate.isRecord(value)) {
            return invalid
          }
          const out: Props = {}
          for (let i = 0; i < fields.length; i++) {
            const { isOptional, name, validate } = fields[i]
            if (isOptional && !Object.hasOwn(value, name)) {
              continue
            }
            const field = validate(value[name as string])
            if (field === invalid) {
              return invalid
            }
            out[name] = field
          }
          return out
        }
      }
      case "TupleType": {
        if (ast.elements.length > 0 || ast.rest.length !== 1) {
          break
        }
        const element = validator(ast.rest[0].type)
        return (value) => {
          if (!Array.isArray(value)) {
            return invalid
          }
          const length = value.length
          const out: Array<unknown> = []
          for (let i = 0; i < length; i++) {
            const item = element(value[i])
            if (item === invalid) {
              return invalid
            }
            out.push(item)
          }
          return out
        }
      }
    }
  }
  const parse = ParseResult.decodeUnknownEither(Schema.make<any>(ast))
  return (value) => {
    const result = parse(value)
    return Either.isRight(result) ? result.right : invalid
  }
}

/** What `Schema` makes, as far as it is read here. */
interface Klass {
  new(props: Props): object
  readonly prototype: object
  readonly ast: AST.Transformation
  readonly fields: Schema.Struct.Fields
  readonly identifier: string
  readonly _tag?: string
}

/** What `Schema` made the class with, or `undefined` when a constructor of somebody else may stand in between. */
const kindOf = (klass: Klass): "Class" | "TaggedClass" | "TaggedRequest" | undefined => {
  const marks = (prototype: object, kind: string) =>
    Object.hasOwn(prototype, Symbol.for(`effect/Schema/${kind}/${klass.identifier}`))
  const parent = Object.getPrototypeOf(klass.prototype)
  const grandparent = Object.getPrototypeOf(parent)
  return marks(klass.prototype, "Class") && parent === Data.Class.prototype
    ? "Class"
    : marks(parent, "TaggedClass") && grandparent === Data.Class.prototype
    ? "TaggedClass"
    : marks(parent, "TaggedRequest") && grandparent === Request.Class.prototype
    ? "TaggedRequest"
    : undefined
}

interface Default {
  readonly name: PropertyKey
  readonly value: () => unknown
}

/** In the order in which `Schema` evaluates them. */
const defaultsOf = (fields: Schema.Struct.Fields): ReadonlyArray<Default> =>
  Reflect.ownKeys(fields).flatMap((name) => {
    const field = fields[name as string]
    if (!Schema.isPropertySignature(field)) {
      return []
    }
    const ast = field.ast
    const value = ast._tag === "PropertySignatureDeclaration" ? ast.defaultValue : ast.to.defaultValue
    return value === undefined ? [] : [{ name, value }]
  })

/** Symbols and integers are set out of turn; what `Object.prototype` has is never missing, or is no field to set. */
const isUnusual = (name: PropertyKey): boolean =>
  typeof name !== "string" || /^\d+$/.test(name) || name in Object.prototype

interface Plan {
  readonly fields: ReadonlyArray<Field>
  /** Where the value of a given property goes; not the tag, which is never the caller's. */
  readonly indices: ReadonlyMap<PropertyKey, number>
  readonly defaults: ReadonlyArray<{ readonly index: number; readonly value: () => unknown }>
  /** The values before any is given. */
  readonly blank: ReadonlyArray<unknown>
}

/** `null` where the construction depends on more than the fields. */
const planOf = (klass: Klass, tag: string | undefined, allDefaults: ReadonlyArray<Default>): Plan | null => {
  const declaration = klass.ast.to
  if (!AST.isDeclaration(declaration)) {
    return null
  }
  const schema = declaration.typeParameters[0]
  const type = AST.typeAST(schema)
  if (
    !AST.isTypeLiteral(type) || type.indexSignatures.length > 0 || type.propertySignatures.length === 0 ||
    // the annotations of the class stand on its declaration
    readsOptions(type) || readsOptions(schema) || readsOptions(declaration)
  ) {
    return null
  }
  const fields = fieldsOf(type)
  const indices = new Map(fields.map(({ name }, index): [PropertyKey, number] => [name, index]))
  const names = Reflect.ownKeys(klass.fields)
  if (names.length !== fields.length || names.some((name) => !indices.has(name))) {
    return null
  }
  const blank: Array<unknown> = fields.map(() => absent)
  if (tag !== undefined) {
    blank[indices.get("_tag")!] = tag
    indices.delete("_tag")
  }
  const defaults = allDefaults.flatMap(({ name, value }) => {
    const index = indices.get(name)
    return index === undefined ? [] : [{ index, value }]
  })
  return { blank, defaults, fields, indices }
}

const isPlain = (props: unknown): boolean =>
  typeof props === "object" && props !== null && Object.getPrototypeOf(props) === Object.prototype

/** The value of each field, as given or by default, before validation. */
const valuesOf = ({ blank, defaults, fields, indices }: Plan, props: Props): Array<unknown> => {
  const values = blank.slice()
  const names = Object.keys(props)
  let next = 0
  for (let i = 0; i < names.length; i++) {
    const name = names[i]
    const value = props[name]
    // most often the properties stand in the order of the fields
    const index = next < fields.length && fields[next].name === name && values[next] === absent
      ? next
      : indices.get(name)
    if (index !== undefined) {
      values[index] = value
      next = index + 1
    }
  }
  for (let i = 0; i < defaults.length; i++) {
    const { index, value } = defaults[i]
    if (values[index] === absent || values[index] === undefined) {
      values[index] = value()
    }
  }
  return values
}

const validateAll = (fields: ReadonlyArray<Field>, values: Array<unknown>): Array<unknown> | undefined => {
  let out = values
  for (let i = 0; i < fields.length; i++) {
    const { isOptional, validate } = fields[i]
    const value = values[i]
    if (value === absent && isOptional) {
      continue
    }
    const valid = validate(value === absent ? undefined : value)
    if (valid === invalid) {
      return undefined
    }
    if (valid !== value) {
      // `values` stays as it is: a later field may be refused, and the error shows what was given
      out = out === values ? values.slice() : out
      out[i] = valid
    }
  }
  return out
}

const merge = (props: Props, fields: ReadonlyArray<Field>, values: ReadonlyArray<unknown>): Props => {
  const out = { ...props }
  fields.forEach(({ name }, i) => {
    if (values[i] !== absent) {
      out[name] = values[i]
    }
  })
  return out
}

// `delete` would turn the object into a dictionary, ten times as slow to copy
const withoutTag = ({ _tag, ...props }: Props): Props => props

/**
 * A class like `klass`, made by `Schema.Class`, `Schema.TaggedClass` or `Schema.TaggedRequest`, whose constructor
 * validates each field by a check compiled at the first construction. What it refuses goes to the constructor of
 * `klass`, which makes the error; so does every construction which depends on more than the fields. Any other class
 * is answered as it is.
 *
 * A default is evaluated once, as in the original. Getters and filters are evaluated again when a value is refused.
 *
 * @internal
 */
export const fastClass = <C>(klass: C): C => {
  const original = klass as unknown as Klass
  const kind = kindOf(original)
  if (kind === undefined || Reflect.ownKeys(original.fields).some(isUnusual)) {
    return klass
  }
  const tag: string | undefined = kind === "Class" ? undefined : original._tag
  const defaults = defaultsOf(original.fields)
  let plan: Plan | null | undefined

  const Fast = class {
    constructor(props: Props = {}, options: Schema.MakeOptions = false) {
      if (Predicate.isBoolean(options) ? options : options?.disableValidation) {
        const own: Props = tag === undefined ? { ...props } : withoutTag({ ...props })
        for (let i = 0; i < defaults.length; i++) {
          const { name, value } = defaults[i]
          if (own[name] === undefined) {
            own[name] = value()
          }
        }
        Object.assign(this, own)
        return
      }
      // not before: a suspended field may name a class that is defined later
      if (plan === undefined) {
        plan = planOf(original, tag, defaults)
      }
      if (plan === null) {
        return Reflect.construct(original, [props], new.target)
      }
      const source = isPlain(props) ? props : { ...props }
      const values = valuesOf(plan, source)
      const fields = plan.fields
      const valid = validateAll(fields, values)
      if (valid === undefined) {
        return Reflect.construct(original, [merge(source, fields, values)], new.target)
      }
      for (let i = 0; i < fields.length; i++) {
        if (valid[i] !== absent) {
          ;(this as Props)[fields[i].name] = valid[i]
        }
      }
    }
  }
  Object.setPrototypeOf(Fast, original)
  Object.setPrototypeOf(Fast.prototype, original.prototype)
  Object.defineProperty(Fast, "name", { value: original.name, configurable: true })
  return Fast as C
}
