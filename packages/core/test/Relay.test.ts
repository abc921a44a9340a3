import type { Broker } from "@effect-cqrs/core"
import { BucketOwner, type Message, Outbox, OutboxStorage, Relay, Transaction } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import {
  Config,
  ConfigProvider,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Metric,
  Ref,
  Schedule,
  Scope,
  TestClock
} from "effect"
import type { Noticed } from "./fixtures.ts"
import {
  BrokerOut,
  Delivered,
  DestinationOut,
  failureOf,
  holding,
  layerLogs,
  Logs,
  membership,
  message,
  quiet,
  Rejected,
  relay,
  RelayGround,
  RoomClosed,
  RoomOpened,
  Scripted,
  settled
} from "./fixtures.ts"

/** Commits events; `room n` goes to the topic of rooms with the room as its key. */
const commit = (...events: ReadonlyArray<RoomClosed | RoomOpened | Noticed>) => Transaction.run(Outbox.addAll(events))
const room = (key: string, n: number) => new RoomClosed({ room: key, n })
const opening = (key: string, n: number) => new RoomOpened({ room: key, n })

const numberOf = (one: Message.Message): number => JSON.parse(new TextDecoder().decode(one.payload)).n

const delivered = Effect.map(Scripted, (script) => script.delivered.map(numberOf))
const answering = (answer: (message: Message.Message, n: number) => Broker.Outcome) =>
  Effect.map(Scripted, (script) => {
    script.answer = (one) => answer(one, numberOf(one))
  })
const statistics = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => storage.statistics)
const deadLetters = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => storage.deadLetters({ limit: 100 }))

const everySecond = Schedule.spaced("1 second")
const tick = Effect.flatMap(Relay.Relay, (one) => one.tick)
const drain = Effect.flatMap(Relay.Relay, (one) => one.drain)

/** A relay of one lane that moves when it is told to. */
const manual = (options?: Relay.Options) =>
  Layer.scoped(Relay.Relay, Relay.make({ lanes: 1, ...options })).pipe(
    Layer.provideMerge(RelayGround),
    Layer.provideMerge(quiet)
  )

/** A relay with its fiber. */
const running = (options?: Relay.Options) => Layer.provideMerge(relay(options), quiet)

/** Advances the clock in steps, so that what sleeps in between is woken in between. */
const pass = (duration: Duration.DurationInput, step: Duration.DurationInput = "50 millis") =>
  Effect.repeatN(
    Effect.zipRight(TestClock.adjust(step), settled),
    Math.ceil(Duration.toMillis(duration) / Duration.toMillis(step)) - 1
  )

