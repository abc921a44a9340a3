import {
  Event,
  EventEmitter,
  EventMediator,
  HandlerError,
  Middleware,
  Retry,
  Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Ref, Schedule, Schema } from "effect"
import { defectOf, Memory, message, RoomClosed } from "./fixtures.ts"

class Seen extends Context.Tag("test/Seen")<Seen, Array<string>>() {}
const layerSeen = Layer.sync(Seen, () => [])
const see = (what: string) => Effect.flatMap(Seen, (seen) => Effect.sync(() => void seen.push(what)))

class Happened extends Event.domain<Happened>()("SubscribersHappened", { n: Schema.Number }) {}
class Answered extends Event.domain<Answered>()("SubscribersAnswered", { n: Schema.Number }) {}
const emit = EventEmitter.emit(new Happened({ n: 1 }))

const one = Subscribers.layer(Happened, { one: () => see("one") })
const two = Subscribers.layer(Happened, { two: () => see("two"), three: () => see("three") })

describe("Subscribers", () => {
  it.effect("layers of several modules for one event add up", () =>
    Effect.gen(function*() {
      yield* emit
      assert.deepStrictEqual([...yield* Seen].sort(), ["one", "three", "two"])
    }).pipe(Effect.provide(Layer.provideMerge(Layer.merge(one, two), layerSeen))))

  it.effect("the same layer in several places is there once", () =>
    Effect.gen(function*() {
      yield* emit
      assert.deepStrictEqual(yield* Seen, ["one"])
    }).pipe(Effect.provide(Layer.provideMerge(Layer.mergeAll(one, one), layerSeen))))

  it.effect("none is an answer, and takes nothing from others who have handlers", () =>
    Effect.gen(function*() {
      yield* Effect.provide(emit, Subscribers.none(Happened))
      const seen: Array<string> = []
      yield* Effect.provide(
        emit,
        Layer.provide(Layer.merge(Subscribers.none(Happened), one), Layer.succeed(Seen, seen))
      )
      assert.deepStrictEqual(seen, ["one"])
    }))

  for (const event of [Happened, RoomClosed]) {
    it.effect(`a name that is taken fails, naming event and handler (${event.kind})`, () =>
      Effect.gen(function*() {
        const again = event === Happened
          ? Layer.merge(
            Subscribers.layer(Happened, { twin: () => Effect.void }),
            Subscribers.layer(Happened, { twin: () => Effect.void })
          )
          : Layer.scopedDiscard(EventMediator.make([RoomClosed])).pipe(Layer.provide(Layer.merge(
            Subscribers.layer(RoomClosed, { twin: () => Effect.void }),
            Subscribers.layer(RoomClosed, { twin: () => Effect.void })
          )))
        const defect = defectOf(yield* Effect.exit(Effect.scoped(Layer.build(again as Layer.Layer<never>))))
        assert.instanceOf(defect, HandlerError.HandlerError)
        assert.strictEqual(defect.reason, "NameTaken")
        assert.include(defect.message, event.eventName)
        assert.include(defect.message, "twin")
      }))
  }

  for (
    const [how, emit] of [
      ["emit", (event: Event.Domain) => EventEmitter.emit(event)],
      ["emitInTransaction", (event: Event.Domain) => Transaction.run(EventEmitter.emitInTransaction(event))]
    ] as const
  ) {
    it.effect(`are never those of another event class of the same name: ${how} dies with a sentence`, () =>
      Effect.gen(function*() {
        const heard: Array<unknown> = []
        class Twin extends Event.domain<Twin>()("SubscribersHappened", { other: Schema.String }) {}
        const both = Layer.merge(
          Subscribers.layer(Happened, { first: (event) => Effect.sync(() => void heard.push(event)) }),
          Subscribers.layer(Twin, { second: (event) => Effect.sync(() => void heard.push(event)) })
        )
        const exits = yield* Effect.forEach(
          [new Happened({ n: 1 }), new Twin({ other: "x" })],
          (event) => Effect.exit(emit(event))
        ).pipe(Effect.provide(Layer.merge(both as Layer.Layer<any>, Memory)))
        const defects = exits.filter(Exit.isFailure).map(defectOf)
        assert.strictEqual(defects.length, 1)
        assert.instanceOf(defects[0], HandlerError.HandlerError)
        assert.strictEqual(defects[0].reason, "NameTaken")
        assert.include(defects[0].message, "SubscribersHappened")
        // the other one reached its own
        assert.deepStrictEqual(heard, [new Twin({ other: "x" })])
      }) as Effect.Effect<void>)
  }

  it.effect("hear an instance of a subclass", () =>
    Effect.gen(function*() {
      const heard: Array<unknown> = []
      class Special extends Happened {}
      yield* EventEmitter.emit(new Special({ n: 1 })).pipe(
        Effect.provide(Subscribers.layer(Happened, { first: (event) => Effect.sync(() => void heard.push(event.n)) }))
      )
      assert.deepStrictEqual(heard, [1])
    }))

  it.effect("of a consumed event are never those of another class that looks the same", () =>
    Effect.gen(function*() {
      class Twin extends Event.notification<Twin>()("room_closed", {
        topic: "rooms",
        payload: { room: Schema.String, n: Schema.Number }
      }) {}
      const exit = yield* Effect.exit(
        EventMediator.make([RoomClosed]).pipe(
          Effect.provide(Subscribers.layer(Twin, { only: () => Effect.void }))
        )
      )
      const defect = defectOf(exit)
      assert.instanceOf(defect, HandlerError.HandlerError)
      assert.strictEqual(defect.reason, "NameTaken")
    }))

  it.effect("two builds have nothing to do with each other", () =>
    Effect.gen(function*() {
      yield* Effect.provide(emit, one)
      yield* Effect.provide(emit, one)
      assert.deepStrictEqual(yield* Seen, ["one", "one"])
    }).pipe(Effect.provide(layerSeen)))

  it.effect("events that are handled by emitting each other are broken by none, and all handlers are called", () => {
    const onHappened = Subscribers.layer(Happened, {
      answer: (event) => Effect.zipRight(see(`happened ${event.n}`), EventEmitter.emit(new Answered({ n: event.n })))
    })
    const onAnswered = Subscribers.layer(Answered, {
      again: (event) =>
        Effect.zipRight(
          see(`answered ${event.n}`),
          event.n < 3 ? EventEmitter.emit(new Happened({ n: event.n + 1 })) : Effect.void
        )
    })
    return Effect.gen(function*() {
      yield* emit
      assert.deepStrictEqual(
        yield* Seen,
        [1, 2, 3].flatMap((n) => [`happened ${n}`, `answered ${n}`])
      )
    }).pipe(Effect.provide(
      onHappened.pipe(
        Layer.provideMerge(Layer.provide(onAnswered, Subscribers.none(Happened))),
        Layer.provideMerge(layerSeen)
      )
    ))
  })

  it.effect("handlers have the services their layer was built with, never the emitter's instead", () =>
    Effect.gen(function*() {
      const own: Array<string> = []
      const emitters: Array<string> = []
      yield* emit.pipe(
        Effect.provide(Layer.provide(one, Layer.succeed(Seen, own))),
        Effect.provideService(Seen, emitters)
      )
      assert.deepStrictEqual([own, emitters], [["one"], []])
    }))

  it.effect("a middleware provides services to handlers", () => {
    class User extends Context.Tag("test/User")<User, string>() {}
    class Auth extends Middleware.make<Auth>()("SubscribersAuth", { provides: User }) {}
    return Effect.gen(function*() {
      yield* emit
      assert.deepStrictEqual(yield* Seen, ["ada"])
    }).pipe(Effect.provide(
      Subscribers.layer(Happened, { who: () => Effect.flatMap(User, see) }, { middleware: [Auth] }).pipe(
        Layer.provide(
          Middleware.layer(Auth, <A, E>(next: Effect.Effect<A, E, User>) => Effect.provideService(next, User, "ada"))
        ),
        Layer.provideMerge(layerSeen)
      )
    ))
  })

  it.effect("what an attempt emitted that a retrying middleware repeats is dropped with the attempt", () =>
    Effect.gen(function*() {
      const mediator = yield* EventMediator.make([RoomClosed])
      yield* mediator.dispatch(message())
      assert.deepStrictEqual(yield* Seen, ["happened 3"])
    }).pipe(Effect.provide(
      Subscribers.layer(
        RoomClosed,
        Effect.map(Ref.make(0), (attempts) => ({
          flaky: () =>
            Effect.gen(function*() {
              const attempt = yield* Ref.updateAndGet(attempts, (n) => n + 1)
              yield* EventEmitter.emit(new Happened({ n: attempt }))
              if (attempt < 3) return yield* Effect.fail("no")
            })
        })),
        { middleware: [Retry.by(Schedule.recurs(5))] }
      ).pipe(
        Layer.provide(Subscribers.layer(Happened, { see: (event) => see(`happened ${event.n}`) })),
        Layer.provideMerge(layerSeen)
      )
    )))
})
