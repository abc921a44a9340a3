import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as assert from "node:assert"
import { assertIds, assertOrder } from "../cases.ts"
import { announced, Refused, type Topic } from "./topic.ts"

/** Victims of the database are repeated as a whole, by a policy. */
export const conflictCases = <R>(
  { add, assertStored, assertUsable, both, facts, it, itWith, read }: Topic<R>
): void => {
  facts.describe("conflicts", () => {
    itWith(
      facts.conflict,
      "a victim is repeated as a whole by its policy, each time from nothing",
      (conflict) =>
        Effect.gen(function*() {
          let attempts = 0
          const hooks: Array<number> = []
          yield* Transaction.run(
            Effect.gen(function*() {
              const attempt = ++attempts
              yield* both("a")
              yield* add(`attempt ${attempt}`)
              yield* Transaction.afterCommit(Effect.sync(() => hooks.push(attempt)))
              if (attempt < 3) yield* conflict
            }),
            { retry: Schedule.recurs(5) }
          )
          assert.strictEqual(attempts, 3)
          assert.deepStrictEqual(hooks, [3])
          assertIds("writes", yield* read, ["a"])
          assertOrder("events", yield* announced, ["a", "attempt 3"])
        })
    )

    itWith(
      facts.conflict,
      "a victim in a nested run is repeated with the whole transaction",
      (conflict) =>
        Effect.gen(function*() {
          let attempts = 0
          yield* Transaction.run(
            Effect.gen(function*() {
              const attempt = ++attempts
              yield* both("a")
              yield* Transaction.run(Effect.zipRight(both("b"), attempt < 3 ? conflict : Effect.void))
            }),
            { retry: Schedule.recurs(5) }
          )
          assert.strictEqual(attempts, 3)
          yield* assertStored(["a", "b"])
        })
    )

    itWith(
      facts.conflict,
      "a victim is repeated no more often than its policy says, and not at all without one",
      (conflict) =>
        Effect.gen(function*() {
          let attempts = 0
          const always = Effect.zipRight(Effect.suspend(() => both(`a${++attempts}`)), conflict)
          yield* Effect.flip(Transaction.run(always))
          assert.strictEqual(attempts, 1)
          yield* Effect.flip(Transaction.run(always, { retry: Schedule.recurs(2) }))
          assert.strictEqual(attempts, 4)
          yield* assertStored([])
          yield* assertUsable([])
        })
    )

    it(
      "another failure is not repeated",
      Effect.gen(function*() {
        let attempts = 0
        yield* Effect.flip(Transaction.run(
          Effect.suspend(() => Effect.zipRight(both(`a${++attempts}`), new Refused())),
          { retry: Schedule.recurs(5) }
        ))
        assert.strictEqual(attempts, 1)
        yield* assertStored([])
      })
    )
  })
}
