import { BucketOwner, OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Ref, Schedule, TestClock } from "effect"
import {
  Delivered,
  holding,
  layerLogs,
  Logs,
  membership,
  ownerOf,
  Rejected,
  RelayGround,
  Scripted,
  settled
} from "./fixtures.ts"
import {
  answering,
  commit,
  delivered,
  drain,
  everySecond,
  Ground,
  manualOn,
  numberOf,
  room,
  statistics,
  tick
} from "./support/relay.ts"

describe("ownership", () => {
  const owned = (held: BucketOwner.Holding) =>
    Layer.scoped(Relay.Relay, Relay.make()).pipe(
      Layer.provide(
        Layer.succeed(BucketOwner.BucketOwner, ownerOf(Effect.succeed(membership(Effect.succeed(held)))))
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
        Effect.provideService(
          BucketOwner.BucketOwner,
          ownerOf(
            Effect.succeed(membership(Effect.map(Ref.get(token), (own) => holding({ token: own }))))
          )
        )
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

  it.effect("a lease that ends during a publish interrupts it, and nothing of it is settled", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      const interrupted = yield* Ref.make(false)
      const settlements = yield* Ref.make(0)
      const trustedUntil = yield* Ref.make(5_000_000_000n)
      const relay = yield* manualOn({
        membership: membership(Effect.map(Ref.get(trustedUntil), (until) => holding({ trustedUntil: until }))),
        storage: (storage) => ({
          settle: (...args) => Effect.zipRight(Ref.update(settlements, (n) => n + 1), storage.settle(...args))
        })
      })
      script.publish = () => Effect.onInterrupt(Effect.never, () => Ref.set(interrupted, true))
      yield* commit(room("blue", 1))
      const stepping = yield* Effect.fork(relay.tick)
      yield* settled
      // it is lengthened meanwhile
      yield* Ref.set(trustedUntil, 8_000_000_000n)
      yield* TestClock.adjust("7999 millis")
      assert.isFalse(yield* Ref.get(interrupted))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(stepping)
      assert.isTrue(yield* Ref.get(interrupted))
      assert.strictEqual(yield* Ref.get(settlements), 0)
      assert.strictEqual((yield* statistics).pending, 1)
      // that was no outage of the broker's: nothing is waited for
      script.publish = undefined
      yield* Ref.set(trustedUntil, 100_000_000_000n)
      yield* relay.tick
      assert.deepStrictEqual(yield* delivered, [1])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("what would be published by itself behind the end of the lease is not", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      const relay = yield* manualOn({
        membership: membership(Effect.succeed(holding({ trustedUntil: 5_000_000_000n })))
      }, { retry: everySecond })
      yield* answering(() => Rejected())
      yield* commit(room("blue", 1), room("red", 2))
      yield* relay.tick
      yield* TestClock.adjust("1 second")
      yield* commit(room("green", 3))
      script.batches.length = 0
      script.publish = (batch) => Effect.delay(Effect.succeed(batch.map(() => Delivered)), "5 seconds")
      const stepping = yield* Effect.fork(relay.tick)
      yield* settled
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(stepping)
      assert.deepStrictEqual(script.batches.map((batch) => batch.map(numberOf)), [[3]])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  /** A relay with its fiber, of which every step is counted. */
  const counting = (held: Effect.Effect<BucketOwner.Holding>, options?: Relay.Options) =>
    Effect.gen(function*() {
      const steps = yield* Ref.make(0)
      const owner = Layer.succeed(
        BucketOwner.BucketOwner,
        ownerOf(
          Effect.succeed(membership(Effect.zipRight(Ref.update(steps, (n) => n + 1), held)))
        )
      )
      yield* Layer.build(Layer.provide(Relay.layer({ lanes: 1, retry: everySecond, ...options }), owner))
      return steps
    })

  it.effect("something that is due does not make a relay spin that may not publish it", () =>
    Effect.gen(function*() {
      yield* answering(() => Rejected())
      const steps = yield* counting(Effect.succeed(holding({ trustedUntil: 1_500_000_000n })))
      yield* commit(room("blue", 1))
      yield* settled
      yield* TestClock.adjust("1 second")
      yield* settled
      yield* answering(() => Delivered)
      yield* TestClock.adjust("1 second")
      yield* settled
      yield* Ref.set(steps, 0)
      for (let n = 0; n < 10; n++) yield* Effect.zipRight(TestClock.adjust("1 second"), settled)
      assert.isBelow(yield* Ref.get(steps), 60)
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("surplus buckets are released once nothing of them is in flight, also those it has never worked on", () =>
    Effect.gen(function*() {
      const blue = OutboxStorage.bucketOf({ topic: "rooms", key: "blue", id: "" }, 64)
      const script = yield* Scripted
      const done = yield* Deferred.make<void>()
      const held = yield* Ref.make(holding({ surplus: [63] }))
      const released: Array<ReadonlyArray<number>> = []
      const relay = yield* manualOn({
        membership: membership(Ref.get(held), {
          release: (buckets) =>
            Effect.zipRight(
              Effect.sync(() => released.push(buckets)),
              Ref.update(held, (one) =>
                holding({ buckets: one.buckets.filter((bucket) => !buckets.includes(bucket)), surplus: [] }))
            )
        })
      })
      yield* relay.tick
      assert.deepStrictEqual(released, [[63]])
      script.publish = (batch) => Effect.as(Deferred.await(done), batch.map(() => Delivered))
      yield* commit(room("blue", 1))
      const stepping = yield* Effect.fork(relay.tick)
      yield* settled
      yield* Ref.update(held, (one) => ({ ...one, surplus: [blue] }))
      const next = yield* Effect.fork(relay.tick)
      yield* settled
      assert.strictEqual(released.length, 1)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(stepping)
      yield* Fiber.join(next)
      assert.deepStrictEqual(released, [[63], [blue]])
      assert.strictEqual((yield* statistics).pending, 0)
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("a release that failed is repeated", () =>
    Effect.gen(function*() {
      const released: Array<ReadonlyArray<number>> = []
      const relay = yield* manualOn({
        membership: membership(Effect.succeed(holding({ surplus: [5] })), {
          release: (buckets) =>
            Effect.suspend(() =>
              released.push(buckets) === 2
                ? Effect.fail(new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" }))
                : Effect.void
            )
        })
      })
      yield* relay.tick
      yield* Effect.exit(relay.tick)
      yield* relay.tick
      assert.deepStrictEqual(released, [[5], [5], [5]])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("with another token it forgets what it knew of those who wait", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const token = yield* Ref.make(1n)
      const relay = yield* manualOn({
        membership: membership(Effect.map(Ref.get(token), (own) => holding({ token: own })))
      }, { retry: Schedule.stop })
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("red", 2), room("red", 3))
      yield* relay.tick
      // another relay had the buckets meanwhile: it has made a dead letter of what was the first of its key
      yield* commit(room("red", 4), room("red", 5))
      yield* storage.settle(0n, [
        OutboxStorage.Settlement.Dead({ sequence: 4n, attempts: 1, policy: "halt", reason: "no" })
      ])
      yield* Ref.set(token, 2n)
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [2, 3])
      assert.deepInclude(yield* statistics, { pending: 1, dead: 2 })
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("a settlement that failed is repeated under the token of its publish, whatever the token is by then", () =>
    Effect.gen(function*() {
      const token = yield* Ref.make(1n)
      const tokens: Array<bigint> = []
      const relay = yield* manualOn({
        membership: membership(Effect.map(Ref.get(token), (own) => holding({ token: own }))),
        storage: (storage) => ({
          settle: (own, settlements) =>
            Effect.suspend(() =>
              tokens.push(own) === 1
                ? Effect.fail(new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" }))
                : own === 1n
                ? Effect.succeed(false)
                : storage.settle(own, settlements)
            )
        })
      })
      yield* commit(room("blue", 1))
      yield* Effect.exit(relay.tick)
      yield* Ref.set(token, 2n)
      yield* relay.tick
      assert.deepStrictEqual(tokens, [1n, 1n, 2n])
      assert.strictEqual((yield* Scripted).batches.length, 2)
    }).pipe(Effect.scoped, Effect.provide(Ground)))
})