describe("a step", () => {
  it.effect("publishes what is committed in one batch, by sequence, and removes what was delivered", () =>
    Effect.gen(function*() {
      yield* commit(room("blue", 1), opening("red", 2))
      yield* commit(room("blue", 3))
      const progress = yield* tick
      assert.deepStrictEqual(progress, { read: 3, delivered: 3, deferred: 0, dead: 0, retriable: 0 })
      const { batches } = yield* Scripted
      assert.deepStrictEqual(batches.map((batch) => batch.map(numberOf)), [[1, 2, 3]])
      assert.deepStrictEqual(batches[0]!.map(({ sequence }) => sequence), [1n, 2n, 3n])
      assert.deepStrictEqual(yield* statistics, { pending: 0, dead: 0, oldestAge: Duration.zero })
    }).pipe(Effect.provide(manual())))

  it.effect("does nothing, and does not call the broker, if nothing is there", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* tick, { read: 0, delivered: 0, deferred: 0, dead: 0, retriable: 0 })
      assert.deepStrictEqual((yield* Scripted).batches, [])
    }).pipe(Effect.provide(manual())))

  it.effect("publishes no more than batchSize, and no more bytes than maxBatchBytes but for the last", () =>
    Effect.gen(function*() {
      const batchSizes = (options: Relay.Options) =>
        Effect.gen(function*() {
          yield* commit(...[1, 2, 3, 4, 5].map((n) => room(`room ${n}`, n)))
          yield* drain
          return (yield* Scripted).batches.map((batch) => batch.length)
        }).pipe(Effect.provide(manual(options)))
      assert.deepStrictEqual(yield* batchSizes({ batchSize: 2 }), [2, 2, 1])
      assert.deepStrictEqual(yield* batchSizes({ maxBatchBytes: 1 }), [1, 1, 1, 1, 1])
      assert.deepStrictEqual(yield* batchSizes({ maxBatchBytes: 30 }), [2, 2, 1])
    }))

  it.effect("passes a payload on that nobody could decode", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const payload = new Uint8Array([0xff, 0, 0xfe])
      yield* storage.append([message({ payload, contentType: "application/x-unknown", contentEncoding: "lzma" })])
      yield* tick
      assert.deepStrictEqual((yield* Scripted).delivered[0]!.payload, payload)
    }).pipe(Effect.provide(manual())))

  it.effect("steps by hand take turns with each other", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      const gate = yield* Deferred.make<void>()
      script.publish = (batch) => Effect.as(Deferred.await(gate), batch.map(() => Delivered))
      yield* commit(room("blue", 1))
      const both = yield* Effect.fork(Effect.all([tick, tick], { concurrency: 2 }))
      yield* settled
      assert.strictEqual(script.batches.length, 1)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual((yield* Fiber.join(both)).map(({ read }) => read), [1, 0])
    }).pipe(Effect.provide(manual())))

  it.effect("counts what became of the entries", () =>
    Effect.gen(function*() {
      const value = (outcome: string) =>
        Effect.map(Metric.value(Metric.tagged(Relay.published, "outcome", outcome)), ({ count }) => Number(count))
      const before = yield* Effect.all([value("delivered"), value("deferred"), value("dead"), value("retriable")])
      yield* answering((one, n) => n === 1 ? Delivered : n === 2 ? Rejected() : DestinationOut)
      yield* commit(room("a", 1), room("b", 2), room("c", 3))
      yield* tick
      const after = yield* Effect.all([value("delivered"), value("deferred"), value("dead"), value("retriable")])
      assert.deepStrictEqual(after.map((count, i) => count - before[i]!), [1, 1, 0, 1])
    }).pipe(Effect.provide(manual())))
})

describe("drain", () => {
  it.effect("steps until nothing is left that can be delivered now", () =>
    Effect.gen(function*() {
      yield* commit(...Array.from({ length: 25 }, (_, n) => room(`room ${n % 3}`, n)))
      assert.deepStrictEqual(yield* drain, { read: 25, delivered: 25, deferred: 0, dead: 0, retriable: 0 })
      assert.deepStrictEqual(yield* delivered, Array.from({ length: 25 }, (_, n) => n))
    }).pipe(Effect.provide(manual({ batchSize: 10 }))))

  it.effect("goes past a destination that is out, however much waits for it", () =>
    Effect.gen(function*() {
      yield* answering((one) => one.topic === "rooms" ? DestinationOut : Delivered)
      yield* commit(room("a", 1), room("b", 2), room("c", 3), opening("a", 4), opening("b", 5))
      yield* drain
      assert.deepStrictEqual(yield* delivered, [4, 5])
    }).pipe(Effect.provide(manual({ batchSize: 2 }))))

  it.effect("does not wait for a broker that is out", () =>
    Effect.gen(function*() {
      yield* answering(() => BrokerOut)
      yield* commit(room("a", 1), room("b", 2))
      assert.deepStrictEqual(yield* drain, { read: 2, delivered: 0, deferred: 0, dead: 0, retriable: 2 })
    }).pipe(Effect.provide(manual())))
})

