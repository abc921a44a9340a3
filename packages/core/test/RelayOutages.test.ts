import { Broker, BucketOwner, OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Ref, Schedule, TestClock } from "effect"
import {
  BrokerOut,
  Delivered,
  DestinationOut,
  holding,
  layerLogs,
  Logs,
  membership,
  message,
  ownerOf,
  quiet,
  Rejected,
  RelayGround,
  Scripted,
  settled
} from "./fixtures.ts"
import { answering, commit, deadLetters, delivered, opening, pass, room, running, statistics } from "./support/relay.ts"

describe("outages", () => {
  it.effect("of the broker consume no attempts, lose nothing, and delivery resumes by itself", () =>
    Effect.gen(function*() {
      yield* answering(() => BrokerOut)
      yield* commit(room("blue", 1), room("blue", 2), opening("red", 3))
      yield* pass("10 minutes")
      yield* commit(room("blue", 4))
      yield* pass("1 minute")
      assert.deepStrictEqual(yield* statistics, { pending: 4, dead: 0, oldestAge: Duration.minutes(11) })
      yield* answering(() => Delivered)
      yield* pass("10 seconds")
      // a few keys are tried first, then the rest
      assert.deepStrictEqual(yield* delivered, [1, 3, 2, 4])
      const { batches } = yield* Scripted
      // backing off up to 10 seconds (jittered), not hammering, with two tries each
      assert.isBelow(batches.length, 2 * 120)
    }).pipe(Effect.provide(running({ lanes: 1 }))))

  it.effect("of the broker keep the attempts that were counted before", () =>
    Effect.gen(function*() {
      yield* answering(() => Rejected())
      yield* commit(room("blue", 1))
      yield* settled
      yield* answering(() => BrokerOut)
      yield* pass("1 minute")
      yield* answering(() => Rejected())
      yield* pass("20 seconds")
      assert.strictEqual((yield* deadLetters)[0]!.attempts, 2)
    }).pipe(Effect.provide(running({ retry: Schedule.recurs(1) }))))

  it.effect("of one destination suspend that destination and no other", () =>
    Effect.gen(function*() {
      yield* answering((one) => one.topic === "rooms" ? DestinationOut : Delivered)
      yield* commit(room("blue", 1), opening("blue", 2))
      yield* settled
      assert.deepStrictEqual(yield* delivered, [2])
      yield* pass("30 seconds")
      yield* commit(opening("blue", 3), room("red", 4))
      yield* settled
      assert.deepStrictEqual(yield* delivered, [2, 3])
      yield* answering(() => Delivered)
      yield* pass("10 seconds")
      // other keys are tried first than the last time
      assert.deepStrictEqual(yield* delivered, [2, 3, 4, 1])
      assert.strictEqual((yield* statistics).dead, 0)
    }).pipe(Effect.provide(running({ lanes: 1 }))))

  it.effect("of one destination starve no other, even if a batch is full of what waits for it", () =>
    Effect.gen(function*() {
      yield* answering((one) => one.topic === "rooms" ? DestinationOut : Delivered)
      yield* commit(...Array.from({ length: 10 }, (_, n) => room(`room ${n}`, n)), opening("blue", 100))
      yield* settled
      assert.deepStrictEqual(yield* delivered, [100])
    }).pipe(Effect.provide(running({ batchSize: 3 }))))

  it.effect(
    "of a part of a destination hold up its keys alone, for any time, and cost no attempt",
    () =>
      Effect.gen(function*() {
        const out = Broker.Outcome.Retriable({ scope: "part", reason: "partition 3 has too few replicas" })
        yield* answering((one) => one.key?.startsWith("out") === true ? out : Delivered)
        yield* commit(...Array.from({ length: 20 }, (_, n) => room(`out ${n % 4}`, n)), room("well", 100))
        yield* settled
        assert.deepStrictEqual(yield* delivered, [100])
        for (let minute = 0; minute < 3; minute++) {
          yield* commit(room("well", 101 + minute))
          yield* pass("1 minute")
        }
        assert.strictEqual((yield* delivered).length, 4)
        assert.deepStrictEqual(yield* statistics, { pending: 20, dead: 0, oldestAge: Duration.minutes(3) })
        const { batches } = yield* Scripted
        const tries = batches.flat().filter(({ key }) => key?.startsWith("out") === true).length
        // each key by itself, backing off up to 10 seconds
        assert.isBelow(tries, 4 * 3 * 20)
        yield* answering(() => Delivered)
        yield* pass("20 seconds")
        const late = (yield* delivered).slice(4)
        assert.strictEqual(late.length, 20)
        for (let key = 0; key < 4; key++) {
          const ofKey = late.filter((n) => n % 4 === key)
          assert.deepStrictEqual(ofKey, [...ofKey].sort((a, b) => a - b))
        }
      }).pipe(Effect.provide(running({ maxLoneFailures: 2 }))),
    30_000
  )

  it.effect("a lane that has nothing to try does not keep another one from trying", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const laneOf = (key: string) => OutboxStorage.bucketOf({ topic: "rooms", key, id: "" }, 64) % 2
      const [key] = ["blue", "red", "green", "white", "black"].filter((one) => laneOf(one) === 1)
      let isSlow = false
      yield* Layer.build(Layer.provide(
        // a lane that has found nothing twice looks again after a second, which is when the broker is tried again
        Relay.layer({ lanes: 2, pollInterval: "4 seconds", backoff: Schedule.spaced("1 second") }),
        Layer.succeed(OutboxStorage.OutboxStorage, {
          ...storage,
          read: (options) =>
            isSlow && options.from[0]!.bucket % 2 === 0
              ? Effect.zipRight(Effect.sleep("100 millis"), storage.read(options))
              : storage.read(options)
        })
      ))
      yield* settled
      yield* answering(() => BrokerOut)
      yield* commit(room(key!, 1))
      yield* settled
      yield* storage.arrivals.signalFor([0])
      yield* settled
      isSlow = true
      yield* answering(() => Delivered)
      yield* pass("1050 millis")
      const before = yield* delivered
      yield* pass("60 millis")
      const after = yield* delivered
      isSlow = false
      yield* pass("200 millis")
      assert.deepStrictEqual([before, after], [[], [1]])
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(RelayGround, quiet))))

  it.effect("a broker whose entries went elsewhere during its outage does not make the relay spin", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const reads = yield* Ref.make(0)
      const holdings = yield* Ref.make<ReadonlyArray<number>>(Array.from({ length: 64 }, (_, bucket) => bucket))
      const owner = Layer.succeed(
        BucketOwner.BucketOwner,
        ownerOf(
          Effect.succeed(
            membership(Effect.zipRight(
              Ref.update(reads, (n) => n + 1),
              Effect.map(Ref.get(holdings), (buckets) => holding({ token: 0n, buckets }))
            ))
          )
        )
      )
      for (const out of [BrokerOut, DestinationOut]) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Ref.set(holdings, Array.from({ length: 64 }, (_, bucket) => bucket))
          yield* Layer.build(Layer.provide(Relay.layer({ lanes: 1 }), owner))
          yield* answering(() => out)
          yield* storage.append([message({ payload: new TextEncoder().encode("{\"n\":1}") })])
          yield* storage.arrivals.signal
          yield* settled
          yield* Ref.set(holdings, [])
          yield* Ref.set(reads, 0)
          yield* pass("10 seconds")
          assert.isBelow(yield* Ref.get(reads), 15, out._tag === "Retriable" ? out.scope : "")
        }))
      }
    }).pipe(Effect.provide(Layer.provideMerge(RelayGround, quiet))))

  it.effect("of the storage are waited out", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const out = yield* Ref.make(true)
      const reads = yield* Ref.make(0)
      const flaky = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        read: (options) =>
          Effect.flatMap(Ref.get(out), (isOut) =>
            Effect.zipRight(
              Ref.update(reads, (n) => n + 1),
              isOut
                ? new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })
                : storage.read(options)
            ))
      })
      yield* Layer.build(Layer.provide(Relay.layer({ lanes: 2 }), flaky))
      yield* commit(room("blue", 1))
      yield* pass("1 minute")
      assert.isBelow(yield* Ref.get(reads), 2 * 30)
      yield* Ref.set(out, false)
      yield* pass("10 seconds")
      assert.deepStrictEqual(yield* delivered, [1])
      assert.strictEqual((yield* Logs).filter((line) => line.startsWith("WARN")).length, 1)
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(RelayGround, layerLogs))))

  it.effect("a settlement that failed is repeated before anything else, and nothing is published again", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const failures = yield* Ref.make(3)
      const settled_ = yield* Ref.make(0)
      const flaky = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        settle: (token, settlements) =>
          Effect.flatMap(Ref.getAndUpdate(failures, (n) => n - 1), (left) =>
            left > 0
              ? new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })
              : Effect.zipRight(Ref.update(settled_, (n) => n + 1), storage.settle(token, settlements)))
      })
      yield* Layer.build(Layer.provide(Relay.layer(), flaky))
      yield* commit(room("blue", 1), room("blue", 2))
      yield* pass("10 seconds")
      yield* commit(room("blue", 3))
      yield* pass("1 second")
      assert.deepStrictEqual(yield* delivered, [1, 2, 3])
      assert.strictEqual((yield* statistics).pending, 0)
      assert.strictEqual(yield* Ref.get(settled_), 2)
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(RelayGround, quiet))))

  it.effect("an adapter that dies, or answers too few outcomes, is a broker that is out", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      script.publish = () => Effect.die("a bug")
      yield* commit(room("blue", 1), room("red", 2))
      yield* settled
      yield* pass("1 second")
      script.publish = (batch) =>
        Effect.sync(() => {
          script.delivered.push(batch[0]!)
          return [Delivered]
        })
      yield* pass("10 seconds")
      assert.deepStrictEqual(yield* delivered, [1, 2])
      assert.deepStrictEqual(yield* statistics, { pending: 0, dead: 0, oldestAge: Duration.zero })
    }).pipe(Effect.provide(running())))

  it.effect("the backoff schedule's last wait goes on when it ends", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      yield* answering(() => BrokerOut)
      yield* commit(room("blue", 1))
      yield* settled
      const seen: Array<number> = []
      for (let second = 1; second <= 20; second++) {
        yield* TestClock.adjust("1 second")
        yield* settled
        if (script.batches.length > seen.length + 1) seen.push(second)
      }
      assert.deepStrictEqual(seen, [2, 6, 10, 14, 18])
    }).pipe(Effect.provide(running({
      backoff: Schedule.intersect(Schedule.exponential("2 seconds"), Schedule.recurs(2))
    }))))
})
