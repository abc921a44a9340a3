import {
  Broker,
  Consumer,
  Correlation,
  Event,
  EventEmitter,
  Inbox,
  type Message,
  Outbox,
  OutboxStorage,
  Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import type { Duration } from "effect"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Ref, Schedule, Schema, Scope, TestClock } from "effect"
import {
  DestinationOut,
  failureOf,
  layerLogs,
  Logs,
  Memory,
  message,
  pending,
  quiet,
  RoomClosed,
  RoomOpened,
  settled
} from "./fixtures.ts"

class Failed extends Schema.TaggedError<Failed>()("Failed", { text: Schema.String }) {}

/** What the handlers saw, in order. */
class Seen extends Context.Tag("test/Seen")<Seen, Array<string>>() {}
const see = (what: string) => Effect.flatMap(Seen, (seen) => Effect.sync(() => void seen.push(what)))

const Ground = Layer.mergeAll(Layer.sync(Seen, () => []), Broker.layerMemory(), Memory, Inbox.layerMemory)

const payload = (n: number, room = "blue") => new TextEncoder().encode(JSON.stringify({ room, n }))
const closed = (n: number, given: Partial<Message.Message> = {}) =>
  message({ id: String(n), payload: payload(n), ...given })
const publish = (...batch: ReadonlyArray<Message.Message>) =>
  Effect.flatMap(Broker.Broker, (broker) => broker.publish(batch))

/** The messages of a topic from now on; what was there is settled. */
const listen = (topic: string) =>
  Effect.gen(function*() {
    const messages: Array<Message.Message> = []
    const broker = yield* Broker.Broker
    const source = yield* broker.consume({ topics: [topic], group: `listener of ${topic}` })
    yield* Effect.forkScoped(Effect.forever(Effect.scoped(
      Effect.flatMap(source.take, ({ message }) => Effect.sync(() => void messages.push(message)))
    )))
    return messages
  })

/** What a group has not settled, seen by another member after the consumer is gone. */
const unsettled = (group: string) =>
  Effect.scoped(Effect.gen(function*() {
    const broker = yield* Broker.Broker
    const source = yield* broker.consume({ topics: ["rooms"], group })
    const ids: Array<string> = []
    const fiber = yield* Effect.fork(Effect.forever(Effect.scoped(
      Effect.flatMap(source.take, ({ message }) => Effect.sync(() => void ids.push(message.id)))
    )))
    yield* settled
    yield* Fiber.interrupt(fiber)
    return ids
  }))

/** The services that handlers ask for are all in {@link Ground}. */
const onClosed = (handlers: {
  readonly [name: string]: (event: RoomClosed) => Effect.Effect<unknown, unknown, any>
}) =>
  Subscribers.layer(
    RoomClosed,
    handlers as { readonly [name: string]: (event: RoomClosed) => Effect.Effect<unknown, unknown> }
  )

/** A broker whose deliveries are forwarded otherwise. */
const withForward = (
  broker: Context.Tag.Service<Broker.Broker>,
  change: (forward: Effect.Effect<Broker.Outcome>) => Effect.Effect<Broker.Outcome>
): Context.Tag.Service<Broker.Broker> => {
  const changed = <D extends Broker.Delivery>(delivery: D): D => ({
    ...delivery,
    forward: (to) => change(delivery.forward(to))
  })
  return {
    ...broker,
    consume: (subscription) =>
      Effect.map(broker.consume(subscription), (source) => ({
        take: Effect.map(source.take, changed),
        takeMany: (limit) => Effect.map(source.takeMany(limit), (deliveries) => deliveries.map(changed))
      }))
  }
}

const advance = (duration: Duration.DurationInput) =>
  Effect.zipRight(settled, Effect.zipRight(TestClock.adjust(duration), settled))

