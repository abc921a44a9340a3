import { Broker, OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { readFileSync } from "node:fs"
import { load } from "../../src/internal/driver.ts"
import { CliError, endingOf, exitCodes, withoutLogin } from "../../src/internal/exitCode.ts"

describe("exit codes", () => {
  it("are those of the guide, each once", () => {
    const guide = readFileSync(new URL("../../../../docs/guides/cli.md", import.meta.url), "utf8")
    const documented = Array.from(guide.matchAll(/^\| (\d+) \| /gm), ([, code]) => Number(code))
    assert.deepStrictEqual(documented, Object.values(exitCodes).map(([code]) => code))
    assert.strictEqual(new Set(documented).size, documented.length)
  })

  it("tell failures apart, with a sentence that has no login in it", () => {
    const storage = (reason: OutboxStorage.StorageError["reason"]) =>
      new OutboxStorage.StorageError({ reason, message: reason, cause: new Error("at mysql://u:secret@h/app") })
    const cases: ReadonlyArray<readonly [unknown, keyof typeof exitCodes]> = [
      [new CliError({ ending: "NoMatch", message: "nothing" }), "NoMatch"],
      [storage("Unavailable"), "Unreachable"],
      [storage("Configuration"), "Unreachable"],
      [storage("Schema"), "Tables"],
      [storage("Corrupt"), "Tables"],
      [new Broker.BrokerError({ reason: "Unavailable", message: "away" }), "Unreachable"],
      [new Error("postgres://u:secret@h"), "Defect"]
    ]
    for (const [failure, wanted] of cases) {
      const { ending, sentence } = endingOf(Exit.fail(failure))
      assert.strictEqual(ending, wanted)
      assert.isString(sentence)
      assert.notInclude(sentence, "secret")
    }
    assert.strictEqual(endingOf(Exit.void).ending, "Done")
    assert.strictEqual(endingOf(Exit.interrupt({ _tag: "None" } as never)).ending, "Interrupted")
  })

  it("take user and password out of each URL of a text", () => {
    assert.strictEqual(
      withoutLogin("amqp://u:p@h/v and postgres://u@h, not mail@example.org or kafka://h:1"),
      "amqp://…@h/v and postgres://…@h, not mail@example.org or kafka://h:1"
    )
    for (const password of ["a@secret", "a/secret", "a,secret", "a#sec@ret"]) {
      assert.strictEqual(
        withoutLogin(`not amqp://u:${password}@h/v, nor kafka://h:1`),
        "not amqp://…@h/v, nor kafka://h:1"
      )
    }
  })

  it.effect("a driver that is not installed is a sentence that names it, and another failure is none", () =>
    Effect.gen(function*() {
      const missing = Object.assign(new Error("x"), { code: "ERR_MODULE_NOT_FOUND" })
      const { ending, message } = yield* Effect.flip(load("@effect/sql-pg", () => Promise.reject(missing)))
      assert.strictEqual(ending, "Usage")
      assert.match(message, /^The package @effect\/sql-pg is not installed: `npm install @effect\/sql-pg`/)
      const broken = yield* Effect.exit(load("@effect/sql-pg", () => Promise.reject(new Error("broken"))))
      assert.strictEqual(endingOf(broken).ending, "Defect")
    }))
})
