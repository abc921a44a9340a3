import { type Bound, counted, numeric, textual } from "./bounds.ts"
import {
  type Definitions,
  descriptionOf,
  enumOf,
  type Flat,
  flatten,
  isNothing,
  isOf,
  itemAt,
  type Node,
  numbers,
  othersOf,
  patternsOf,
  propertiesOf,
  requiredOf,
  same,
  tupleOf,
  typeOf,
  typesOf,
  unionsOf,
  without
} from "./flat.ts"
import { definitionsOf, type JsonSchema } from "./jsonSchema.ts"

/**
 * What a writer may write and a reader does not take.
 *
 * - `missing`: the reader wants it, and the writer never writes it; `optional`: or not always.
 * - `type`: it is of another type.
 * - `values`: it is one of more values than the reader knows.
 * - `bounds`: it may be longer, larger, more, or of another pattern or format.
 * - `unexpected`: a field that the reader forbids.
 * - `unclear`: a keyword that is not compared here differs.
 */
export interface Misfit {
  readonly path: string
  readonly kind: "missing" | "optional" | "type" | "values" | "bounds" | "unexpected" | "unclear"
  readonly detail: string
}

/**
 * Whether all that `writer` describes is taken by `reader`: empty if it is. A writer writes no fields but its own, and a
 * reader that does not forbid others leaves them unread.
 */
export const misfits = (writer: JsonSchema, reader: JsonSchema): ReadonlyArray<Misfit> =>
  compare({ writer: definitionsOf(writer), reader: definitionsOf(reader), open: new Set() }, writer, reader, "")

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Comparison {
  readonly writer: Definitions
  readonly reader: Definitions
  /** Pairs that are being compared further out: what is recursive fits where nothing else speaks against it. */
  readonly open: ReadonlySet<string>
}

const compare = (given: Comparison, writer: Node, reader: Node, path: string): ReadonlyArray<Misfit> =>
  flat(given, flatten(writer, given.writer), flatten(reader, given.reader), path)

const flat = (outer: Comparison, writer: Flat, reader: Flat, path: string): ReadonlyArray<Misfit> => {
  if (reader.keywords.size === 0 || isNothing(writer)) return []
  if (isNothing(reader)) return [{ path, kind: "type", detail: "nothing is taken here" }]
  const pair = JSON.stringify([[...writer.keywords], [...reader.keywords]])
  if (outer.open.has(pair)) return []
  const given: Comparison = { ...outer, open: new Set([...outer.open, pair]) }

  // what the writer writes is one of several: each of them has to be taken
  const branches = alternativesOf(writer)
  if (branches !== undefined) {
    return together(branches.flatMap((branch) => flat(given, mergedWriter(given, writer, branch), reader, path)))
  }
  const unions = unionsOf(reader)
  if (unions.length > 0) {
    const rest = without(reader, ["anyOf", "oneOf"])
    return distinct([
      ...flat(given, writer, rest, path),
      ...unions.flatMap((union) => {
        const each = union.map((branch) => flat(given, writer, flatten(branch, given.reader), path))
        // of a tagged union, the branch of the same tag has the most to say
        return each.reduce((best, one) => weightOf(one, path) < weightOf(best, path) ? one : best)
      })
    ])
  }

  const values = enumOf(writer)
  if (values !== undefined) return ofValue(given, values[0], writer, reader, path)
  const writes = typesOf(writer)
  const reads = typesOf(reader)
  const isForeign = (type: string): boolean =>
    reads !== undefined && !reads.some((one) => one === type || (one === "number" && type === "integer"))
  if (reads !== undefined && (writes ?? allTypes).some(isForeign)) {
    return [{ path, kind: "type", detail: `${typesText(writes ?? ["anything"])} instead of ${typesText(reads)}` }]
  }
  const known = enumOf(reader)
  const isKnown = (type: string): boolean =>
    type === "null" ? known!.includes(null) : type === "boolean" && known!.includes(true) && known!.includes(false)
  if (known !== undefined && !(writes ?? allTypes).every(isKnown)) {
    return [{ path, kind: "values", detail: `other than ${known.map((one) => JSON.stringify(one)).join(", ")}` }]
  }
  return [
    ...(isWritten(writes, "number") ? boundsOf(writer, reader, path, numeric) : []),
    ...(isWritten(writes, "string") ? boundsOf(writer, reader, path, textual) : []),
    ...(isWritten(writes, "array")
      ? [...boundsOf(writer, reader, path, counted("Items", "items")), ...items(given, writer, reader, path)]
      : []),
    ...(isWritten(writes, "object")
      ? [...boundsOf(writer, reader, path, counted("Properties", "fields")), ...fields(given, writer, reader, path)]
      : []),
    ...unclear(writer, reader, path)
  ]
}

