import { BucketOwner, OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref, TestClock } from "effect"
import { holding, layerLogs, Logs, membership, RelayGround, Scripted } from "./fixtures.ts"
import { commit, delivered, drain, room, statistics, tick } from "./support/relay.ts"

describe("ownership", () => {
  const owned = (held: BucketOwner.Holding) =>
    Layer.scoped(Relay.Relay, Relay.make()).pipe(
      Layer.provide(
        Layer.succeed(BucketOwner.BucketOwner, { join: Effect.succeed(membership(Effect.succeed(held))) })
      ),
      Layer.provideMerge(RelayGround)
    )

  it.effect("reads the buckets it holds and no others", () => {
    const blue = OutboxStorage.bucketOf({ topic: "rooms", key: "blue", id: "" }, 64)
    return Effect.gen(function*() {
      yield* commit(room("blue", 1), room("red", 2))
      yield* drain
      assert.deepStrictEqual(yield* delivered, [1])
    }).pipe(Effect.provide(owned(holding({ buckets: [blue] }))))
  })

  it.effect("starts no publish outside its trusted window", () =>
    Effect.gen(function*() {
      yield* commit(room("blue", 1))
      yield* TestClock.adjust("5 seconds")
      yield* tick
      assert.deepStrictEqual((yield* Scripted).batches, [])
    }).pipe(Effect.provide(owned(holding({ trustedUntil: 5_000_000_000n })))))

  it.effect("a settlement that was fenced off is said, and nothing is published until the relay has another token", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const token = yield* Ref.make(1n)
      const fenced = yield* Relay.make().pipe(
        Effect.provideService(OutboxStorage.OutboxStorage, {
          ...storage,
          settle: (own, settlements) => own === 1n ? Effect.succeed(false) : storage.settle(own, settlements)
        }),
        Effect.provideService(BucketOwner.BucketOwner, {
          join: Effect.succeed(membership(Effect.map(Ref.get(token), (own) => holding({ token: own }))))
        })
      )
      yield* commit(room("blue", 1))
      yield* fenced.tick
      yield* fenced.tick
      assert.strictEqual((yield* Scripted).batches.length, 1)
      assert.isTrue((yield* Logs).some((line) => line.includes("went to another relay")))
      assert.strictEqual((yield* statistics).pending, 1)
      yield* Ref.set(token, 2n)
      yield* fenced.tick
      assert.strictEqual((yield* Scripted).batches.length, 2)
      assert.strictEqual((yield* statistics).pending, 0)
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(RelayGround, layerLogs))))
})