describe("rejections", () => {
  it.effect("an event that is rejected is tried again by the schedule, and becomes a dead letter when it ends", () =>
    Effect.gen(function*() {
      yield* answering(() => Rejected("too long"))
      yield* commit(room("blue", 1))
      const script = yield* Scripted
      const attemptsAfter = (duration: Duration.DurationInput) =>
        Effect.gen(function*() {
          yield* TestClock.adjust(duration)
          yield* drain
          return script.batches.length
        })
      assert.strictEqual(yield* attemptsAfter(0), 1)
      assert.strictEqual(yield* attemptsAfter("999 millis"), 1)
      assert.strictEqual(yield* attemptsAfter("1 millis"), 2)
      assert.strictEqual(yield* attemptsAfter("1999 millis"), 2)
      assert.strictEqual(yield* attemptsAfter("1 millis"), 3)
      assert.deepStrictEqual((yield* statistics).dead, 1)
      const [letter] = yield* deadLetters
      assert.strictEqual(letter!.reason, "too long")
      assert.strictEqual(letter!.attempts, 3)
      assert.strictEqual(letter!.policy, "halt")
      assert.strictEqual(yield* attemptsAfter("1 day"), 3)
    }).pipe(
      Effect.provide(manual({ retry: Schedule.intersect(Schedule.exponential("1 second"), Schedule.recurs(2)) }))
    ))

  it.effect("unless told otherwise it is tried 9 times in 255 seconds", () =>
    Effect.gen(function*() {
      yield* answering(() => Rejected())
      yield* commit(room("blue", 1))
      for (const seconds of [1, 2, 4, 8, 16, 32, 64, 128]) {
        yield* drain
        assert.strictEqual((yield* statistics).dead, 0)
        yield* TestClock.adjust(Duration.seconds(seconds))
      }
      yield* drain
      assert.strictEqual((yield* deadLetters)[0]!.attempts, 9)
    }).pipe(Effect.provide(manual())))

  it.effect("it holds back its own key in its topic, and nobody else", () =>
    Effect.gen(function*() {
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2), room("red", 3), opening("blue", 4))
      yield* drain
      assert.deepStrictEqual(yield* delivered, [3, 4])
      yield* commit(room("blue", 5), room("green", 6))
      yield* drain
      assert.deepStrictEqual(yield* delivered, [3, 4, 6])
      yield* answering(() => Delivered)
      yield* TestClock.adjust("1 second")
      yield* drain
      assert.deepStrictEqual(yield* delivered, [3, 4, 6, 1, 2, 5])
    }).pipe(Effect.provide(manual({ retry: everySecond }))))

  it.effect("those held back behind it in its batch do not suspend their destination", () =>
    Effect.gen(function*() {
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2))
      yield* tick
      yield* commit(room("red", 3))
      yield* tick
      assert.deepStrictEqual(yield* delivered, [3])
    }).pipe(Effect.provide(manual({ retry: everySecond }))))

  it.effect("a dead letter halts its key until it is redriven, which keeps the order", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2), room("red", 3))
      yield* drain
      yield* TestClock.adjust("1 day")
      yield* drain
      assert.deepStrictEqual(yield* delivered, [3])
      yield* answering(() => Delivered)
      const letters = yield* deadLetters
      assert.strictEqual(yield* storage.redrive(letters.map(({ sequence }) => sequence)), 1)
      yield* drain
      assert.deepStrictEqual(yield* delivered, [3, 1, 2])
    }).pipe(Effect.provide(manual({ retry: Schedule.stop }))))

  it.effect("a dead letter that is discarded lets its key go on without it", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2))
      yield* drain
      yield* storage.discard((yield* deadLetters).map(({ sequence }) => sequence))
      yield* drain
      assert.deepStrictEqual(yield* delivered, [2])
    }).pipe(Effect.provide(manual({ retry: Schedule.stop }))))

  it.effect("with skip later events of its key go on", () =>
    Effect.gen(function*() {
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2))
      yield* drain
      yield* drain
      assert.deepStrictEqual(yield* delivered, [2])
      assert.strictEqual((yield* deadLetters)[0]!.policy, "skip")
    }).pipe(Effect.provide(manual({ retry: Schedule.stop, exhausted: "skip" }))))

  it.effect("a topic may have a policy of its own", () =>
    Effect.gen(function*() {
      yield* answering((_, n) => n % 10 === 0 ? Rejected() : Delivered)
      yield* commit(room("blue", 10), room("blue", 11), opening("blue", 20), opening("blue", 21))
      yield* drain
      assert.deepStrictEqual(yield* delivered, [21])
      assert.deepStrictEqual((yield* deadLetters).map((letter) => [letter.message.topic, letter.policy]), [
        ["openings", "skip"]
      ])
    }).pipe(Effect.provide(
      manual({ retry: everySecond, topics: { openings: { retry: Schedule.stop, exhausted: "skip" } } })
    )))

  it.effect("a dead letter is logged with what names it, and without its payload", () =>
    Effect.gen(function*() {
      yield* answering(() => Rejected("too long"))
      yield* commit(room("secret-room", 4711))
      yield* drain
      const line = (yield* Logs).find((one) => one.startsWith("ERROR An event is a dead letter"))!
      assert.include(line, "too long")
      assert.include(line, "room_closed")
      assert.notInclude(line, "4711")
      assert.notInclude(line, "secret-room")
    }).pipe(Effect.provide(Layer.provideMerge(manual({ retry: Schedule.stop }), layerLogs))))
})

