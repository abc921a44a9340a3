import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertOrder } from "../cases.ts"
import { commit, read, statistics, type Topic } from "./topic.ts"

/** Of two transactions that ask for the lock of a key, the sequences are in the order of their commits. */
export const keyLockCases = <R>({ cases, facts, it }: Topic<R>): void => {
  facts.describe("key locks", () => {
    for (const isolation of [undefined, "ReadCommitted", "RepeatableRead"] as const) {
      cases.itWith(
        facts.concurrentWriters,
        `a transaction that asks for a key's lock waits for another's end, and no other does: ${
          isolation ?? "default"
        }`,
        (id) =>
          Effect.gen(function*() {
            const [first, second] = [messageOf({ keyLock: true }), messageOf({ keyLock: true })]
            const placed = yield* Deferred.make<void>()
            const go = yield* Deferred.make<void>()
            const one = yield* Effect.fork(Transaction.run(
              Effect.flatMap(OutboxStorage, (storage) => storage.append([first])).pipe(
                Effect.zipRight(Deferred.succeed(placed, undefined)),
                Effect.zipRight(Deferred.await(go))
              ),
              { isolation }
            ))
            yield* Deferred.await(placed)
            const two = yield* Effect.fork(commit([second], isolation))
            // these pass it while it waits: of other keys or topics, without a key, and without the wish
            const others = Array.from({ length: 5 }, (_, n) => [
              messageOf({ keyLock: true, key: `other ${n}` }),
              messageOf({ keyLock: true, topic: `other ${n}` }),
              messageOf({ keyLock: true, key: undefined }),
              messageOf()
            ]).flat()
            for (const other of others) yield* commit([other], isolation)
            assert.deepStrictEqual(yield* Fiber.poll(two), Option.none(), "the second has not waited")
            yield* Deferred.succeed(go, undefined)
            yield* Fiber.join(one)
            yield* Fiber.join(two)
            const locked = (yield* read()).map((entry) => entry.message.id).filter((one) =>
              one === first.id || one === second.id
            )
            assertOrder("entries", locked, [first.id, second.id])
          }).pipe(Effect.provide(facts.layer(id)))
      )
    }

    it(
      "transactions that ask for several, each in another order, do not wait for each other forever",
      Effect.gen(function*() {
        const keys = ["a", "b", "c", "d"]
        yield* Effect.forEach(
          Array.from({ length: 40 }, (_, n) => n),
          (n) =>
            commit([...keys.slice(n % 4), ...keys.slice(0, n % 4)].map((key) => messageOf({ key, keyLock: true }))),
          { concurrency: 8, discard: true }
        )
        assert.strictEqual((yield* statistics).pending, 160)
      })
    )
  })
}
