import { type Broker, OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Ref, Scope, TestClock } from "effect"
import { BrokerOut, Delivered, Scripted, settled } from "./fixtures.ts"
import { commit, delivered, Ground, manualOn, room } from "./support/relay.ts"

const laneOf = (key: string, lanes: number) => OutboxStorage.bucketOf({ topic: "rooms", key, id: "" }, 64) % lanes
const keyOf = (lane: number, lanes: number) =>
  Array.from({ length: 100 }, (_, n) => `room ${n}`).find((key) => laneOf(key, lanes) === lane)!

describe("lanes", () => {
  it.effect("publish at the same time, each of other buckets", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      const gate = yield* Deferred.make<void>()
      const relay: Relay.Relay["Type"] = yield* manualOn({}, { lanes: 3 })
      script.publish = (batch) => Effect.as(Deferred.await(gate), batch.map(() => Delivered))
      yield* commit(room(keyOf(0, 3), 0), room(keyOf(1, 3), 1), room(keyOf(2, 3), 2))
      const stepping = yield* Effect.fork(relay.tick)
      yield* settled
      assert.deepStrictEqual(script.batches.map((batch) => batch.map(({ key }) => laneOf(key!, 3))).sort(), [[0], [1], [
        2
      ]])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(stepping)).delivered, 3)
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("one that hangs does not hold up the others", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      let hangs = true
      const untilFree: Effect.Effect<ReadonlyArray<Broker.Outcome>> = Effect.suspend(() =>
        hangs ? Effect.delay(untilFree, "1 second") : Effect.succeed([BrokerOut])
      )
      script.publish = (batch) =>
        laneOf(batch[0]!.key!, 2) === 0
          ? untilFree
          : Effect.sync(() => {
            for (const one of batch) script.delivered.push(one)
            return batch.map(() => Delivered)
          })
      yield* commit(room(keyOf(0, 2), 0))
      yield* settled
      yield* commit(room(keyOf(1, 2), 1))
      yield* settled
      yield* commit(room(keyOf(1, 2), 2))
      yield* settled
      assert.deepStrictEqual(yield* delivered, [1, 2])
      hangs = false
      yield* TestClock.adjust("1 second")
    }).pipe(Effect.provide(Layer.provideMerge(
      Relay.layer({ lanes: 2, pollInterval: "1 hour" }),
      Ground
    ))))

  it.effect("a step by hand in which one of them fails lets the others finish", () =>
    Effect.gen(function*() {
      const relay = yield* manualOn({
        storage: (storage) => ({
          read: (options) =>
            options.from[0]!.bucket % 2 === 0
              ? Effect.fail(new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" }))
              : storage.read(options)
        })
      }, { lanes: 2 })
      const script = yield* Scripted
      script.publish = (batch) =>
        Effect.zipRight(
          Effect.yieldNow(),
          Effect.sync(() => {
            for (const one of batch) script.delivered.push(one)
            return batch.map(() => Delivered)
          })
        )
      yield* commit(room(keyOf(1, 2), 1))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(relay.tick)))
      assert.deepStrictEqual(yield* delivered, [1])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("a commit wakes the lane of its bucket, and no other", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const reads = yield* Ref.make<ReadonlyArray<number>>([])
      const scope = yield* Scope.make()
      const counting = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        read: (options) =>
          Effect.zipRight(
            Ref.update(reads, (lanes) => [...lanes, options.from[0]!.bucket % 4]),
            storage.read(options)
          )
      })
      yield* Layer.buildWithScope(Layer.provide(Relay.layer({ lanes: 4, pollInterval: "1 hour" }), counting), scope)
      yield* settled
      yield* Ref.set(reads, [])
      yield* commit(room(keyOf(2, 4), 1))
      yield* settled
      assert.deepStrictEqual([...new Set(yield* Ref.get(reads))], [2])
      assert.deepStrictEqual(yield* delivered, [1])
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(Ground)))
})