describe("outages", () => {
  it.effect("of the broker consume no attempts, lose nothing, and delivery resumes by itself", () =>
    Effect.gen(function*() {
      yield* answering(() => BrokerOut)
      yield* commit(room("blue", 1), room("blue", 2), opening("red", 3))
      yield* pass("10 minutes", "5 seconds")
      yield* commit(room("blue", 4))
      yield* pass("1 minute", "5 seconds")
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
      yield* pass("1 minute", "5 seconds")
      yield* answering(() => Rejected())
      yield* pass("20 seconds", "1 second")
      assert.strictEqual((yield* deadLetters)[0]!.attempts, 2)
    }).pipe(Effect.provide(running({ retry: Schedule.recurs(1) }))))

  it.effect("of one destination suspend that destination and no other", () =>
    Effect.gen(function*() {
      yield* answering((one) => one.topic === "rooms" ? DestinationOut : Delivered)
      yield* commit(room("blue", 1), opening("blue", 2))
      yield* settled
      assert.deepStrictEqual(yield* delivered, [2])
      yield* pass("30 seconds", "1 second")
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

  it.effect("a broker whose entries went elsewhere during its outage does not make the relay spin", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const reads = yield* Ref.make(0)
      const holdings = yield* Ref.make<ReadonlyArray<number>>(Array.from({ length: 64 }, (_, bucket) => bucket))
      const owner = Layer.succeed(BucketOwner.BucketOwner, {
        join: Effect.succeed(
          membership(Effect.zipRight(
            Ref.update(reads, (n) => n + 1),
            Effect.map(Ref.get(holdings), (buckets) => holding({ token: 0n, buckets }))
          ))
        )
      })
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
          yield* pass("10 seconds", "1 second")
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
      yield* pass("1 minute", "1 second")
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

describe("waking", () => {
  it.effect("a commit in the process wakes the relay, without a poll", () =>
    Effect.gen(function*() {
      yield* settled
      yield* commit(room("blue", 1))
      yield* settled
      assert.deepStrictEqual(yield* delivered, [1])
    }).pipe(Effect.provide(running({ pollInterval: "1 hour" }))))

  it.effect("a commit during a read causes another read", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const inRead = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const slow = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        // what was read is from before the commit
        read: (options) =>
          Effect.zipLeft(
            storage.read(options),
            Effect.zipRight(Deferred.succeed(inRead, undefined), Deferred.await(go))
          )
      })
      yield* Layer.build(Layer.provide(Relay.layer({ pollInterval: "1 hour" }), slow))
      yield* Deferred.await(inRead)
      yield* commit(room("blue", 1))
      yield* Deferred.succeed(go, undefined)
      yield* settled
      assert.deepStrictEqual(yield* delivered, [1])
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(RelayGround, quiet))))

  it.effect("what arrives without a wake is found by the poll", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      // it looks less and less often, down to the interval
      yield* pass("10 seconds")
      yield* storage.append([message({ payload: new TextEncoder().encode("{\"n\":1}") })])
      yield* pass("2 seconds")
      assert.deepStrictEqual(yield* delivered, [1])
    }).pipe(Effect.provide(running({ pollInterval: "2 seconds" }))))

  it.effect("what is deferred is tried again when it is due, found by the poll", () =>
    Effect.gen(function*() {
      yield* answering(() => Rejected())
      yield* commit(room("blue", 1))
      yield* settled
      yield* answering(() => Delivered)
      yield* pass("1500 millis")
      assert.deepStrictEqual(yield* delivered, [])
      yield* pass("1500 millis")
      assert.deepStrictEqual(yield* delivered, [1])
    }).pipe(Effect.provide(running({ pollInterval: "500 millis", retry: Schedule.spaced("2 seconds") }))))
})

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