describe("a consumer", () => {
  it.scoped("hands messages of its events to their handlers and acknowledges them after that", () =>
    Effect.gen(function*() {
      const consumer = yield* Scope.make()
      yield* Layer.buildWithScope(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(onClosed({ a: (event) => see(`a ${event.n}`), b: (event) => see(`b ${event.n}`) }))
        ),
        consumer
      )
      yield* publish(closed(1), closed(2))
      yield* settled
      assert.deepStrictEqual(yield* Seen, ["a 1", "b 1", "a 2", "b 2"])
      yield* Scope.close(consumer, Exit.void)
      assert.deepStrictEqual(yield* unsettled("g"), [])
    }).pipe(Effect.provide(Ground)))

  it.scoped("subscribes to the topics of all its events", () =>
    Effect.gen(function*() {
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed, RoomOpened] }).pipe(
          Layer.provide(onClosed({ a: (event) => see(`closed ${event.n}`) })),
          Layer.provide(Subscribers.layer(RoomOpened, { a: (event) => see(`opened ${event.n}`) }))
        )
      )
      yield* publish(closed(1), message({ name: "room_opened", topic: "openings", payload: payload(2) }))
      yield* settled
      assert.deepStrictEqual(yield* Seen, ["closed 1", "opened 2"])
    }).pipe(Effect.provide(Ground)))

  it.scoped("keeps the order of a key, whatever the concurrency, and handles keys at the same time", () =>
    Effect.gen(function*() {
      const running = yield* Ref.make({ now: 0, most: 0 })
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], concurrency: 4 }).pipe(
          Layer.provide(onClosed({
            slow: (event) =>
              Effect.gen(function*() {
                yield* Ref.update(running, ({ most, now }) => ({ now: now + 1, most: Math.max(most, now + 1) }))
                for (let i = 0; i < event.n % 7; i++) yield* Effect.yieldNow()
                yield* see(`${event.room} ${event.n}`)
                yield* Ref.update(running, ({ most, now }) => ({ now: now - 1, most }))
              })
          }))
        )
      )
      const rooms = ["a", "b", "c"]
      yield* publish(...Array.from({ length: 60 }, (_, n) => {
        const room = rooms[n % 3]!
        return closed(n, { key: room, payload: payload(n, room) })
      }))
      for (let i = 0; i < 10; i++) yield* settled
      const seen = yield* Seen
      assert.strictEqual(seen.length, 60)
      for (const room of rooms) {
        const order = seen.filter((one) => one.startsWith(room)).map((one) => Number(one.slice(2)))
        assert.deepStrictEqual(order, [...order].sort((a, b) => a - b))
      }
      assert.strictEqual((yield* Ref.get(running)).most, 3)
    }).pipe(Effect.provide(Ground)))

  it.scoped("what the handlers cause has the message's conversation and the message as its cause", () =>
    Effect.gen(function*() {
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(onClosed({
            add: (event) => Transaction.run(Outbox.add(new RoomOpened({ room: event.room, n: event.n }))),
            say: () => Effect.flatMap(Correlation.current, (ids) => see(Option.getOrThrow(ids).correlationId))
          }))
        )
      )
      yield* publish(closed(1, { id: "the-message", correlationId: "the-conversation", causationId: "older" }))
      yield* settled
      const [added] = yield* pending
      assert.strictEqual(added!.correlationId, "the-conversation")
      assert.strictEqual(added!.causationId, "the-message")
      assert.deepStrictEqual(yield* Seen, ["the-conversation"])
    }).pipe(Effect.provide(Ground)))

  it.scoped("domain events of a handler are dispatched once it has succeeded, and not those of a failed attempt", () => {
    class Applied extends Event.domain<Applied>()("Applied", { n: Schema.Number }) {}
    return Effect.gen(function*() {
      const attempts = yield* Ref.make(0)
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.recurs(1) }).pipe(
          Layer.provide(onClosed({
            apply: () =>
              Effect.gen(function*() {
                const attempt = yield* Ref.updateAndGet(attempts, (n) => n + 1)
                yield* EventEmitter.emit(new Applied({ n: attempt }))
                if (attempt === 1) return yield* new Failed({ text: "" })
              })
          })),
          Layer.provide(Subscribers.layer(Applied, { see: (event) => see(`applied ${event.n}`) }))
        )
      )
      yield* publish(closed(1))
      yield* settled
      assert.deepStrictEqual(yield* Seen, ["applied 2"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet)))
  })
})

