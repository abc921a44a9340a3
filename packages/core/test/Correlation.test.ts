import {
  Broker,
  Command,
  Correlation,
  Event,
  EventEmitter,
  EventMediator,
  Handler,
  IdGenerator,
  Mediator,
  Outbox,
  Serialization,
  Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Ref } from "effect"
import { Memory, message, pending, RoomClosed } from "./fixtures.ts"

/** Ids that can be read: 1, 2, 3 in the order of their making. */
const CountedIds = Layer.effect(
  IdGenerator.IdGenerator,
  Effect.sync(() => {
    let last = 0
    return () => String(++last)
  })
)

const idsHere = Effect.map(Correlation.current, Option.getOrUndefined)

class Found extends Context.Tag("test/Found")<Found, Ref.Ref<Correlation.Ids | undefined>>() {}
class Happened extends Event.domain<Happened>()("CorrelationHappened", {}) {}
class Outer extends Command.make<Outer>()("CorrelationOuter") {}
class Inner extends Command.make<Inner>()("CorrelationInner") {}

const add = Effect.orDie(Transaction.run(Outbox.add(new RoomClosed({ room: "blue", n: 1 }))))
const ids = Effect.map(
  pending,
  (messages) => messages.map(({ causationId, correlationId, id }) => ({ id, correlationId, causationId }))
)