describe("shutdown", () => {
  const slowPublish = Effect.gen(function*() {
    const script = yield* Scripted
    const publishing = yield* Deferred.make<void>()
    const interrupted = yield* Ref.make(false)
    const done = yield* Deferred.make<void>()
    script.publish = (batch) =>
      Deferred.succeed(publishing, undefined).pipe(
        Effect.zipRight(Deferred.await(done)),
        Effect.zipRight(Effect.sync(() => {
          for (const one of batch) script.delivered.push(one)
          return batch.map(() => Delivered)
        })),
        Effect.onInterrupt(() => Ref.set(interrupted, true))
      )
    return { publishing, interrupted, done }
  })

  it.effect("finishes what is in flight within the grace period, settles it, and reads nothing new", () =>
    Effect.gen(function*() {
      const { done, publishing } = yield* slowPublish
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(Relay.layer({ lanes: 1, batchSize: 1, grace: "10 seconds" }), scope)
      yield* commit(room("blue", 1), room("red", 2))
      yield* Deferred.await(publishing)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settled
      yield* TestClock.adjust("9 seconds")
      assert.isNull(closing.unsafePoll())
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* delivered, [1])
      assert.strictEqual((yield* statistics).pending, 1)
    }).pipe(Effect.provide(Layer.provideMerge(RelayGround, quiet))))

  it.effect("interrupts what takes longer, which stays in the outbox", () =>
    Effect.gen(function*() {
      const { interrupted, publishing } = yield* slowPublish
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(Relay.layer({ grace: "10 seconds" }), scope)
      yield* commit(room("blue", 1))
      yield* Deferred.await(publishing)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settled
      yield* TestClock.adjust("9999 millis")
      yield* settled
      assert.isFalse(yield* Ref.get(interrupted))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.isTrue(yield* Ref.get(interrupted))
      assert.strictEqual((yield* statistics).pending, 1)
    }).pipe(Effect.provide(Layer.provideMerge(RelayGround, quiet))))

  it.effect("ends a wait for a poll or an outage at once", () =>
    Effect.gen(function*() {
      for (const prepare of [Effect.void, Effect.zipRight(answering(() => BrokerOut), commit(room("blue", 1)))]) {
        const scope = yield* Scope.make()
        yield* Layer.buildWithScope(
          Relay.layer({ pollInterval: "1 hour", backoff: Schedule.spaced("1 hour") }),
          scope
        )
        yield* prepare
        yield* settled
        yield* Scope.close(scope, Exit.void)
      }
    }).pipe(Effect.provide(Layer.provideMerge(RelayGround, quiet))))
})

describe("configuration", () => {
  for (
    const [options, says] of [
      [{ batchSize: 0 }, "batchSize is 0"],
      [{ batchSize: 1.5 }, "batchSize is 1.5"],
      [{ maxBatchBytes: -1 }, "maxBatchBytes is -1"],
      [{ pollInterval: 0 }, "pollInterval is 0"],
      [{ pollInterval: "soon" as Duration.DurationInput }, "pollInterval is soon"],
      [{ grace: "1 sekunde" as Duration.DurationInput }, "grace is 1 sekunde"]
    ] as const
  ) {
    it.effect(`${JSON.stringify(options)} is refused with a sentence that says what is wrong`, () =>
      Effect.gen(function*() {
        const error = failureOf(yield* Effect.exit(Effect.scoped(Layer.build(Relay.layer(options)))))
        assert.instanceOf(error, Relay.RelayError)
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, says)
      }).pipe(Effect.provide(RelayGround)))
  }

  it.effect("can be read from the program's configuration", () =>
    Effect.gen(function*() {
      const relayOf = (batchSize: string) =>
        Effect.exit(Effect.scoped(Layer.build(Relay.layerConfig({ batchSize: Config.integer("BATCH") })))).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["BATCH", batchSize]])))
        )
      assert.isTrue(Exit.isSuccess(yield* relayOf("5")))
      assert.instanceOf(failureOf(yield* relayOf("0")), Relay.RelayError)
      assert.strictEqual((failureOf(yield* relayOf("five")) as { _op?: string })._op, "InvalidData")
    }).pipe(Effect.provide(RelayGround)))
})
