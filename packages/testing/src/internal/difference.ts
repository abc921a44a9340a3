import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import { inspect, isDeepStrictEqual } from "node:util"

/** Whether two values are the same to a test: by `Equal`, or field by field and of one class. */
export const areSame = (expected: unknown, received: unknown): boolean =>
  compare(expected, received, "", () => {}) === 0

/**
 * Where a value differs from what was expected, two lines for each place: `- ` what was expected there, `+ ` what was received.
 */
export const differences = (expected: unknown, received: unknown): ReadonlyArray<string> => {
  const lines: Array<string> = []
  compare(expected, received, "", (path, left, right) => {
    const at = path === "" ? "" : `${path}: `
    lines.push(`- ${at}${show(left)}`, `+ ${at}${show(right)}`)
  })
  return lines
}

/**
 * As {@link differences}, of lists: which are missing and which are too many. Two of one name at one place are shown by the
 * fields that differ.
 */
export const listDifferences = (
  expected: ReadonlyArray<unknown>,
  received: ReadonlyArray<unknown>
): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let missing: Array<unknown> = []
  let extra: Array<unknown> = []
  const flush = () => {
    while (missing.length > 0 || extra.length > 0) {
      const left = missing.shift()
      const right = extra.shift()
      if (left !== undefined && right !== undefined && nameOf(left) === nameOf(right)) {
        const places: Array<Place> = []
        compare(left, right, "", (path, one, other) => places.push([path, one, other]))
        lines.push(`- ${partly(left, places, 1)}`, `+ ${partly(right, places, 2)}`)
      } else {
        if (left !== undefined) lines.push(`- ${show(left)}`)
        if (right !== undefined) lines.push(`+ ${show(right)}`)
      }
    }
    missing = []
    extra = []
  }
  for (const step of alignment(expected, received)) {
    if (step._tag === "missing") missing.push(step.value)
    else if (step._tag === "extra") extra.push(step.value)
    else {
      flush()
      lines.push("  (as expected)")
    }
  }
  flush()
  return folded(lines)
}

/** On one line, with its name in front; errors without their stacks. */
export const show = (value: unknown): string =>
  value instanceof Error || isNamed(value)
    ? `${nameOf(value)} ${plain(fieldsOf(value))}`
    : plain(value)

type Place = readonly [path: string, expected: unknown, received: unknown]

const absent = Symbol("absent")

const plain = (value: unknown): string =>
  value === absent ? "nothing" : inspect(value, { depth: 8, breakLength: Infinity, compact: true, maxArrayLength: 20 })

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const isNamed = (value: unknown): value is object & { readonly _tag: string } =>
  isObject(value) && "_tag" in value && typeof value._tag === "string" && isFieldwise(value)

const nameOf = (value: unknown): string =>
  isObject(value) && "_tag" in value && typeof value._tag === "string"
    ? value._tag
    : isObject(value)
    ? value.constructor?.name ?? "Object"
    : typeof value

const fieldsOf = (value: object): Record<string, unknown> => {
  const { _tag: _, ...fields } = value as Record<string, unknown>
  // not enumerable; those of Schema that declare none make one of their fields
  return value instanceof Error && Object.hasOwn(value, "message")
    ? { message: value.message, ...fields }
    : fields
}

/** Errors, records and instances of `Schema`'s classes: what they are is in their own fields. */
const isFieldwise = (value: object): boolean =>
  value instanceof Error ||
  Object.getPrototypeOf(value) === Object.prototype ||
  Object.getPrototypeOf(value) === null ||
  // of effect's own data types (Option, DateTime, Chunk, …) it is behind their equality
  !(Hash.isHash(value) && "toJSON" in value) && Object.keys(value).length > 0

const compare = (
  expected: unknown,
  received: unknown,
  path: string,
  differ: (path: string, expected: unknown, received: unknown) => unknown
): number => {
  if (Object.is(expected, received) || Equal.equals(expected, received)) return 0
  if (Array.isArray(expected) && Array.isArray(received)) {
    return sum(Math.max(expected.length, received.length), (i) =>
      compare(
        i < expected.length ? expected[i] : absent,
        i < received.length ? received[i] : absent,
        `${path}[${i}]`,
        differ
      ))
  }
  if (
    isObject(expected) && isObject(received) && nameOf(expected) === nameOf(received) &&
    isFieldwise(expected) && isFieldwise(received)
  ) {
    const left = fieldsOf(expected)
    const right = fieldsOf(received)
    const names = [...new Set([...Object.keys(left), ...Object.keys(right)])]
    return sum(names.length, (i) => {
      const name = names[i]!
      return compare(
        name in left ? left[name] : absent,
        name in right ? right[name] : absent,
        path === "" ? name : `${path}.${name}`,
        differ
      )
    })
  }
  if (isObject(expected) && isObject(received) && isValue(expected) && isDeepStrictEqual(expected, received)) return 0
  differ(path, expected, received)
  return 1
}

/** Bytes, dates, maps and sets, which `Equal` tells apart by identity. */
const isValue = (value: object): boolean =>
  value instanceof Date || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)

const sum = (count: number, of: (i: number) => number): number => {
  let total = 0
  for (let i = 0; i < count; i++) total += of(i)
  return total
}

/** A value's name and those of its fields that differ. */
const partly = (value: unknown, places: ReadonlyArray<Place>, side: 1 | 2): string => {
  const fields = places.map((place) => place[0] === "" ? show(place[side]) : `${place[0]}: ${show(place[side])}`)
  return `${nameOf(value)} { ${fields.join(", ")} }`
}

type Step =
  | { readonly _tag: "same" }
  | { readonly _tag: "missing" | "extra"; readonly value: unknown }

/** By the longest common subsequence. */
const alignment = (expected: ReadonlyArray<unknown>, received: ReadonlyArray<unknown>): ReadonlyArray<Step> => {
  const same = expected.map((left) => received.map((right) => areSame(left, right)))
  const lengths = Array.from({ length: expected.length + 1 }, () => new Array<number>(received.length + 1).fill(0))
  for (let i = expected.length - 1; i >= 0; i--) {
    for (let j = received.length - 1; j >= 0; j--) {
      lengths[i]![j] = same[i]![j]
        ? lengths[i + 1]![j + 1]! + 1
        : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!)
    }
  }
  const steps: Array<Step> = []
  let i = 0
  let j = 0
  while (i < expected.length || j < received.length) {
    if (i < expected.length && j < received.length && same[i]![j]) {
      steps.push({ _tag: "same" })
      i += 1
      j += 1
    } else if (j === received.length || i < expected.length && lengths[i + 1]![j]! >= lengths[i]![j + 1]!) {
      steps.push({ _tag: "missing", value: expected[i++] })
    } else steps.push({ _tag: "extra", value: received[j++] })
  }
  return steps
}

/** Many that are as expected are one line. */
const folded = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const result: Array<string> = []
  let count = 0
  const flush = () => {
    if (count > 0) result.push(`  (${count} as expected)`)
    count = 0
  }
  for (const line of lines) {
    if (line === "  (as expected)") count += 1
    else {
      flush()
      result.push(line)
    }
  }
  flush()
  return result
}
