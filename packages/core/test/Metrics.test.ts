import {
  Broker,
  BucketOwner,
  Consumer,
  Metrics,
  OutboxStorage,
  Relay,
  Subscribers,
  Transaction,
  Transactor,
  Wake
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Metric, Scope, TestClock } from "effect"
import {
  BrokerOut,
  Delivered,
  DestinationOut,
  holding,
  membership,
  Memory,
  message,
  ownerOf,
  quiet,
  RoomClosed,
  settled
} from "./fixtures.ts"
import { answering, commit, everySecond, Ground, manualOn, opening, pass, room } from "./support/relay.ts"

type Labels = Readonly<Record<string, string>>

const stateOf = <State>(metric: Metric.Metric<any, any, State>, labels: Labels = {}): Effect.Effect<State> =>
  Metric.value(
    Object.entries(labels).reduce((one, [key, value]) => Metric.tagged(one, key, value), metric)
  )

const counted = (metric: Metric.Metric.Counter<number>, labels?: Labels) =>
  Effect.map(stateOf(metric, labels), ({ count }) => Number(count))
const gauged = (metric: Metric.Metric.Gauge<number>, labels?: Labels) =>
  Effect.map(stateOf(metric, labels), ({ value }) => Number(value))
const observed = (metric: Metric.Metric.Histogram<number>, labels?: Labels) =>
  Effect.map(stateOf(metric, labels), ({ count, sum }) => ({ count, sum }))

/** What an effect adds to a number. */
const added = <E, R, E2, R2>(number: Effect.Effect<number, E, R>, effect: Effect.Effect<unknown, E2, R2>) =>
  Effect.gen(function*() {
    const before = yield* number
    yield* effect
    return (yield* number) - before
  })

describe("the outbox", () => {
  const outbox = Effect.all([
    gauged(Metrics.outboxPending, { outbox: "main" }),
    gauged(Metrics.outboxOldest, { outbox: "main" }),
    gauged(Metrics.outboxDead, { outbox: "main" })
  ])

  it.effect("is measured at each interval, and its gauges fall to 0 with the last layer that reports on it", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      const reporting = Layer.fresh(Metrics.layerOutbox({ interval: "5 seconds" }))
      yield* Layer.buildWithScope(reporting, first)
      yield* Layer.buildWithScope(reporting, second)
      yield* commit(room("a", 1), room("b", 2))
      yield* pass("5 seconds")
      assert.deepStrictEqual(yield* outbox, [2, 5, 0])
      const storage = yield* OutboxStorage.OutboxStorage
      yield* storage.settle(0n, [
        OutboxStorage.Settlement.Dead({ sequence: 1n, attempts: 1, policy: "halt", reason: "poison" })
      ])
      yield* pass("5 seconds")
      assert.deepStrictEqual(yield* outbox, [1, 10, 1])
      yield* Scope.close(first, Exit.void)
      assert.deepStrictEqual(yield* outbox, [1, 10, 1])
      yield* Scope.close(second, Exit.void)
      assert.deepStrictEqual(yield* outbox, [0, 0, 0])
    }).pipe(Effect.provide(Layer.merge(Memory, quiet))))

  for (
    const [how, out] of [
      ["cannot be read", Effect.fail(new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" }))],
      ["does not answer at all", Effect.never]
    ] as const
  ) {
    it.effect(`that ${how} goes on growing older, if something waits in it`, () =>
      Effect.gen(function*() {
        const storage = yield* OutboxStorage.OutboxStorage
        let isOut = false
        const failing = Layer.succeed(OutboxStorage.OutboxStorage, {
          ...storage,
          statistics: Effect.suspend(() => isOut ? out : storage.statistics)
        })
        yield* commit(room("a", 1))
        yield* Effect.gen(function*() {
          yield* settled
          isOut = true
          yield* pass("30 seconds")
          assert.deepStrictEqual(yield* outbox, [1, 30, 0])
        }).pipe(Effect.provide(Layer.provide(Metrics.layerOutbox(), failing)))
      }).pipe(Effect.provide(Layer.merge(Memory, quiet))))
  }

  it.effect("is asked for no more than a twentieth of the time", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      let asked = 0
      const slow = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        statistics: Effect.suspend(() => {
          asked += 1
          return Effect.delay(storage.statistics, "2 seconds")
        })
      })
      yield* pass("10 minutes").pipe(
        Effect.provide(Layer.provide(Metrics.layerOutbox({ interval: "1 second" }), slow))
      )
      assert.strictEqual(asked, Math.ceil(600 / 42))
    }).pipe(Effect.provide(Layer.merge(Memory, quiet))))
})

