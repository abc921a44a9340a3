/**
 * Tests that need a real server: they run where its endpoint is known, show as skipped where it is not, and fail in CI.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/**
 * @since 0.1.0
 * @category models
 */
export type Endpoint = Data.TaggedEnum<{
  Found: { readonly url: Redacted.Redacted }
  /** `reason` is a sentence that tells what to do. */
  Skipped: { readonly reason: string }
  /** The same in CI, where a test that does not run proves nothing. */
  Missing: { readonly reason: string }
}>

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The environment variable that holds the endpoint: a URL, or a list of brokers. Empty counts as not set. */
  readonly variable: string
  /** What to do where it is not set, as a sentence. "Set the variable …" by default. */
  readonly hint?: string | undefined
  /** Skipped in CI, too. Default: false. */
  readonly optional?: boolean | undefined
  /** Default: the environment of the process. */
  readonly provider?: ConfigProvider.ConfigProvider | undefined
}

/**
 * Looks for the endpoint, and at `CI`, which is on unless it is not set, empty, `0` or `false`.
 *
 * @example
 * ```ts
 * import { Endpoint } from "@effect-cqrs/testing"
 * import * as assert from "node:assert"
 * import { ConfigProvider, Effect } from "effect"
 *
 * const provider = ConfigProvider.fromMap(new Map([["CI", "true"]]))
 * const endpoint = Effect.runSync(Endpoint.find({ variable: "MARIADB_URL", provider }))
 *
 * assert.strictEqual(endpoint._tag, "Missing")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const find = (options: Options): Effect.Effect<Endpoint> =>
  Effect.gen(function*() {
    const url = yield* orEmpty(options.variable)
    if (url !== "") return Found({ url: Redacted.make(url) })
    const reason = `${options.variable} is not set. ${options.hint ?? "Set it to a server's endpoint."}`
    const isCi = !["", "0", "false"].includes(yield* orEmpty("CI"))
    return isCi && options.optional !== true ? Missing({ reason }) : Skipped({ reason })
  }).pipe(Effect.withConfigProvider(options.provider ?? ConfigProvider.fromEnv()))

/**
 * @since 0.1.0
 * @category models
 */
export interface SuiteOptions extends Options {
  /** The test runner's own, so that this package can be imported outside of any: vitest's, or another's of this shape. */
  readonly describe: (name: string, collect: () => void) => unknown
  readonly it: {
    (name: string, test: () => void): unknown
    readonly skip: (name: string, test: () => void) => unknown
  }
}

/**
 * A group of tests that need the server. `tests` is called with its endpoint while tests are collected, and not at all
 * where there is none: then one test stands for the group, skipped, or failing in CI, with the reason for its name.
 *
 * @example
 * ```ts
 * import { Endpoint } from "@effect-cqrs/testing"
 * import { Redacted } from "effect"
 * import { describe, it } from "node:test"
 *
 * Endpoint.suite("MariaDB", { describe, it, optional: true, variable: "MARIADB_URL" }, (url) => {
 *   it("is reached", () => console.log(Redacted.value(url)))
 * })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = (name: string, options: SuiteOptions, tests: (url: Redacted.Redacted) => void): void => {
  const endpoint = Effect.runSync(find(options))
  options.describe(name, () => {
    if (endpoint._tag === "Found") return tests(endpoint.url)
    const { _tag, reason } = endpoint
    const fail = () => {
      throw new Error(reason)
    }
    if (_tag === "Skipped") options.it.skip(reason, fail)
    else options.it(reason, fail)
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const { Found, Missing, Skipped } = Data.taggedEnum<Endpoint>()

const orEmpty = (name: string) => Effect.orDie(Config.withDefault(Config.string(name), ""))