describe("a handler that fails", () => {
  it.scoped("is run again by the schedule, alone, while the message is held and those behind it wait", () =>
    Effect.gen(function*() {
      const attempts = yield* Ref.make(0)
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.spaced("1 second") }).pipe(
          Layer.provide(onClosed({
            fine: (event) => see(`fine ${event.n}`),
            flaky: (event) =>
              Effect.gen(function*() {
                if ((yield* Ref.updateAndGet(attempts, (n) => n + 1)) < 3) return yield* new Failed({ text: "" })
                yield* see(`flaky ${event.n}`)
              })
          }))
        )
      )
      yield* publish(closed(1), closed(2))
      yield* advance("999 millis")
      assert.deepStrictEqual(yield* Seen, ["fine 1"])
      yield* advance("1 millis")
      assert.deepStrictEqual(yield* Seen, ["fine 1"])
      yield* advance("1 second")
      assert.deepStrictEqual(yield* Seen, ["fine 1", "flaky 1", "fine 2", "flaky 2"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("does not hold up other keys, where there is concurrency", () =>
    Effect.gen(function*() {
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], concurrency: 2, grace: 0 }).pipe(
          Layer.provide(onClosed({
            pick: (event) => event.room === "blue" ? new Failed({ text: "" }) : see(`${event.room} ${event.n}`)
          }))
        )
      )
      yield* publish(closed(1), closed(2), closed(3, { key: "red", payload: payload(3, "red") }))
      yield* settled
      assert.deepStrictEqual(yield* Seen, ["red 3"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("makes a dead letter when the schedule ends: once, intact, with the reason beside it; and the consumer goes on", () =>
    Effect.gen(function*() {
      const letters = yield* listen("g.dead-letters")
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.recurs(2) }).pipe(
          Layer.provide(onClosed({
            fails: (event) => event.n === 1 ? new Failed({ text: "secret" }) : Effect.void,
            dies: (event) => event.n === 1 ? Effect.die(new TypeError("secret")) : see(`after ${event.n}`)
          }))
        )
      )
      const original = closed(1, {
        headers: { tenant: "acme" },
        correlationId: "conversation",
        causationId: "cause",
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        sequence: 17n
      })
      yield* publish(original, closed(2))
      yield* settled
      assert.deepStrictEqual(letters, [{
        ...original,
        topic: "g.dead-letters",
        headers: {
          tenant: "acme",
          [Consumer.deadLetterHeaders.reason]: "fails: Failed; dies: TypeError",
          [Consumer.deadLetterHeaders.attempts]: "3",
          [Consumer.deadLetterHeaders.group]: "g",
          [Consumer.deadLetterHeaders.topic]: "rooms",
          [Consumer.deadLetterHeaders.time]: "1970-01-01T00:00:00.000Z"
        }
      }])
      assert.deepStrictEqual(yield* Seen, ["after 2"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("is run 6 times in 3.1 seconds unless told otherwise", () =>
    Effect.gen(function*() {
      const letters = yield* listen("g.dead-letters")
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(onClosed({ fails: () => Effect.zipRight(see("run"), Effect.fail("no")) }))
        )
      )
      yield* publish(closed(1))
      yield* advance("3099 millis")
      assert.strictEqual((yield* Seen).length, 5)
      assert.strictEqual(letters.length, 0)
      yield* advance("1 millis")
      assert.strictEqual((yield* Seen).length, 6)
      assert.strictEqual(letters.length, 1)
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("a handler that interrupts itself has failed, and the consumer goes on", () =>
    Effect.gen(function*() {
      const letters = yield* listen("g.dead-letters")
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.recurs(1) }).pipe(
          Layer.provide(onClosed({ odd: (event) => event.n === 1 ? Effect.interrupt : see(`handled ${event.n}`) }))
        )
      )
      yield* publish(closed(1), closed(2))
      yield* settled
      assert.deepStrictEqual(yield* Seen, ["handled 2"])
      assert.deepStrictEqual(letters.map(({ id }) => id), ["1"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("the log names message and handler and has nothing of the payload", () =>
    Effect.gen(function*() {
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.stop }).pipe(
          Layer.provide(onClosed({ fails: () => Effect.fail("no") }))
        )
      )
      yield* publish(closed(4711, { id: "the-message", key: undefined }))
      yield* settled
      const lines = (yield* Logs).join("\n")
      assert.include(lines, "A message is a dead letter: fails")
      assert.include(lines, "the-message")
      assert.notInclude(lines, "4711")
    }).pipe(Effect.provide(Layer.merge(Ground, layerLogs))))
})

describe("messages that no handler can have", () => {
  it.scoped("are dead letters at once if they cannot be decoded, and nothing of them is in the reason", () =>
    Effect.gen(function*() {
      const letters = yield* listen("graveyard")
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], deadLetter: { topic: "graveyard" } }).pipe(
          Layer.provide(onClosed({ see: (event) => see(`handled ${event.n}`) }))
        )
      )
      yield* publish(
        closed(1, { payload: new TextEncoder().encode("{\"room\":\"secret\",\"n\":\"secret\"}") }),
        closed(2, { payload: new TextEncoder().encode("{secret") }),
        closed(3, { contentType: "application/x-other" }),
        closed(4, { contentEncoding: "lzma" }),
        closed(5, { contentEncoding: "gzip" }),
        closed(6)
      )
      // zlib answers from a thread of its own
      yield* Effect.repeat(
        Effect.zipRight(Effect.promise(() => new Promise((resolve) => setImmediate(resolve))), settled),
        { while: () => letters.length < 5, times: 10_000 }
      )
      yield* settled
      assert.deepStrictEqual(letters.map(({ id }) => id), ["1", "2", "3", "4", "5"])
      for (const letter of letters) {
        assert.isAbove(letter.headers[Consumer.deadLetterHeaders.reason]!.length, 10)
        assert.notInclude(letter.headers[Consumer.deadLetterHeaders.reason], "secret")
        assert.strictEqual(letter.headers[Consumer.deadLetterHeaders.attempts], "1")
      }
      assert.deepStrictEqual(yield* Seen, ["handled 6"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("are dead letters if their event is unknown", () =>
    Effect.gen(function*() {
      const letters = yield* listen("g.dead-letters")
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(Layer.provide(onClosed({})))
      )
      yield* publish(closed(1, { name: "room_painted" }))
      yield* settled
      assert.include(letters[0]!.headers[Consumer.deadLetterHeaders.reason], "room_painted")
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("are ignored if their event is unknown and the consumer says so", () =>
    Effect.gen(function*() {
      const letters = yield* listen("g.dead-letters")
      const consumer = yield* Scope.make()
      yield* Layer.buildWithScope(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], deadLetter: { unknown: "ignore" } }).pipe(
          Layer.provide(onClosed({}))
        ),
        consumer
      )
      yield* publish(closed(1, { name: "room_painted" }), closed(2, { payload: new Uint8Array([0xff]) }))
      yield* settled
      yield* Scope.close(consumer, Exit.void)
      assert.deepStrictEqual(letters.map(({ id }) => id), ["2"])
      assert.deepStrictEqual(yield* unsettled("g"), [])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("are held while the dead letter topic cannot be reached, and those of their key behind them", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const out = yield* Ref.make<"out" | "dies" | "rejects" | "fine">("out")
      const letters = yield* listen("g.dead-letters")
      const flaky = Layer.succeed(
        Broker.Broker,
        withForward(broker, (forward) =>
          Effect.flatMap(Ref.get(out), (state): Effect.Effect<Broker.Outcome> => {
            switch (state) {
              case "out":
                return Effect.succeed(DestinationOut)
              case "dies":
                return Effect.die("a bug of the adapter")
              case "rejects":
                return Effect.succeed(Broker.Outcome.Rejected({ reason: "its headers are too large" }))
              case "fine":
                return forward
            }
          }))
      )
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.stop }).pipe(
          Layer.provide(onClosed({ odd: (event) => event.n === 1 ? Effect.fail("no") : see(`handled ${event.n}`) })),
          Layer.provide(flaky)
        )
      )
      yield* publish(closed(1), closed(2))
      for (const state of ["out", "dies", "rejects"] as const) {
        yield* Ref.set(out, state)
        yield* advance("30 seconds")
        yield* advance("30 seconds")
        assert.deepStrictEqual(yield* Seen, [], state)
      }
      yield* Ref.set(out, "fine")
      yield* advance("15 seconds")
      yield* advance("15 seconds")
      assert.deepStrictEqual(letters.map(({ id }) => id), ["1"])
      assert.deepStrictEqual(yield* Seen, ["handled 2"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))
})

describe("outages", () => {
  for (
    const [what, unavailable] of [
      ["of the database", new Transaction.TransactionError({ reason: "Unavailable", message: "gone" })],
      ["of a storage", new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })],
      ["that are a missing table", new OutboxStorage.StorageError({ reason: "Schema", message: "gone" })]
    ] as const
  ) {
    it.scoped(`${what} consume no attempts: the message is held until it is back`, () =>
      Effect.gen(function*() {
        const letters = yield* listen("g.dead-letters")
        const out = yield* Ref.make(true)
        yield* Layer.build(
          Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.recurs(1) }).pipe(
            Layer.provide(onClosed({
              see: (event) =>
                Effect.if(Ref.get(out), {
                  onTrue: () => Effect.fail(unavailable),
                  onFalse: () => see(`handled ${event.n}`)
                })
            }))
          )
        )
        yield* publish(closed(1), closed(2))
        for (let second = 0; second < 120; second++) yield* Effect.zipRight(TestClock.adjust("1 second"), settled)
        assert.deepStrictEqual(yield* Seen, [])
        yield* Ref.set(out, false)
        for (let second = 0; second < 20; second++) yield* Effect.zipRight(TestClock.adjust("1 second"), settled)
        assert.deepStrictEqual(yield* Seen, ["handled 1", "handled 2"])
        assert.deepStrictEqual(letters, [])
      }).pipe(Effect.provide(Layer.merge(Ground, quiet))))
  }

  it.scoped("a broker that cannot be taken from, or whose adapter dies, is taken from again", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const state = yield* Ref.make<"out" | "dies" | "fine">("out")
      const flaky = Layer.succeed(Broker.Broker, {
        ...broker,
        consume: (subscription) =>
          Effect.map(broker.consume(subscription), (source) => ({
            ...source,
            takeMany: (limit) =>
              Effect.flatMap(Ref.get(state), (now) =>
                now === "fine"
                  ? source.takeMany(limit)
                  : now === "dies"
                  ? Effect.die("a bug of the adapter")
                  : new Broker.BrokerError({ reason: "Unavailable", message: "connection refused" }))
          }))
      })
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(onClosed({ see: (event) => see(`handled ${event.n}`) })),
          Layer.provide(flaky)
        )
      )
      yield* publish(closed(1))
      yield* advance("1 minute")
      yield* Ref.set(state, "dies")
      yield* advance("1 minute")
      yield* advance("1 minute")
      assert.deepStrictEqual(yield* Seen, [])
      yield* Ref.set(state, "fine")
      yield* advance("20 seconds")
      assert.deepStrictEqual(yield* Seen, ["handled 1"])
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))
})

