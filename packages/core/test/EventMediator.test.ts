import { Event, EventEmitter, EventMediator, HandlerError, Subscribers } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Schema } from "effect"
import { defectOf, message, RoomClosed, RoomOpened } from "./fixtures.ts"

class Seen extends Context.Tag("test/Seen")<Seen, Array<string>>() {}
const layerSeen = Layer.sync(Seen, () => [])
const see = (what: string) => Effect.flatMap(Seen, (seen) => Effect.sync(() => void seen.push(what)))

const Three = Subscribers.layer(RoomClosed, {
  one: (event) => see(`one ${event.room} ${event.n}`),
  two: () => Effect.fail("no"),
  three: () => Effect.die("boom"),
  four: () => see("four")
}).pipe(Layer.provideMerge(layerSeen))

describe("EventMediator", () => {
  it.effect("knows the topics of its events, each once", () =>
    Effect.gen(function*() {
      class Other extends Event.notification<Other>()("room_other", { topic: "rooms" }) {}
      const mediator = yield* EventMediator.make([RoomClosed, RoomOpened, Other]).pipe(
        Effect.provide(Layer.mergeAll(
          Subscribers.none(RoomClosed),
          Subscribers.none(RoomOpened),
          Subscribers.none(Other)
        ))
      )
      assert.deepStrictEqual(mediator.topics, ["rooms", "openings"])
    }))

  it.effect("runs all handlers of the message's event, and answers how each fared", () =>
    Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      const handled = yield* mediator.dispatch(message())
      assert.deepStrictEqual(handled, [
        { handler: "one", exit: Exit.void },
        { handler: "two", exit: Exit.fail("no") },
        { handler: "three", exit: Exit.die("boom") },
        { handler: "four", exit: Exit.void }
      ])
      assert.deepStrictEqual(yield* Seen, ["one blue 1", "four"])
    }).pipe(Effect.provide(Three)))

  it.effect("runs only the handlers it was asked for", () =>
    Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      const handled = yield* mediator.dispatch(message(), { only: new Set(["four", "unheard of"]) })
      assert.deepStrictEqual(handled.map(({ handler }) => handler), ["four"])
    }).pipe(Effect.provide(Three)))

  it.effect("wraps each handler in what it was given", () =>
    Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      const handled = yield* mediator.dispatch(message(), {
        around: ({ effect, handler }) => handler === "one" ? Effect.void : Effect.exit(effect)
      })
      assert.isTrue(handled.every(({ exit }) => Exit.isSuccess(exit)))
      assert.deepStrictEqual(yield* Seen, ["four"])
    }).pipe(Effect.provide(Three)))

  it.effect("refuses a message of an event it was not given, by name", () =>
    Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      const error = yield* Effect.flip(mediator.dispatch(message({ name: "room_painted" })))
      assert.strictEqual(error.reason, "UnknownEvent")
      assert.include(error.message, "room_painted")
    }).pipe(Effect.provide(Three)))

  it.effect("refuses a message it cannot decode before any handler has run, and says nothing of its payload", () =>
    Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      const payload = new TextEncoder().encode("{\"room\":\"secret\"}")
      const error = yield* Effect.flip(mediator.dispatch(message({ payload })))
      assert.strictEqual(error.reason, "Undecodable")
      assert.notInclude(error.message, "secret")
      assert.deepStrictEqual(yield* Seen, [])
    }).pipe(Effect.provide(Three)))

  it.effect("dies if two of its events have one name", () =>
    Effect.gen(function*() {
      class Other extends Event.notification<Other>()("room_closed", { topic: "elsewhere" }) {}
      const exit = yield* Effect.exit(
        EventMediator.make([RoomClosed, Other]).pipe(
          Effect.provide(Layer.merge(Subscribers.none(Other), Subscribers.none(RoomClosed)))
        )
      )
      const defect = defectOf(exit)
      assert.instanceOf(defect, HandlerError.HandlerError)
      assert.strictEqual(defect.reason, "NameTaken")
      assert.include(defect.message, "room_closed")
    }))

  it.effect("dispatches what a handler emitted once it has succeeded, and nothing of one that failed", () => {
    class Applied extends Event.domain<Applied>()("MediatorApplied", { by: Schema.String }) {}
    return Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      yield* mediator.dispatch(message())
      assert.deepStrictEqual(yield* Seen, ["applied by good"])
    }).pipe(Effect.provide(
      Subscribers.layer(RoomClosed, {
        good: () => EventEmitter.emit(new Applied({ by: "good" })),
        bad: () => Effect.zipRight(EventEmitter.emit(new Applied({ by: "bad" })), Effect.fail("no"))
      }).pipe(
        Layer.provide(Subscribers.layer(Applied, { see: (event) => see(`applied by ${event.by}`) })),
        Layer.provideMerge(layerSeen)
      )
    ))
  })
})
