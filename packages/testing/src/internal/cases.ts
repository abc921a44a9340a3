import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import type { Feature, Runner, Unsupported } from "../Suite.ts"

const isUnsupported = (feature: unknown): feature is Unsupported =>
  typeof feature === "object" && feature !== null && "_tag" in feature && feature._tag === "Unsupported"

const slug = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, "_").slice(0, 36).replace(/_$/, "")

/** The cases of one suite, each with a name for its database or topic, which comes from the case. */
export const casesOf = (runner: Runner, options: { readonly timeout: number }) => {
  let count = 0
  const it = (name: string, test: (id: string) => Effect.Effect<void, unknown, Scope.Scope>): void => {
    const id = `c${++count}_${slug(name)}`
    runner.it.scopedLive(
      name,
      () => Effect.provide(test(id), Logger.remove(Logger.defaultLogger)),
      options.timeout
    )
  }
  const itWith = <A>(
    feature: Feature<A>,
    name: string,
    test: (id: string, feature: A) => Effect.Effect<void, unknown, Scope.Scope>
  ): void => {
    if (isUnsupported(feature)) {
      count += 1
      runner.it.skip(`${name} (${feature.reason})`, () => {})
    } else it(name, (id) => test(id, feature))
  }
  return { it, itWith }
}

const few = (ids: ReadonlyArray<string>): string =>
  ids.length <= 20 ? ids.join(", ") : `${ids.slice(0, 20).join(", ")} and ${ids.length - 20} more`

const withoutFirst = (from: ReadonlyArray<string>, what: ReadonlyArray<string>): ReadonlyArray<string> => {
  const counts = new Map<string, number>()
  for (const id of what) counts.set(id, (counts.get(id) ?? 0) + 1)
  return from.filter((id) => {
    const count = counts.get(id) ?? 0
    counts.set(id, count - 1)
    return count <= 0
  })
}

/** The same ids, each as often: says which are missing and which are too many. */
export const assertIds = (what: string, actual: ReadonlyArray<string>, expected: ReadonlyArray<string>): void => {
  const missing = withoutFirst(expected, actual)
  const extra = withoutFirst(actual, expected)
  if (missing.length === 0 && extra.length === 0) return
  assert.fail(
    `${what}: ${missing.length} missing [${few(missing)}], ${extra.length} extra [${few(extra)}]`
  )
}

/** The same ids in the same order. */
export const assertOrder = (what: string, actual: ReadonlyArray<string>, expected: ReadonlyArray<string>): void => {
  assertIds(what, actual, expected)
  const at = actual.findIndex((id, index) => id !== expected[index])
  if (at >= 0) {
    assert.fail(
      `${what}: out of order from place ${at}: [${few(actual.slice(at))}] in place of [${few(expected.slice(at))}]`
    )
  }
}