describe("with the inbox", () => {
  it.scoped("a message that is delivered twice is handled once", () =>
    Effect.gen(function*() {
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], inbox: true }).pipe(
          Layer.provide(onClosed({
            apply: (event) => Transaction.run(Outbox.add(new RoomOpened({ room: event.room, n: event.n })))
          }))
        )
      )
      yield* publish(closed(1), closed(1), closed(2))
      yield* settled
      assert.deepStrictEqual((yield* pending).map(({ causationId }) => causationId), ["1", "2"])
    }).pipe(Effect.provide(Ground)))

  it.scoped("after a failure only what failed is handled again, each handler in a transaction of its own", () =>
    Effect.gen(function*() {
      const attempts = yield* Ref.make(0)
      const add = (room: string, n: number) => Transaction.run(Outbox.add(new RoomOpened({ room, n })))
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], inbox: true, retry: Schedule.recurs(3) })
          .pipe(
            Layer.provide(onClosed({
              fine: (event) => add("fine", event.n),
              flaky: (event) =>
                Effect.gen(function*() {
                  yield* add("flaky", event.n)
                  if ((yield* Ref.updateAndGet(attempts, (n) => n + 1)) < 3) return yield* new Failed({ text: "" })
                })
            }))
          )
      )
      yield* publish(closed(1), closed(1))
      yield* settled
      assert.deepStrictEqual((yield* pending).map(({ key }) => key), ["fine", "flaky"])
      assert.strictEqual(yield* Ref.get(attempts), 3)
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))

  it.scoped("equal ids of two sources are two messages, and two groups handle each for themselves", () =>
    Effect.gen(function*() {
      for (const group of ["g", "h"]) {
        yield* Layer.build(
          Consumer.layer({ subscription: { group }, events: [RoomClosed], inbox: true }).pipe(
            Layer.provide(onClosed({ see: (event) => see(`${group} ${event.n}`) }))
          )
        )
      }
      yield* publish(closed(1, { id: "same", source: "/a" }), closed(2, { id: "same", source: "/b" }))
      yield* settled
      assert.deepStrictEqual([...yield* Seen].sort(), ["g 1", "g 2", "h 1", "h 2"])
    }).pipe(Effect.provide(Ground)))
})

