import { Inbox, Outbox, Transaction } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Ref } from "effect"
import { Memory, pending, RoomClosed, settled } from "./fixtures.ts"

const Ground = Layer.merge(Memory, Inbox.layerMemory)
const key: Inbox.Key = { consumer: "c", handler: "h", source: "/s", messageId: "1" }
const add = Outbox.add(new RoomClosed({ room: "blue", n: 1 }))
const stored = Effect.map(pending, (messages) => messages.length)

describe("Inbox.process", () => {
  it.effect("runs an effect once per key, and says when it had run before", () =>
    Effect.gen(function*() {
      const runs = yield* Ref.make(0)
      const count = Ref.updateAndGet(runs, (n) => n + 1)
      assert.deepStrictEqual(yield* Inbox.process(key, count), { _tag: "Handled", value: 1 })
      assert.deepStrictEqual(yield* Inbox.process(key, count), { _tag: "Duplicate" })
      assert.strictEqual(yield* Ref.get(runs), 1)
    }).pipe(Effect.provide(Ground)))

  for (const field of ["consumer", "handler", "source", "messageId"] as const) {
    it.effect(`keys that differ in ${field} are different`, () =>
      Effect.gen(function*() {
        yield* Inbox.process(key, Effect.void)
        assert.strictEqual((yield* Inbox.process({ ...key, [field]: "other" }, Effect.void))._tag, "Handled")
      }).pipe(Effect.provide(Ground)))
  }

  it.effect("runs the effect in a transaction, so that it may announce events", () =>
    Effect.gen(function*() {
      yield* Inbox.process(key, add)
      yield* Inbox.process(key, add)
      assert.strictEqual(yield* stored, 1)
    }).pipe(Effect.provide(Ground)))

  for (
    const [how, end] of [["failed", Effect.fail("no")], ["died", Effect.die("no")], [
      "was interrupted",
      Effect.interrupt
    ]] as const
  ) {
    it.effect(`forgets a key whose effect ${how}, with all it wrote`, () =>
      Effect.gen(function*() {
        yield* Effect.exit(Inbox.process(key, Effect.zipRight(add, end)))
        assert.strictEqual(yield* stored, 0)
        assert.strictEqual((yield* Inbox.process(key, add))._tag, "Handled")
        assert.strictEqual(yield* stored, 1)
      }).pipe(Effect.provide(Ground)))
  }

  it.effect("inside an outer transaction is part of it", () =>
    Effect.gen(function*() {
      yield* Effect.ignore(Transaction.run(Effect.zipRight(Inbox.process(key, add), Effect.fail("no"))))
      assert.strictEqual((yield* Inbox.process(key, add))._tag, "Handled")
    }).pipe(Effect.provide(Ground)))

  it.effect("twice inside one transaction is a duplicate", () =>
    Transaction.run(Effect.gen(function*() {
      assert.strictEqual((yield* Inbox.process(key, Effect.void))._tag, "Handled")
      assert.strictEqual((yield* Inbox.process(key, Effect.void))._tag, "Duplicate")
    })).pipe(Effect.provide(Ground)))

  for (
    const [outcome, end, second] of [
      ["commits, and is a duplicate then", Effect.void, "Duplicate"],
      ["rolls back, and runs then", Effect.fail("no"), "Handled"]
    ] as const
  ) {
    it.effect(`a second one waits for the first: until it ${outcome}`, () =>
      Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        const first = yield* Effect.fork(
          Effect.exit(Inbox.process(key, Effect.zipRight(Deferred.await(go), end as Effect.Effect<void, string>)))
        )
        yield* settled
        const waiting = yield* Effect.fork(Inbox.process(key, Effect.void))
        yield* settled
        assert.isNull(waiting.unsafePoll())
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(first)
        assert.strictEqual((yield* Fiber.join(waiting))._tag, second)
      }).pipe(Effect.provide(Ground)))
  }
})
