import { Inbox, Metrics, Outbox, OutboxStorage, Transaction, Transactor } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Metric, Ref, Schedule, TestClock } from "effect"
import { Memory, pending, quiet, RoomClosed, settled } from "./fixtures.ts"

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

  it.effect("in memory, forgets a key of which nobody knows whether it was committed, and those who wait go on", () =>
    Effect.gen(function*() {
      const transactor = yield* Transactor.Transactor
      const lost = new Transaction.TransactionError({ reason: "OutcomeUnknown", message: "gone" })
      const losing = Transactor.Transactor.of({
        ...transactor,
        begin: (options) =>
          Effect.map(transactor.begin(options), (session) => ({
            ...session,
            commit: () => Effect.zipRight(session.rollback, Effect.fail(lost))
          }))
      })
      const isBusy = yield* Deferred.make<void>()
      const first = yield* Effect.fork(
        Inbox.process(key, Deferred.await(isBusy)).pipe(
          Effect.provideService(Transactor.Transactor, losing),
          Effect.flip
        )
      )
      yield* settled
      const second = yield* Effect.fork(Inbox.process(key, add))
      yield* settled
      yield* Deferred.succeed(isBusy, undefined)
      assert.strictEqual(yield* Fiber.join(first), lost)
      yield* settled
      assert.deepStrictEqual(second.unsafePoll()?._tag, "Success")
      assert.strictEqual(yield* stored, 1)
    }).pipe(Effect.provide(Ground)))

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

describe("a transaction that the database made a victim", () => {
  const conflict = new OutboxStorage.StorageError({ reason: "Unavailable", message: "a deadlock" })

  /** Each of the first registrations is a victim. */
  const victims = (count: number) =>
    Effect.gen(function*() {
      const storage = yield* Inbox.InboxStorage
      const transactor = yield* Transactor.Transactor
      const attempts = yield* Ref.make(0)
      const register: typeof storage.register = (key) =>
        Effect.flatMap(
          Ref.updateAndGet(attempts, (n) => n + 1),
          (attempt) => attempt <= count ? Effect.fail(conflict) : storage.register(key)
        )
      const layer = Layer.mergeAll(
        Layer.succeed(Inbox.InboxStorage, { ...storage, register }),
        Layer.succeed(Transactor.Transactor, { ...transactor, isConflict: (error) => error === conflict })
      )
      const run = (options: Inbox.Options = {}) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(Effect.either(Effect.provide(Inbox.process(key, add, options), layer)))
          for (let i = 0; i < 10; i++) yield* Effect.zipRight(settled, TestClock.adjust("500 millis"))
          const result = yield* Fiber.join(fiber)
          return [result._tag, yield* Ref.get(attempts), yield* stored]
        })
      return { layer, run }
    })

  it.effect("is repeated as a whole, up to five times", () =>
    Effect.gen(function*() {
      const { run } = yield* victims(5)
      assert.deepStrictEqual(yield* run(), ["Right", 6, 1])
    }).pipe(Effect.provide(Ground)))

  it.effect("fails when it is one the sixth time", () =>
    Effect.gen(function*() {
      const { run } = yield* victims(6)
      assert.deepStrictEqual(yield* run(), ["Left", 6, 0])
    }).pipe(Effect.provide(Ground)))

  it.effect("is repeated by another policy, or not at all", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* victims(6)).run({ retry: Schedule.recurs(6) }), ["Right", 7, 1])
    }).pipe(
      Effect.provide(Ground),
      Effect.zipRight(Effect.provide(
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* (yield* victims(1)).run({ retry: Schedule.stop }), ["Left", 1, 0])
        }),
        Ground
      ))
    ))

  it.effect("is not repeated inside another, which is gone as a whole", () =>
    Effect.gen(function*() {
      const { layer } = yield* victims(1)
      const nested = Transaction.run(Effect.either(Inbox.process(key, add)))
      assert.strictEqual((yield* Effect.provide(nested, layer))._tag, "Left")
    }).pipe(Effect.provide(Ground)))
})

describe("the retention", () => {
  it.effect("of the inbox in memory is the window in which duplicates are known: 7 days unless told otherwise", () =>
    Effect.gen(function*() {
      const process = Effect.map(Inbox.process(key, Effect.void), ({ _tag }) => _tag)
      assert.strictEqual(yield* process, "Handled")
      yield* Effect.zipRight(TestClock.adjust("7 days"), settled)
      assert.strictEqual(yield* process, "Duplicate")
      yield* Effect.zipRight(TestClock.adjust("3 hours"), settled)
      assert.strictEqual(yield* process, "Handled")
    }).pipe(Effect.provide(Ground)))

  it.effect("may be another", () =>
    Effect.gen(function*() {
      const process = Effect.map(Inbox.process(key, Effect.void), ({ _tag }) => _tag)
      assert.strictEqual(yield* process, "Handled")
      yield* Effect.zipRight(TestClock.adjust("10 minutes"), settled)
      assert.strictEqual(yield* process, "Duplicate")
      yield* Effect.zipRight(TestClock.adjust("2 minutes"), settled)
      assert.strictEqual(yield* process, "Handled")
    }).pipe(Effect.provide(Layer.merge(Memory, Inbox.layerMemoryWith({ retention: "10 minutes" })))))

  it.scoped("is kept to in steps, after each interval, whatever goes wrong with one", () =>
    Effect.gen(function*() {
      const answers = [3, 3, 1, "fails", "dies", 2, 0]
      const calls: Array<unknown> = []
      yield* Inbox.purging({
        purge: ({ limit }) =>
          Effect.suspend(() => {
            const answer = answers.shift() ?? 0
            calls.push([limit, answer])
            return answer === "fails"
              ? Effect.fail(new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" }))
              : answer === "dies"
              ? Effect.die("a bug")
              : Effect.succeed(answer as number)
          })
      }, { interval: "1 hour", limit: 3 })
      for (let i = 0; i < 10; i++) yield* Effect.zipRight(settled, TestClock.adjust("100 millis"))
      assert.deepStrictEqual(calls.splice(0), [[3, 3], [3, 3], [3, 1]])
      yield* TestClock.adjust("47 minutes")
      assert.deepStrictEqual(calls, [])
      for (let i = 0; i < 10; i++) yield* Effect.zipRight(settled, TestClock.adjust("30 minutes"))
      assert.deepStrictEqual(calls.slice(0, 4), [[3, "fails"], [3, "dies"], [3, 2], [3, 0]])
    }).pipe(Effect.provide(quiet)))
})

describe("the metrics", () => {
  it.effect("count duplicates and what was held back, by consumer and handler", () =>
    Effect.gen(function*() {
      const mine = { ...key, consumer: "counted" }
      const count = (metric: typeof Metrics.duplicates) =>
        Effect.map(
          Metric.value(metric.pipe(Metric.tagged("consumer", "counted"), Metric.tagged("handler", "h"))),
          ({ count }) => count
        )
      for (let i = 0; i < 3; i++) yield* Inbox.process(mine, Effect.void)
      assert.strictEqual(yield* count(Metrics.duplicates), 2)
      const storage = yield* Inbox.InboxStorage
      const other = { ...mine, messageId: "2" }
      yield* storage.start(other, { incarnation: "a", isAlone: true })
      yield* Effect.flip(Inbox.process(other, Effect.void, {
        careful: { incarnation: "b", isAlone: true, deaths: 1 }
      }))
      assert.strictEqual(yield* count(Metrics.suspected), 1)
      assert.strictEqual(yield* count(Metrics.duplicates), 2)
    }).pipe(Effect.provide(Ground)))
})