describe("shutdown", () => {
  const slow = Effect.gen(function*() {
    const started = yield* Deferred.make<void>()
    const done = yield* Deferred.make<void>()
    const consumer = yield* Scope.make()
    yield* Layer.buildWithScope(
      Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], grace: "10 seconds" }).pipe(
        Layer.provide(onClosed({
          slow: (event) =>
            Deferred.succeed(started, undefined).pipe(
              Effect.zipRight(Deferred.await(done)),
              Effect.zipRight(see(`handled ${event.n}`))
            )
        }))
      ),
      consumer
    )
    yield* publish(closed(1), closed(2, { key: "red" }))
    yield* Deferred.await(started)
    const closing = yield* Effect.fork(Scope.close(consumer, Exit.void))
    yield* settled
    return { closing, done }
  })

  it.scoped("lets handlers finish within the grace period, acknowledges, and takes nothing more", () =>
    Effect.gen(function*() {
      const { closing, done } = yield* slow
      yield* advance("9 seconds")
      assert.isNull(closing.unsafePoll())
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* Seen, ["handled 1"])
      assert.deepStrictEqual(yield* unsettled("g"), ["2"])
    }).pipe(Effect.provide(Ground)))

  it.scoped("interrupts what takes longer, and its message is handed out again", () =>
    Effect.gen(function*() {
      const { closing } = yield* slow
      yield* advance("10 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* Seen, [])
      assert.deepStrictEqual((yield* unsettled("g")).sort(), ["1", "2"])
    }).pipe(Effect.provide(Ground)))

  for (const [how, expected] of [["ends", ["3", "4", "5"]], ["is interrupted", ["2", "3", "4", "5"]]] as const) {
    it.scoped(`in the middle of what was taken together, gives back in order what was not begun, when what runs ${how}`, () =>
      Effect.gen(function*() {
        const started: Array<string> = []
        const storage = yield* Inbox.InboxStorage
        const done = yield* Deferred.make<void>()
        const consumer = yield* Scope.make()
        yield* publish(...[1, 2, 3, 4, 5].map((n) => closed(n)))
        yield* Layer.buildWithScope(
          Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], inbox: true, grace: "10 seconds" }).pipe(
            Layer.provide(onClosed({ slow: ({ n }) => n === 2 ? Deferred.await(done) : see(String(n)) })),
            Layer.provide(Layer.succeed(Inbox.InboxStorage, {
              ...storage,
              start: (key, start) =>
                Effect.suspend(() => {
                  started.push(key.messageId)
                  return storage.start(key, start)
                })
            }))
          ),
          consumer
        )
        yield* settled
        const closing = yield* Effect.fork(Scope.close(consumer, Exit.void))
        yield* settled
        if (how === "ends") yield* Deferred.succeed(done, undefined)
        yield* advance("10 seconds")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(yield* Seen, ["1"])
        assert.deepStrictEqual(yield* unsettled("g"), [...expected])
        // nobody is blamed: neither those that were not begun, nor the one that was interrupted
        assert.deepStrictEqual(started, ["1", "2"])
        for (const messageId of ["1", "2", "3"]) {
          assert.isFalse(yield* storage.isSuspect({ consumer: "g", source: "/tests", messageId }))
        }
      }).pipe(Effect.provide(Layer.merge(Ground, quiet))))
  }

  it.scoped("a message that arrives in the moment of the shutdown is handled or handed out again, never dropped", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const consumer = yield* Scope.make()
      yield* Layer.buildWithScope(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(onClosed({ see: (event) => see(String(event.n)) }))
        ),
        consumer
      )
      yield* settled
      // the scope's finalizer says stop; the message is there before the waiting fiber has heard of it
      const closing = yield* Effect.fork(Scope.close(consumer, Exit.void))
      yield* Effect.yieldNow()
      yield* broker.publish([closed(1)])
      yield* Fiber.join(closing)
      assert.deepStrictEqual([...yield* Seen, ...yield* unsettled("g")], ["1"])
    }).pipe(Effect.provide(Ground)))
})

