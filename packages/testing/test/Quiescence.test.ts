import {
  Consumer,
  ConsumerDeadLetters,
  EventEmitter,
  Mediator,
  Outbox,
  Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { Faults, Quiescence, Recorder, Testbed } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Layer, Logger, Schedule, Schema } from "effect"
import { changed, Handlers, join, joined, Members, RoomChanged, UserGreeted, UserJoined } from "./support/rooms.ts"

class Deaf extends Schema.TaggedError<Deaf>()("Deaf", {}) {}

class Heard extends Context.Tag("test/Heard")<Heard, {
  readonly users: Array<string>
  answer: (userId: string) => Effect.Effect<void, Deaf>
}>() {
  static readonly layer = Layer.sync(Heard, () => ({ users: [], answer: () => Effect.void }))
}

const Listener = (options?: Partial<Consumer.Options<[typeof UserJoined], true>>) =>
  Consumer.layer({ subscription: { group: "listener" }, events: [UserJoined], inbox: true, ...options }).pipe(
    Layer.provide(Subscribers.layer(
      UserJoined,
      Effect.map(Heard, (heard) => ({
        hear: (event: UserJoined) =>
          Effect.zipRight(
            Effect.suspend(() => heard.answer(event.userId)),
            Effect.sync(() => heard.users.push(event.userId))
          )
      }))
    ))
  )

const Quiet = Logger.remove(Logger.defaultLogger)

const Test = Layer.mergeAll(Handlers, Listener()).pipe(
  Layer.provide(Recorder.layerSubscribers(UserGreeted)),
  Layer.provide(Members.layer),
  Layer.provideMerge(Heard.layer),
  Layer.provideMerge(Testbed.layerRunning()),
  Layer.provideMerge(Quiet)
)

const announce = (...events: ReadonlyArray<UserJoined | RoomChanged>) => Transaction.run(Outbox.addAll(events))

const users = Effect.map(Heard, ({ users }) => [...users])

const answering = (answer: (userId: string) => Effect.Effect<void, Deaf>) =>
  Effect.map(Heard, (heard) => {
    heard.answer = answer
  })

const left = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, Quiescence.QuiescenceError)
    return { reason: error.reason, message: error.message, lines: error.left.join("\n") }
  })