describe("correlation", () => {
  it.effect("there is none outside of handlers", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* Correlation.current))
    }))

  it.effect("a message that is announced by nobody starts a conversation of its own", () =>
    Effect.gen(function*() {
      yield* add
      assert.deepStrictEqual(yield* ids, [{ id: "1", correlationId: "1", causationId: undefined }])
    }).pipe(Effect.provide(Layer.merge(Memory, CountedIds))))

  it.effect("all that a request announces has the request's id as conversation and cause", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new Outer())
      const [first, second] = yield* ids
      assert.strictEqual(first!.correlationId, second!.correlationId)
      assert.strictEqual(first!.causationId, first!.correlationId)
      assert.strictEqual(second!.causationId, first!.causationId)
      assert.strictEqual(new Set([first!.id, second!.id, first!.causationId]).size, 3)
    }).pipe(Effect.provide(
      Handler.layer(Outer, () => Effect.zipRight(add, add)).pipe(Layer.provideMerge(Layer.merge(Memory, CountedIds)))
    )))

  it.effect("what an inner request announces has the outer's conversation, and the inner as its cause", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new Outer())
      const [outer, inner] = yield* ids
      assert.strictEqual(inner!.correlationId, outer!.correlationId)
      assert.strictEqual(outer!.causationId, outer!.correlationId)
      assert.notStrictEqual(inner!.causationId, outer!.causationId)
    }).pipe(Effect.provide(
      Handler.layer(Outer, () => Effect.zipRight(add, Mediator.send(new Inner()))).pipe(
        Layer.provideMerge(Handler.layer(Inner, () => add)),
        Layer.provideMerge(Layer.merge(Memory, CountedIds))
      )
    )))

  it.effect("requests that a handler sends are of one conversation, even if it can announce nothing itself", () =>
    Effect.gen(function*() {
      const conversations = yield* Ref.make<ReadonlyArray<string | undefined>>([])
      const innerLayer = Handler.layer(
        Inner,
        () => Effect.flatMap(idsHere, (found) => Ref.update(conversations, (all) => [...all, found?.correlationId]))
      ).pipe(Layer.provide(Memory))
      const outerLayer = Handler.layer(
        Outer,
        () => Effect.zipRight(Mediator.send(new Inner()), Mediator.send(new Inner()))
      ).pipe(Layer.provide(innerLayer))
      yield* Effect.provide(Mediator.send(new Outer()), outerLayer)
      const [first, second] = yield* Ref.get(conversations)
      assert.isString(first)
      assert.strictEqual(first, second)
    }))

  it.effect("a handler can read its ids, whatever its services are", () =>
    Effect.gen(function*() {
      const found = yield* Ref.make<Correlation.Ids | undefined>(undefined)
      const layer = Handler.layer(
        Outer,
        Effect.map(Found, (ref) => () => Effect.flatMap(idsHere, (here) => Ref.set(ref, here)))
      ).pipe(Layer.provide(Layer.succeed(Found, found)))
      yield* Effect.provide(Mediator.send(new Outer()), layer)
      const here = (yield* Ref.get(found))!
      assert.isString(here.correlationId)
      assert.strictEqual(here.causationId, here.correlationId)
    }))

  it.effect("an event's handlers have the request's conversation and the event, not the request, as their cause", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new Outer())
      const [fromRequest, one, two] = yield* ids
      assert.strictEqual(one!.correlationId, fromRequest!.correlationId)
      assert.strictEqual(two!.correlationId, fromRequest!.correlationId)
      assert.notStrictEqual(one!.causationId, fromRequest!.causationId)
      assert.strictEqual(two!.causationId, one!.causationId)
    }).pipe(Effect.provide(
      Handler.layer(Outer, () => Effect.zipRight(add, EventEmitter.emit(new Happened()))).pipe(
        Layer.provide(Subscribers.layer(Happened, { one: () => add, two: () => add })),
        Layer.provideMerge(Layer.merge(Memory, CountedIds))
      )
    )))

  it.effect("ids that come from elsewhere are taken over", () =>
    Effect.gen(function*() {
      yield* Correlation.provide(add, { correlationId: "request-17", causationId: "click" })
      yield* Correlation.provide(Mediator.send(new Outer()), { correlationId: "request-18" })
      const [direct, handled] = yield* ids
      assert.deepStrictEqual(
        [direct!.correlationId, direct!.causationId, handled!.correlationId],
        ["request-17", "click", "request-18"]
      )
      assert.notInclude(["request-18", undefined], handled!.causationId)
    }).pipe(Effect.provide(Handler.layer(Outer, () => add).pipe(Layer.provideMerge(Memory)))))

  it.effect("a received message's conversation goes on, with the message as the cause", () =>
    Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      yield* mediator.dispatch(message({ id: "m", correlationId: "c", causationId: "older" }))
      const [added] = yield* ids
      assert.deepStrictEqual([added!.correlationId, added!.causationId], ["c", "m"])
    }).pipe(Effect.provide(
      Subscribers.layer(RoomClosed, { add: () => add }).pipe(Layer.provideMerge(Memory))
    )))

  it.effect("events that go straight to the broker carry them, too", () =>
    Effect.gen(function*() {
      const sent = yield* Ref.make<ReadonlyArray<string>>([])
      const broker = Layer.succeed(Broker.Broker, {
        publish: (batch) =>
          Effect.as(
            Ref.update(sent, (all) => [...all, ...batch.map(({ correlationId }) => correlationId)]),
            batch.map(() => Broker.Outcome.Delivered())
          ),
        consume: () => Effect.die("nobody consumes here"),
        sift: () => Effect.die("nobody consumes here")
      })
      yield* EventEmitter.emit(new RoomClosed({ room: "blue", n: 1 })).pipe(
        (effect) => Correlation.provide(effect, { correlationId: "c" }),
        Effect.provide(broker)
      )
      assert.deepStrictEqual(yield* Ref.get(sent), ["c"])
    }))
})

describe("the trace context", () => {
  it.effect("of a message is that of where it was made, as W3C has it, and none where there is no valid one", () =>
    Effect.gen(function*() {
      const made = Effect.map(Serialization.encode(new RoomClosed({ room: "blue", n: 1 })), (one) => one.traceparent)
      assert.isUndefined(yield* made)
      assert.match((yield* Effect.withSpan(made, "span"))!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      assert.isUndefined(yield* Effect.withTracerEnabled(Effect.withSpan(made, "span"), false))
    }))
})
