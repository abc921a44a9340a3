import { BucketOwner, OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Ref, TestClock } from "effect"
import { holding, membership, ownerOf, settled } from "./fixtures.ts"
import { commit, delivered, Ground, room, statistics } from "./support/relay.ts"

/** A relay that holds some buckets; answers the limits and results of its purges. */
const purging = (options: Relay.Options, buckets: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    const purges = yield* Ref.make<ReadonlyArray<readonly [limit: number, deleted: number]>>([])
    yield* Layer.build(
      Relay.layer({ lanes: 1, pollInterval: "1 hour", ...options }).pipe(
        Layer.provide(Layer.succeed(OutboxStorage.OutboxStorage, {
          ...storage,
          purge: (what) =>
            Effect.tap(
              storage.purge(what),
              (deleted) => Ref.update(purges, (all) => [...all, [what.limit, deleted] as const])
            )
        })),
        Layer.provide(Layer.succeed(
          BucketOwner.BucketOwner,
          ownerOf(
            Effect.succeed(membership(Effect.succeed(holding({ buckets }))))
          )
        ))
      )
    )
    return purges
  })

const everything = Array.from({ length: 64 }, (_, bucket) => bucket)

describe("retention", () => {
  it.effect("what is delivered is kept so long, and then purged in bounded steps", () =>
    Effect.gen(function*() {
      const purges = yield* purging({ retention: "1 hour" }, everything)
      yield* commit(...Array.from({ length: 2500 }, (_, n) => room(`room ${n % 50}`, n)))
      yield* settled
      yield* settled
      assert.strictEqual((yield* delivered).length, 2500)
      assert.deepInclude(yield* statistics, { pending: 0, dead: 0 })
      yield* TestClock.adjust("59 minutes")
      yield* settled
      assert.isTrue((yield* Ref.get(purges)).every(([, deleted]) => deleted === 0))
      yield* Ref.set(purges, [])
      yield* TestClock.adjust("2 minutes")
      yield* settled
      assert.deepStrictEqual((yield* Ref.get(purges)).filter(([, deleted]) => deleted > 0), [
        [1000, 1000],
        [1000, 1000],
        [1000, 500]
      ])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("the owner of the first bucket purges, and nobody else", () =>
    Effect.gen(function*() {
      const purges = yield* purging({ retention: "10 minutes" }, everything.slice(1))
      yield* TestClock.adjust("1 hour")
      yield* settled
      assert.deepStrictEqual(yield* Ref.get(purges), [])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("without it nothing is kept, and nothing purged", () =>
    Effect.gen(function*() {
      const purges = yield* purging({}, everything)
      const storage = yield* OutboxStorage.OutboxStorage
      yield* commit(room("blue", 1))
      yield* settled
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Ref.get(purges), [])
      assert.strictEqual(yield* storage.purge({ olderThan: Duration.zero, limit: 10 }), 0)
    }).pipe(Effect.scoped, Effect.provide(Ground)))
})