describe("quiescence", () => {
  it.effect("brings what a program announces through outbox, relay and consumer, and answers what it answers", () =>
    Effect.gen(function*() {
      const answer = yield* Quiescence.run(Effect.as(
        Effect.forEach(["ada", "grace"], (userId) => Mediator.send(join(userId))),
        "done"
      ))
      assert.strictEqual(answer, "done")
      assert.deepStrictEqual(yield* users, ["ada", "grace"])
      assert.deepStrictEqual(yield* Recorder.published(UserJoined), [joined("ada"), joined("grace")])
    }).pipe(Effect.provide(Test)))

  it.effect("waits for what a program itself waits for, and for retries", () =>
    Effect.gen(function*() {
      let failures = 2
      yield* answering(() => failures-- > 0 ? new Deaf() : Effect.void)
      const began = yield* Clock.currentTimeMillis
      yield* Quiescence.run(Effect.zipRight(Effect.sleep("3 minutes"), announce(joined("ada"))))
      assert.deepStrictEqual(yield* users, ["ada"])
      // the consumer's pauses are 100 and 200 milliseconds
      assert.strictEqual((yield* Clock.currentTimeMillis) - began, Duration.toMillis("180.3 seconds"))
    }).pipe(Effect.provide(Test)))

  it.effect("waits until an outage is over", () =>
    Effect.gen(function*() {
      yield* Faults.out()
      yield* Effect.fork(Effect.delay(Faults.recover, "2 minutes"))
      yield* Quiescence.run(announce(joined("ada"), joined("grace")))
      assert.deepStrictEqual(yield* users, ["ada", "grace"])
    }).pipe(Effect.provide(Test)))

  it.effect("repeats what the broker did not acknowledge, which the inbox recognises", () =>
    Effect.gen(function*() {
      yield* Faults.loseAcknowledgement(UserJoined)
      yield* Quiescence.run(announce(joined("ada")))
      assert.deepStrictEqual(yield* users, ["ada"])
      const { entries } = yield* Recorder.Recorder
      assert.strictEqual((yield* entries).filter(({ _tag }) => _tag === "Consumed").length, 2)
    }).pipe(Effect.provide(Test)))

  it.effect("leaves what nobody consumes where it is", () =>
    Effect.gen(function*() {
      yield* Quiescence.run(announce(changed("ada")))
      assert.deepStrictEqual(yield* Recorder.published(RoomChanged), [changed("ada")])
    }).pipe(Effect.provide(Test)))

  it.effect("says which destination is out, and why", () =>
    Effect.gen(function*() {
      yield* Faults.outOf("rooms", "there is no topic rooms")
      const { lines, reason } = yield* left(Quiescence.run(announce(joined("ada")), { within: "1 minute" }))
      assert.strictEqual(reason, "Unsettled")
      assert.strictEqual(
        lines,
        "The outbox has user_joined (topic rooms, key blue): its destination is out: there is no topic rooms"
      )
    }).pipe(Effect.provide(Test)))

  it.effect("says what is tried again and when, what waits behind it, and at last the dead letter", () =>
    Effect.gen(function*() {
      yield* Faults.reject({ where: ({ payload }) => new TextDecoder().decode(payload).includes("ada") }, "too long")
      const early = yield* left(Quiescence.run(announce(joined("ada"), joined("grace")), { within: "2 seconds" }))
      assert.match(
        early.lines,
        /^The outbox has user_joined \(topic rooms, key blue\), which is tried again in \d.* after 2 attempts: the broker refuses it: too long\n/
      )
      assert.match(early.lines, /\nThe outbox has user_joined .*: it waits behind one of its key that is tried again$/)
      const late = yield* left(Quiescence.settle())
      assert.strictEqual(
        late.message,
        [
          "It does not come to rest. No time will help",
          "- The outbox has user_joined (topic rooms, key blue): it waits behind the dead letter user_joined of its key",
          "- The outbox has a dead letter, user_joined (topic rooms, key blue): too long"
        ].join("\n")
      )
    }).pipe(Effect.provide(Test)))

  it.effect("does not take dead letters for a good end, unless it is told to", () =>
    Effect.gen(function*() {
      yield* answering((userId) => userId === "ada" ? new Deaf() : Effect.void)
      const dead = yield* left(Quiescence.run(announce(joined("ada"), joined("grace"))))
      assert.strictEqual(dead.reason, "DeadLetters")
      assert.match(
        dead.lines,
        /^A consumer has given up user_joined \(topic listener\.dead-letters, key blue\): hear: Deaf/
      )
      assert.deepStrictEqual(yield* users, ["grace"])
      yield* Quiescence.settle({ allowDeadLetters: true })
      yield* answering(() => Effect.void)
      yield* Effect.flatMap(ConsumerDeadLetters.ConsumerDeadLetters, (letters) => letters.redrive({}))
      yield* Quiescence.settle()
      assert.deepStrictEqual(yield* users, ["grace", "ada"])
    }).pipe(Effect.provide(Layer.provideMerge(ConsumerDeadLetters.layer({ group: "listener" }), Test))))

  it.effect("says who holds a message for how long, where a handler does not end", () =>
    Effect.gen(function*() {
      yield* answering(() => Effect.never)
      const { lines } = yield* left(Quiescence.run(announce(joined("ada")), { within: "30 seconds" }))
      assert.match(
        lines,
        /^The group listener holds user_joined \(topic rooms, key blue\) for .*: a handler is at work, or waits for its next attempt$/
      )
    }).pipe(Effect.provide(Test)))

  it.effect("says that a dead letter is held because its topic is out", () =>
    Effect.gen(function*() {
      yield* answering(() => new Deaf())
      yield* Faults.outOf("listener.dead-letters", "no such topic")
      const { lines } = yield* left(Quiescence.run(announce(joined("ada")), { within: "30 seconds" }))
      assert.match(lines, /it is to be a dead letter \(hear: Deaf.*\), which the broker does not take: no such topic$/)
    }).pipe(Effect.provide(Test)))

  it.effect("says that no relay is there", () =>
    Effect.gen(function*() {
      const { lines } = yield* left(Quiescence.run(announce(joined("ada")), { within: "1 minute" }))
      assert.include(lines, "nobody has tried to publish it. Is a relay running?")
    }).pipe(Effect.provide(Testbed.layer())))

  it.effect("says that the effect itself has not ended", () =>
    Effect.gen(function*() {
      const { message } = yield* left(Quiescence.run(Effect.never, { within: "1 minute" }))
      assert.strictEqual(message, "It does not come to rest. The effect has not ended")
    }).pipe(Effect.provide(Test)))

  it.effect("fails as its effect does", () =>
    Effect.gen(function*() {
      assert.instanceOf(yield* Effect.flip(Quiescence.run(Effect.delay(new Deaf(), "1 second"))), Deaf)
    }).pipe(Effect.provide(Test)))

  it.live("says that there is no test clock", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Quiescence.settle())).reason, "NoTestClock")
    }).pipe(Effect.provide(Testbed.layer())))

  it.effect("goes through a relay as it is in production, in a time that suits a test", () =>
    Effect.gen(function*() {
      yield* Faults.out()
      yield* Effect.fork(Effect.delay(Faults.recover, "2 minutes"))
      yield* Quiescence.run(announce(joined("ada")))
      assert.deepStrictEqual(yield* users, ["ada"])
    }).pipe(Effect.provide(
      Listener().pipe(
        Layer.provideMerge(Heard.layer),
        Layer.provideMerge(Testbed.layerRunning({ relay: { pollInterval: "1 second" } })),
        Layer.provideMerge(Quiet)
      )
    )))

  it.effect("waits for handlers that emit in turn, whatever the pauses", () =>
    Effect.gen(function*() {
      yield* Quiescence.run(EventEmitter.emit(joined("ada")))
      assert.deepStrictEqual(yield* users, ["ada"])
    }).pipe(Effect.provide(
      Listener({ retry: Schedule.spaced("1 hour"), concurrency: 4 }).pipe(
        Layer.provideMerge(Heard.layer),
        Layer.provideMerge(Testbed.layerRunning()),
        Layer.provideMerge(Quiet)
      )
    )))
})