describe("what was taken together", () => {
  it.scoped("is handled from the one on that could not be handled at all, again and in order; what was handled is not", () =>
    Effect.gen(function*() {
      let dies = true
      const broken = Schedule.delayed(
        Schedule.recurs(3),
        () => {
          if (dies) throw new Error("broken")
          return 0
        }
      )
      yield* publish(...[1, 2, 3].map((n) => closed(n)), closed(4, { key: "red" }))
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: broken }).pipe(
          Layer.provide(onClosed({
            h: ({ n }) => Effect.zipRight(see(String(n)), n === 2 && dies ? Effect.fail("no") : Effect.void)
          }))
        )
      )
      yield* settled
      assert.deepStrictEqual(yield* Seen, ["1", "2"])
      dies = false
      yield* advance("1 second")
      assert.deepStrictEqual((yield* Seen).filter((one) => one !== "4"), ["1", "2", "2", "3"])
      assert.include(yield* Seen, "4")
    }).pipe(Effect.provide(Layer.merge(Ground, quiet))))
})

describe("a backlog", () => {
  it.scoped("of handlers that wait for nothing leaves the event loop its turns, and does not end for it", () =>
    Effect.gen(function*() {
      yield* publish(...Array.from({ length: 300 }, (_, n) => closed(n)))
      const seen = yield* Seen
      const first = Effect.async<number>((resume) => void setImmediate(() => resume(Effect.succeed(seen.length))))
      const before = yield* Effect.fork(first)
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(onClosed({ h: ({ n }) => see(String(n)) }))
        )
      )
      assert.isBelow(yield* Fiber.join(before), 300)
      for (let n = 0; n < 5; n++) yield* settled
      assert.deepStrictEqual(seen, Array.from({ length: 300 }, (_, n) => String(n)))
    }).pipe(Effect.provide(Ground)))
})

describe("configuration", () => {
  it.effect("a concurrency below 1 is refused", () =>
    Effect.gen(function*() {
      for (const concurrency of [0, -1, 1.5, Number.NaN]) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(
          Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], concurrency }).pipe(
            Layer.provide(onClosed({}))
          )
        )))
        const error = failureOf(exit)
        assert.instanceOf(error, Broker.BrokerError)
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, String(concurrency))
      }
    }).pipe(Effect.provide(Ground)))

  it.effect("fewer deaths than 1 are refused", () =>
    Effect.gen(function*() {
      for (const deaths of [0, -1, 1.5, Number.NaN]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(
          Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], inbox: true, deaths }).pipe(
            Layer.provide(onClosed({}))
          )
        )))
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, `deaths of the consumer g is ${deaths}`)
      }
    }).pipe(Effect.provide(Ground)))
})
