import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertOrder } from "../cases.ts"
import { announce, append, dead, discard, ids, read, redrive, settle, type Topic } from "./topic.ts"

/** When a relay is woken. */
export const arrivalCases = <R>({ facts, it }: Topic<R>): void => {
  facts.describe("arrivals", () => {
    it(
      "are signalled after a commit that stored events, when these can be read",
      Effect.gen(function*() {
        const { arrivals } = yield* OutboxStorage
        const version = yield* arrivals.version
        const woken = yield* Effect.fork(Effect.zipRight(arrivals.waitPast(version), read()))
        yield* Effect.yieldNow()
        const id = yield* Transaction.run(announce("a"))
        assertOrder("entries", ids(yield* Fiber.join(woken)), [id])
        // a level: whoever looks later misses nothing
        yield* arrivals.waitPast(version)
      })
    )

    it(
      "are not signalled by a transaction that was rolled back, nor by one without events",
      Effect.gen(function*() {
        const { arrivals } = yield* OutboxStorage
        const version = yield* arrivals.version
        yield* Transaction.run(Effect.void)
        yield* Effect.exit(Transaction.run(Effect.zipRight(announce("a"), Effect.fail("no"))))
        yield* Transaction.run(Effect.exit(Transaction.run(Effect.zipRight(announce("a"), Effect.fail("no")))))
        assert.strictEqual(yield* arrivals.version, version)
        yield* Transaction.run(announce("b"))
        assert.notStrictEqual(yield* arrivals.version, version)
      })
    )

    it(
      "are not signalled before the commit",
      Effect.gen(function*() {
        const { arrivals } = yield* OutboxStorage
        const version = yield* arrivals.version
        yield* Transaction.run(Effect.gen(function*() {
          yield* announce("a")
          yield* Transaction.run(announce("b"))
          assert.strictEqual(yield* arrivals.version, version)
        }))
        assert.notStrictEqual(yield* arrivals.version, version)
      })
    )

    it(
      "are signalled when dead letters are redriven or discarded, since there is work then",
      Effect.gen(function*() {
        const { arrivals } = yield* OutboxStorage
        yield* append([messageOf({ key: "one" }), messageOf({ key: "two" })])
        const [first, second] = yield* read()
        yield* settle([dead(first!, "halt"), dead(second!, "halt")])
        const version = yield* arrivals.version
        yield* redrive([first!.sequence])
        const redriven = yield* arrivals.version
        assert.notStrictEqual(redriven, version)
        yield* discard([second!.sequence])
        assert.notStrictEqual(yield* arrivals.version, redriven)
      })
    )
  })
}