describe("relays", () => {
  it.effect("that run are counted, with the buckets they own, and no longer when they have stopped", () =>
    Effect.gen(function*() {
      const now = Effect.all([gauged(Metrics.relaysRunning), gauged(Metrics.relayBuckets)])
      const before = yield* now
      const two = Layer.merge(Layer.fresh(Relay.layer()), Layer.fresh(Relay.layer()))
      const during = yield* Effect.scoped(Effect.zipRight(Layer.build(two), Effect.zipRight(settled, now)))
      assert.deepStrictEqual([during, yield* now], [[2, 128], before])
    }).pipe(Effect.provide(Ground)))

  it.effect("count the buckets that they claim, release, and lose with their token", () =>
    Effect.gen(function*() {
      const changes = Effect.all([
        counted(Metrics.relayLeases, { change: "claimed" }),
        counted(Metrics.relayLeases, { change: "released" }),
        counted(Metrics.relayLeases, { change: "lost" }),
        gauged(Metrics.relayBuckets)
      ])
      const before = yield* changes
      const since = Effect.map(changes, (after) => after.map((count, at) => count - before[at]!))
      let held = holding({ buckets: [0, 1, 2, 3] })
      const wake = yield* Wake.make
      const seen: Array<ReadonlyArray<number>> = []
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.provideService(
          Layer.build(Relay.layer()),
          BucketOwner.BucketOwner,
          ownerOf(
            Effect.succeed(membership(Effect.sync(() => held), { changes: wake }))
          )
        )
        yield* settled
        seen.push(yield* since)
        held = holding({ buckets: [0, 1, 2, 7] })
        yield* Effect.zipRight(wake.signal, settled)
        seen.push(yield* since)
        held = holding({ token: 2n, buckets: [5] })
        yield* Effect.zipRight(wake.signal, settled)
        seen.push(yield* since)
      }))
      assert.deepStrictEqual([...seen, yield* since], [[4, 0, 0, 4], [5, 1, 0, 4], [6, 1, 4, 1], [6, 2, 4, 0]])
    }).pipe(Effect.provide(Ground)))

  it.effect("say what they have suspended, until it is back or they end", () =>
    Effect.gen(function*() {
      const now = Effect.all([
        gauged(Metrics.relaySuspended, { topic: "rooms" }),
        gauged(Metrics.relaySuspended, { topic: "openings" }),
        counted(Metrics.relaySuspensions, { topic: "rooms" })
      ])
      const before = yield* now
      yield* Effect.scoped(Effect.gen(function*() {
        const one = yield* manualOn({}, { backoff: everySecond })
        yield* answering((one) => one.topic === "rooms" ? DestinationOut : Delivered)
        yield* commit(room("a", 1), opening("b", 2))
        yield* one.tick
        assert.deepStrictEqual(yield* now, [1, 0, before[2] + 1])
        yield* TestClock.adjust("1 second")
        yield* one.tick
        assert.deepStrictEqual(yield* now, [1, 0, before[2] + 1])
        yield* answering(() => Delivered)
        yield* TestClock.adjust("1 second")
        yield* one.tick
        assert.deepStrictEqual(yield* now, [0, 0, before[2] + 1])
        yield* answering(() => DestinationOut)
        yield* commit(opening("c", 3))
        yield* one.tick
        assert.deepStrictEqual(yield* now, [0, 1, before[2] + 1])
      }))
      assert.deepStrictEqual(yield* now, [0, 0, before[2] + 1])
    }).pipe(Effect.provide(Ground)))

  it.effect("say that the broker is out", () =>
    Effect.gen(function*() {
      const one = yield* manualOn({}, { backoff: everySecond })
      const out = gauged(Metrics.relaySuspended, { topic: "(broker)" })
      yield* answering(() => BrokerOut)
      yield* commit(room("a", 1))
      yield* one.tick
      assert.strictEqual(yield* out, 1)
      yield* answering(() => Delivered)
      yield* TestClock.adjust("1 second")
      yield* one.tick
      assert.strictEqual(yield* out, 0)
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("observe how long it took from an event to the broker", () =>
    Effect.gen(function*() {
      const before = yield* observed(Metrics.relayLatency)
      const one = yield* manualOn({})
      yield* commit(room("a", 1), room("b", 2))
      yield* TestClock.adjust("3 seconds")
      yield* one.tick
      const after = yield* observed(Metrics.relayLatency)
      assert.deepStrictEqual([after.count - before.count, after.sum - before.sum], [2, 6])
    }).pipe(Effect.scoped, Effect.provide(Ground)))
})

describe("consumers", () => {
  const lag = gauged(Metrics.consumerLag, { group: "g", topic: "rooms", partition: "0" })

  it.effect("observe how long it took from an event to its handling, if it says when it was made", () =>
    Effect.gen(function*() {
      const latency = observed(Metrics.consumerLatency, { group: "g", event: "room_closed" })
      yield* TestClock.adjust("10 seconds")
      const broker = yield* Broker.Broker
      yield* broker.publish([message({ time: 4000, key: "a" }), message({ time: 0, key: "b" })])
      yield* settled
      assert.deepStrictEqual(yield* latency, { count: 1, sum: 6 })
    }).pipe(
      Effect.provide(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(Subscribers.layer(RoomClosed, { handle: () => Effect.void })),
          Layer.provideMerge(Broker.layerMemory()),
          Layer.provideMerge(quiet)
        )
      )
    ))

  it.effect("of the memory broker have a lag, which is 0 when the broker has gone", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const broker = yield* Broker.Broker
        yield* broker.publish([message(), message(), message()])
        const source = yield* broker.consume({ topics: ["rooms"], group: "g" })
        assert.strictEqual(yield* lag, 3)
        yield* Effect.scoped(source.take)
        assert.strictEqual(yield* lag, 2)
      }).pipe(Effect.scoped, Effect.provide(Broker.layerMemory()))
      assert.strictEqual(yield* lag, 0)
    }))
})