const unclear = (writer: Flat, reader: Flat, path: string): ReadonlyArray<Misfit> =>
  [...reader.keywords].flatMap(([name, wanted]) => {
    const has = writer.keywords.get(name) ?? []
    return compared.has(name) || wanted.every((one) => has.some((other) => same(one, other)))
      ? []
      : [{ path, kind: "unclear" as const, detail: `\`${name}\` differs, which is not compared any further` }]
  })

/** One value: it is known or not, and what it is by itself. */
const ofValue = (
  given: Comparison,
  value: unknown,
  writer: Flat,
  reader: Flat,
  path: string
): ReadonlyArray<Misfit> => {
  const known = enumOf(reader)
  if (known !== undefined && known.some((one) => isOf(typeOf(one), value)) && !known.some((one) => same(one, value))) {
    return [{ path, kind: "values", detail: JSON.stringify(value) }]
  }
  const described = mergedWriter(given, without(writer, ["enum", "type"]), descriptionOf(value))
  return flat(
    given,
    described,
    known?.some((one) => same(one, value)) === true ? without(reader, ["enum"]) : reader,
    path
  )
}

const compared = new Set([
  "additionalItems",
  "additionalProperties",
  "anyOf",
  "enum",
  "exclusiveMaximum",
  "exclusiveMinimum",
  "format",
  "items",
  "maxItems",
  "maxLength",
  "maxProperties",
  "maximum",
  "minItems",
  "minLength",
  "minProperties",
  "minimum",
  "multipleOf",
  "oneOf",
  "pattern",
  "patternProperties",
  "prefixItems",
  "properties",
  "required",
  "type"
])

const allTypes = ["array", "boolean", "null", "number", "object", "string"]

const distinct = (found: ReadonlyArray<Misfit>): ReadonlyArray<Misfit> =>
  found.filter((one, at) => found.findIndex((other) => same(one, other)) === at)

/** Values of one place are told at once. */
const together = (found: ReadonlyArray<Misfit>): ReadonlyArray<Misfit> => {
  const values = new Map<string, ReadonlyArray<Misfit>>()
  for (const one of found) if (one.kind === "values") values.set(one.path, [...(values.get(one.path) ?? []), one])
  return distinct(found.map((one) => {
    const all = one.kind === "values" ? values.get(one.path)! : [one]
    return { ...one, detail: [...new Set(all.map(({ detail }) => detail))].join(", ") }
  }))
}

/** A misfit of the whole weighs more than any of its parts. */
const weightOf = (found: ReadonlyArray<Misfit>, whole: string): number =>
  found.reduce((sum, { kind, path }) => sum + (kind === "type" && path === whole ? 100 : kind === "values" ? 10 : 1), 0)

/** One union of the writer at a time; several values are one, and so is a list of types. */
const alternativesOf = (writer: Flat): ReadonlyArray<Node> | undefined => {
  const [union] = unionsOf(writer)
  if (union !== undefined) return union
  const values = enumOf(writer)
  if (values !== undefined) return values.length === 1 ? undefined : values.map((value) => ({ enum: [value] }))
  const types = typesOf(writer)
  return types === undefined || types.length < 2 ? undefined : types.map((type) => ({ type }))
}

