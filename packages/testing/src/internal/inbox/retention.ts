import * as Inbox from "@effect-cqrs/core/Inbox"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { alone, keyOf, type Topic } from "./topic.ts"

/** Keys are remembered for as long as the retention says. */
export const retentionCases = <R>({ assertStored, facts, it, write }: Topic<R>): void => {
  const older = Duration.sum(facts.retention ?? Duration.days(7), Duration.minutes(1))

  it(
    "forgets what is older than the retention, and only that",
    Effect.gen(function*() {
      const storage = yield* Inbox.InboxStorage
      const old = keyOf({ messageId: "old" })
      const young = keyOf({ messageId: "young" })
      yield* Inbox.process(old, write("old"))
      yield* storage.start(old, alone("a"))
      yield* facts.age(Duration.times(older, 0.5))
      assert.strictEqual(yield* storage.purge({ limit: 100 }), 0)
      yield* Inbox.process(young, write("young"))
      yield* storage.start(young, alone("a"))
      yield* facts.age(Duration.times(older, 0.5))
      assert.strictEqual((yield* Inbox.process(young, write("young again")))._tag, "Duplicate")
      assert.strictEqual(yield* storage.purge({ limit: 100 }), 2)
      assert.strictEqual(yield* storage.purge({ limit: 100 }), 0)
      assert.strictEqual((yield* Inbox.process(old, write("old again")))._tag, "Handled")
      assert.strictEqual((yield* Inbox.process(young, write("young again")))._tag, "Duplicate")
      assert.strictEqual(yield* storage.isSuspect(old), false)
      assert.strictEqual(yield* storage.isSuspect(young), true)
      yield* assertStored(["old", "young", "old again"])
    })
  )

  it(
    "purges 10,000 keys in steps no greater than asked for, and none that is younger",
    Effect.gen(function*() {
      const storage = yield* Inbox.InboxStorage
      const registerAll = (count: number, source: string) =>
        Transaction.run(Effect.map(
          Effect.forEach(
            Array.from({ length: count }, (_, n) => n),
            (n) => storage.register(keyOf({ source, messageId: `${n}` }))
          ),
          (added) => added.filter(Boolean).length
        ))
      for (const source of ["a", "b", "c", "d"]) assert.strictEqual(yield* registerAll(2500, source), 2500)
      yield* facts.age(older)
      assert.strictEqual(yield* registerAll(300, "young"), 300)
      for (let left = 10_000; left > 0; left -= 750) {
        assert.strictEqual(yield* storage.purge({ limit: 750 }), Math.min(750, left))
      }
      assert.strictEqual(yield* storage.purge({ limit: 750 }), 0)
      assert.strictEqual(yield* registerAll(300, "young"), 0)
      assert.strictEqual(yield* registerAll(300, "a"), 300)
    })
  )

  it(
    "several that purge at once share the work",
    Effect.gen(function*() {
      const storage = yield* Inbox.InboxStorage
      yield* Transaction.run(Effect.forEach(
        Array.from({ length: 1000 }, (_, n) => n),
        (n) => storage.register(keyOf({ messageId: `${n}` }))
      ))
      yield* facts.age(older)
      const purge = Effect.iterate({ total: 0, last: 1 }, {
        while: ({ last }) => last > 0,
        body: ({ total }) => Effect.map(storage.purge({ limit: 50 }), (last) => ({ total: total + last, last }))
      })
      // those that find their rows taken by others may give up early
      const purged = yield* Effect.all(Array.from({ length: 4 }, () => purge), { concurrency: "unbounded" })
      const rest = yield* purge
      assert.strictEqual([...purged, rest].reduce((sum, { total }) => sum + total, 0), 1000)
    })
  )
}