describe("transactions", () => {
  const outcome = (outcome: string) => Effect.map(observed(Metrics.transactions, { outcome }), ({ count }) => count)
  const ending = (given: Partial<Transactor.Session>, isConflict = false) =>
    Layer.effect(
      Transactor.Transactor,
      Effect.map(Transactor.Transactor, (transactor) => ({
        begin: (options: Parameters<typeof transactor.begin>[0]) =>
          Effect.map(transactor.begin(options), (session) => ({ ...session, ...given })),
        isConflict: () => isConflict
      }))
    ).pipe(Layer.provide(Transactor.layerMemory))
  const failing = (reason: "OutcomeUnknown" | "Unavailable") => ({
    commit: () => Effect.fail(new Transaction.TransactionError({ reason, message: "no" }))
  })

  for (
    const [name, transactor, effect] of [
      ["committed", ending({}), Effect.sleep("2 seconds")],
      ["rolled-back", ending({}), Effect.fail("no")],
      ["conflict", ending({}, true), Effect.fail("victim")],
      ["unknown", ending(failing("OutcomeUnknown")), Effect.void],
      ["failed", ending(failing("Unavailable")), Effect.void]
    ] as const
  ) {
    it.effect(`are timed, and counted as ${name}`, () =>
      Effect.gen(function*() {
        const run = Effect.exit(Transaction.run<void, string, never>(effect)).pipe(Effect.provide(transactor))
        assert.strictEqual(yield* added(outcome(name), Effect.zipLeft(Effect.fork(run), pass("2 seconds"))), 1)
      }).pipe(Effect.provide(Layer.merge(OutboxStorage.layerMemory(), quiet))))
  }

  it.effect("take the time from their beginning to their end", () =>
    Effect.gen(function*() {
      const time = Effect.map(observed(Metrics.transactions, { outcome: "committed" }), ({ sum }) => sum)
      yield* Effect.gen(function*() {
        const run = Transaction.run(Effect.sleep("2 seconds"))
        assert.strictEqual(yield* added(time, Effect.zipLeft(Effect.fork(run), pass("2 seconds"))), 2)
      })
    }).pipe(Effect.provide(Memory)))
})
