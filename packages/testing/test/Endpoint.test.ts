import * as Endpoint from "@effect-cqrs/testing/Endpoint"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"

const provider = (environment: Record<string, string>) => ConfigProvider.fromMap(new Map(Object.entries(environment)))

const find = (environment: Record<string, string>, options: Partial<Endpoint.Options> = {}) =>
  Endpoint.find({ variable: "URL", hint: "Start one.", provider: provider(environment), ...options })

const reason = "URL is not set. Start one."

describe("Endpoint", () => {
  it.effect("hands over the endpoint as a secret", () =>
    Effect.gen(function*() {
      const endpoint = yield* find({ URL: "mysql://root:secret@127.0.0.1/test", CI: "true" })
      assert.deepStrictEqual(endpoint, { _tag: "Found", url: Redacted.make("mysql://root:secret@127.0.0.1/test") })
      assert.notInclude(JSON.stringify(endpoint), "secret")
    }))

  it.effect.each([{}, { URL: "" }, { CI: "" }, { CI: "false" }, { CI: "0" }])(
    "is skipped with the reason: %o",
    (environment) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* find(environment), { _tag: "Skipped", reason })
      })
  )

  it.effect.each([{ CI: "true" }, { CI: "1" }, { CI: "true", URL: "" }])(
    "is missed in CI: %o",
    (environment) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* find(environment), { _tag: "Missing", reason })
      })
  )

  it.effect("is skipped in CI where it is optional", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* find({ CI: "true" }, { optional: true }), { _tag: "Skipped", reason })
    }))
})

describe("Endpoint.suite", () => {
  /** What a test runner is told, and what its tests did. */
  const collect = (environment: Record<string, string>) => {
    const log: Array<string> = []
    const run = (name: string, test: () => void) => {
      try {
        test()
        log.push(`passed: ${name}`)
      } catch (error) {
        log.push(`failed: ${name}: ${String(error)}`)
      }
    }
    const it = Object.assign(run, { skip: (name: string) => log.push(`skipped: ${name}`) })
    const describe = (name: string, tests: () => void) => {
      log.push(name)
      tests()
    }
    const options = { describe, it, variable: "URL", hint: "Start one.", provider: provider(environment) }
    Endpoint.suite("Kafka", options, (url) => it(`reaches ${Redacted.value(url)}`, () => {}))
    return log
  }

  it("runs the tests on the endpoint", () =>
    assert.deepStrictEqual(collect({ URL: "127.0.0.1:9092" }), ["Kafka", "passed: reaches 127.0.0.1:9092"]))

  it("shows one skipped test where there is no endpoint", () =>
    assert.deepStrictEqual(collect({}), ["Kafka", `skipped: ${reason}`]))

  it("fails in CI where there is no endpoint", () =>
    assert.deepStrictEqual(collect({ CI: "true" }), ["Kafka", `failed: ${reason}: Error: ${reason}`]))
})