const mergedWriter = (given: Comparison, writer: Flat, branch: Node): Flat => {
  const [union] = unionsOf(writer)
  const keywords = new Map(writer.keywords)
  if (union === undefined) {
    keywords.delete("enum")
    keywords.delete("type")
  }
  for (const name of union === undefined ? [] : ["anyOf", "oneOf"]) {
    const rest = (keywords.get(name) ?? []).filter((one) => one !== union)
    if (rest.length === 0) keywords.delete(name)
    else keywords.set(name, rest)
  }
  for (const [name, values] of flatten(branch, given.writer).keywords) {
    keywords.set(name, [...(keywords.get(name) ?? []), ...values])
  }
  return { keywords }
}

const items = (given: Comparison, writer: Flat, reader: Flat, path: string): ReadonlyArray<Misfit> => {
  const places = Math.max(tupleOf(writer)?.length ?? 0, tupleOf(reader)?.length ?? 0)
  const most = Math.min(Number.POSITIVE_INFINITY, ...numbers(writer, "maxItems"))
  return distinct(
    Array.from({ length: places + 1 }, (_, at) => at).flatMap((at) => {
      if (at >= most) return []
      const writes: Node = { allOf: itemAt(writer, at) }
      const where = `${path}[${at < places ? at : ""}]`
      return itemAt(reader, at).flatMap((reads) =>
        reads === false && isNothing(flatten(writes, given.writer)) ? [] : compare(given, writes, reads, where)
      )
    })
  )
}

const fields = (given: Comparison, writer: Flat, reader: Flat, path: string): ReadonlyArray<Misfit> => {
  const written = propertiesOf(writer)
  const always = requiredOf(writer)
  const read = propertiesOf(reader)
  // a record's values go wherever the reader puts what it does not know by name
  const others = othersOf(writer)
  const isRecord = others !== undefined && !others.includes(false)
  const readersOf = (name: string): ReadonlyArray<Node> => {
    const patterns = patternsOf(reader)
    return read.get(name) ?? (patterns.length === 0
      ? (reader.keywords.get("additionalProperties") ?? []) as ReadonlyArray<Node>
      : patterns.filter(([pattern]) => new RegExp(pattern, "u").test(name)).map(([, node]) => node))
  }
  return [
    ...[...requiredOf(reader)].filter((name) => !always.has(name)).map((name): Misfit =>
      written.has(name) || isRecord
        ? { path: at(path, name), kind: "optional", detail: "it may be left out" }
        : { path: at(path, name), kind: "missing", detail: "it is not there" }
    ),
    ...[...written].flatMap(([name, nodes]) =>
      readersOf(name).flatMap((node): ReadonlyArray<Misfit> =>
        node === false
          ? [{ path: at(path, name), kind: "unexpected", detail: "it is not allowed here" }]
          : compare(given, { allOf: nodes }, node, at(path, name))
      )
    ),
    ...(isRecord
      ? [
        ...(othersOf(reader) ?? []).flatMap((node) => compare(given, { allOf: others }, node, `${path}{}`)),
        ...[...read].filter(([name]) => !written.has(name)).flatMap(([name, nodes]) =>
          nodes.flatMap((node) => compare(given, { allOf: others }, node, at(path, name)))
        )
      ]
      : [])
  ]
}

const at = (path: string, name: string): string => path === "" ? name : `${path}.${name}`

const isWritten = (types: ReadonlyArray<string> | undefined, type: string): boolean =>
  types === undefined || types.includes(type) || (type === "number" && types.includes("integer"))

const typesText = (types: ReadonlyArray<string>): string => types.join(" or ")

const boundsOf = (writer: Flat, reader: Flat, path: string, bounds: ReadonlyArray<Bound>): ReadonlyArray<Misfit> =>
  bounds.flatMap((bound) => {
    const detail = bound(writer, reader)
    return detail === undefined ? [] : [{ path, kind: "bounds" as const, detail }]
  })
