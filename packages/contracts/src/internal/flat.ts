import * as Equal from "effect/Equal"
import { type JsonSchema, referredTo } from "./jsonSchema.ts"

export type Node = JsonSchema | boolean

export type Definitions = Readonly<Record<string, JsonSchema>>

/** One schema, its references and `allOf` put together: of keywords that stand in several of them, the list. */
export interface Flat {
  readonly keywords: ReadonlyMap<string, ReadonlyArray<unknown>>
}

export const flatten = (node: Node, definitions: Definitions): Flat => {
  const keywords = new Map<string, Array<unknown>>()
  const references: Array<string> = []
  const take = (one: Node): void => {
    if (one === true) return
    if (one === false) return put("not", {})
    for (const [name, value] of Object.entries(one)) {
      if (name === "allOf") (value as ReadonlyArray<Node>).forEach(take)
      else if (name === "$ref") {
        const reference = referredTo(value as string)
        const definition = reference !== undefined && Object.hasOwn(definitions, reference)
          ? definitions[reference]
          : undefined
        if (reference === undefined || definition === undefined) put("$ref", value)
        else if (!references.includes(reference)) {
          references.push(reference)
          take(definition)
        }
      } else if (!annotations.has(name)) put(name === "const" ? "enum" : name, name === "const" ? [value] : value)
    }
  }
  const put = (name: string, value: unknown): void => {
    const known = keywords.get(name) ?? []
    if (!known.some((one) => same(one, value))) keywords.set(name, [...known, value])
  }
  take(node)
  return { keywords }
}

export const isNothing = ({ keywords }: Flat): boolean =>
  (keywords.get("not") ?? []).some((one) => one === true || (isObject(one) && Object.keys(one).length === 0))

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Structurally, whatever the order of keys. */
export const same = (one: unknown, other: unknown): boolean => {
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length && one.every((item, at) => same(item, other[at]))
  }
  if (!isObject(one)) return Equal.equals(one, other)
  if (!isObject(other)) return false
  const names = Object.keys(one)
  return names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && same(one[name], other[name]))
}

/** `enum`s that stand together: what is in all of them. */
export const enumOf = ({ keywords }: Flat): ReadonlyArray<unknown> | undefined => {
  const all = keywords.get("enum") as ReadonlyArray<ReadonlyArray<unknown>> | undefined
  return all?.reduce((left, right) => left.filter((one) => right.some((other) => same(one, other))))
}

export const typesOf = ({ keywords }: Flat): ReadonlyArray<string> | undefined => {
  const all = (keywords.get("type") ?? []).map((type) =>
    Array.isArray(type) ? type as ReadonlyArray<string> : [type as string]
  )
  if (all.length === 0) return undefined
  return all.reduce((left, right) => {
    const both = left.filter((type) => right.includes(type) || (type === "integer" && right.includes("number")))
    return right.includes("integer") && left.includes("number") && !both.includes("integer")
      ? [...both, "integer"]
      : both
  })
}

export const typeOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value

export const isOf = (type: string, value: unknown): boolean => {
  const is = typeOf(value)
  return is === type || (type === "number" && is === "integer")
}

export const unionsOf = ({ keywords }: Flat): ReadonlyArray<ReadonlyArray<Node>> =>
  ["anyOf", "oneOf"].flatMap((name) => (keywords.get(name) ?? []) as ReadonlyArray<ReadonlyArray<Node>>)

export const without = ({ keywords }: Flat, names: ReadonlyArray<string>): Flat => ({
  keywords: new Map([...keywords].filter(([name]) => !names.includes(name)))
})

export const numbers = ({ keywords }: Flat, name: string): ReadonlyArray<number> =>
  (keywords.get(name) ?? []) as ReadonlyArray<number>

// arrays: the first items by place, and the rest

export const itemAt = ({ keywords }: Flat, at: number): ReadonlyArray<Node> => {
  const places = tupleOf({ keywords })
  if (places !== undefined && at < places.length) return [places[at]!]
  const rest = places === undefined || keywords.has("prefixItems")
    ? keywords.get("items")
    : keywords.get("additionalItems")
  return ((rest ?? []) as ReadonlyArray<Node | ReadonlyArray<Node>>).filter((one): one is Node => !Array.isArray(one))
}

export const tupleOf = ({ keywords }: Pick<Flat, "keywords">): ReadonlyArray<Node> | undefined =>
  [...(keywords.get("prefixItems") ?? []), ...(keywords.get("items") ?? [])].find(Array.isArray)

// objects: what is declared by name, by pattern, and the rest

export const propertiesOf = ({ keywords }: Flat): ReadonlyMap<string, ReadonlyArray<Node>> => {
  const found = new Map<string, Array<Node>>()
  for (const properties of (keywords.get("properties") ?? []) as ReadonlyArray<Readonly<Record<string, Node>>>) {
    for (const [name, node] of Object.entries(properties)) found.set(name, [...(found.get(name) ?? []), node])
  }
  return found
}

export const requiredOf = ({ keywords }: Flat): ReadonlySet<string> =>
  new Set((keywords.get("required") ?? []).flatMap((names) => names as ReadonlyArray<string>))

export const patternsOf = ({ keywords }: Flat): ReadonlyArray<readonly [string, Node]> =>
  (keywords.get("patternProperties") ?? []).flatMap((patterns) =>
    Object.entries(patterns as Readonly<Record<string, Node>>)
  )

/** What a field that is not declared by name is; undefined where nothing is said of it. */
export const othersOf = (one: Flat): ReadonlyArray<Node> | undefined => {
  const said = [
    ...(one.keywords.get("additionalProperties") ?? []) as ReadonlyArray<Node>,
    ...patternsOf(one).map(([, node]) => node)
  ].filter((node) => node !== true)
  return said.length === 0 ? undefined : said
}

// one value

/** Stands beside what is said of a value, for what only the value itself can show. */
export const described = "value"

/** The schema of one value, without an `enum`, which would be asked for again. */
export const descriptionOf = (value: unknown): JsonSchema => {
  const type = typeOf(value)
  if (typeof value === "number") return { type, minimum: value, maximum: value, multipleOf: Math.abs(value) }
  if (typeof value === "string") return { type, minLength: value.length, maxLength: value.length, [described]: value }
  if (Array.isArray(value)) {
    return { type, items: value.map((one) => ({ enum: [one] })), minItems: value.length, maxItems: value.length }
  }
  if (!isObject(value)) return { type }
  return {
    type,
    properties: Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, { enum: [inner] }])),
    required: Object.keys(value)
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const annotations = new Set([
  "$comment",
  "$defs",
  "$id",
  "$schema",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
  "default",
  "definitions",
  "deprecated",
  "description",
  "examples",
  "readOnly",
  "title",
  "writeOnly"
])
