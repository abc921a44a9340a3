import { described, type Flat, numbers, requiredOf, typesOf } from "./flat.ts"

/** What a writer may write beyond a bound of the reader's, if it may. */
export type Bound = (writer: Flat, reader: Flat) => string | undefined

/** The lowest that can be, and whether it can be itself; of whole numbers, the lowest whole one. */
const lowest = (one: Flat, sign: 1 | -1): { readonly value: number; readonly isOpen: boolean } => {
  const [closed, open] = sign === 1 ? ["minimum", "exclusiveMinimum"] : ["maximum", "exclusiveMaximum"]
  const candidates = [
    { value: Number.NEGATIVE_INFINITY, isOpen: false },
    ...numbers(one, closed).map((value) => ({ value: sign * value, isOpen: false })),
    ...numbers(one, open).map((value) => ({ value: sign * value, isOpen: true }))
  ]
  const bound = candidates.reduce((best, next) =>
    next.value > best.value || (next.value === best.value && next.isOpen) ? next : best
  )
  const isWhole = typesOf(one)?.every((type) => type === "integer") ?? false
  if (!isWhole || !Number.isFinite(bound.value)) return bound
  return { value: bound.isOpen ? Math.floor(bound.value) + 1 : Math.ceil(bound.value), isOpen: false }
}

const limit = (sign: 1 | -1): Bound => (writer, reader) => {
  const writes = lowest(writer, sign)
  const reads = lowest(reader, sign)
  if (writes.value > reads.value || (writes.value === reads.value && (writes.isOpen || !reads.isOpen))) return undefined
  if (reads.value === Number.NEGATIVE_INFINITY) return undefined
  return `${sign === 1 ? "less" : "more"} than ${sign * reads.value}${reads.isOpen ? ", or that" : ""}`
}

export const numeric: ReadonlyArray<Bound> = [
  limit(1),
  limit(-1),
  (writer, reader) => {
    const isWhole = typesOf(writer)?.every((type) => type === "integer") ?? false
    const factors = [...numbers(writer, "multipleOf"), ...(isWhole ? [1] : [])]
    const refused = numbers(reader, "multipleOf").find((wanted) =>
      !factors.some((factor) => Number.isInteger(factor / wanted))
    )
    return refused === undefined ? undefined : `what is no multiple of ${refused}`
  }
]

export const counted = (of: "Items" | "Length" | "Properties", what: string): ReadonlyArray<Bound> => [
  (writer, reader) => {
    const least = Math.max(0, ...numbers(writer, `min${of}`), ...(of === "Properties" ? [requiredOf(writer).size] : []))
    const wanted = Math.max(0, ...numbers(reader, `min${of}`))
    return least < wanted ? `fewer than ${wanted} ${what}` : undefined
  },
  (writer, reader) => {
    const most = Math.min(Number.POSITIVE_INFINITY, ...numbers(writer, `max${of}`))
    const taken = Math.min(Number.POSITIVE_INFINITY, ...numbers(reader, `max${of}`))
    return most > taken ? `more than ${taken} ${what}` : undefined
  }
]

export const textual: ReadonlyArray<Bound> = [
  ...counted("Length", "characters"),
  ...(["pattern", "format"] as const).map((name): Bound => (writer, reader) => {
    const has = writer.keywords.get(name) ?? []
    const [value] = writer.keywords.get(described) ?? []
    const refused = (reader.keywords.get(name) ?? []).find((wanted) =>
      !has.includes(wanted) &&
      !(name === "pattern" && typeof value === "string" && new RegExp(wanted as string, "u").test(value))
    )
    return refused === undefined ? undefined : `what is not of the ${name} ${String(refused)}`
  })
]
