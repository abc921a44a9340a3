import { Metrics, OutboxStorage, Relay } from "@effect-cqrs/core"
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
import {
  BrokerOut,
  Delivered,
  DestinationOut,
  failureOf,
  layerLogs,
  Logs,
  message,
  quiet,
  Rejected,
  RelayGround,
  Scripted,
  settled
} from "./fixtures.ts"
import {
  answering,
  commit,
  deadLetters,
  delivered,
  drain,
  everySecond,
  manual,
  numberOf,
  opening,
  pass,
  room,
  running,
  statistics,
  tick
} from "./support/relay.ts"

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
        Effect.map(
          Metric.value(Metric.tagged(Metrics.relayPublished, "outcome", outcome)),
          ({ count }) => Number(count)
        )
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

  it.effect("settles what was delivered and could not be settled yet", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const failures = yield* Ref.make(3)
      const flaky = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        settle: (token, settlements) =>
          Effect.flatMap(Ref.getAndUpdate(failures, (n) => n - 1), (left) =>
            left > 0
              ? new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })
              : storage.settle(token, settlements))
      })
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Layer.provide(Relay.layer({ backoff: everySecond, grace: "10 seconds" }), flaky),
        scope
      )
      yield* commit(room("blue", 1))
      yield* settled
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settled
      assert.isNull(closing.unsafePoll())
      yield* pass("5 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* delivered, [1])
      assert.strictEqual((yield* statistics).pending, 0)
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
      [{ grace: "1 sekunde" as Duration.DurationInput }, "grace is 1 sekunde"],
      [{ lanes: 0 }, "lanes is 0"],
      [{ lanes: 2.5 }, "lanes is 2.5"],
      [{ retention: 0 }, "retention is 0"],
      [{ retention: "for ever" as Duration.DurationInput }, "retention is for ever"],
      [{ maxDeaths: 0 }, "maxDeaths is 0"],
      [{ maxLoneFailures: -1 }, "maxLoneFailures is -1"]
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
