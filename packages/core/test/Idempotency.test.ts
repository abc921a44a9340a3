import { Bootstrap, Command, Event, EventEmitter, Handler, Idempotency, Mediator, Subscribers } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"

class Grow extends Command.make<Grow>()("Grow", {
  payload: { by: Schema.Int },
  success: Schema.Int,
  middleware: [Idempotency.Idempotent]
}) {}

class Grown extends Event.domain<Grown>()("Grown", {}) {}

/** The command is sent twice with its key; an equal one is sent once, inside its handler or by a handler of its event. */
const sizeAfter = (by: "the handler" | "an event's handler") =>
  Effect.gen(function*() {
    let size = 0
    let again: Effect.Effect<unknown> = Effect.void
    const once = Effect.suspend(() => {
      const first = again
      again = Effect.void
      return first
    })
    const GrowHandler = Handler.layer(Grow, (command) =>
      Effect.gen(function*() {
        size += command.by
        const before = size
        if (by === "the handler") yield* once
        yield* EventEmitter.emit(new Grown())
        return before
      }))
    const OnGrown = Subscribers.layer(Grown, {
      again: () => by === "the handler" ? Effect.void : once
    })
    return yield* Effect.gen(function*() {
      const send = Mediator.send(new Grow({ by: 1 }))
      again = Effect.provide(Effect.orDie(send), yield* Effect.context<Handler.Handler<Grow>>())
      const keyed = Idempotency.provide(send, { key: "a" })
      assert.strictEqual(yield* keyed, 1)
      assert.strictEqual(yield* keyed, 1)
      return size
    }).pipe(Effect.provide(GrowHandler.pipe(Layer.provide(OnGrown), Layer.provideMerge(Bootstrap.layer()))))
  })

describe("the key of a command is its own: an equal one runs by itself", () => {
  it.effect("that a handler of its event sends", () =>
    Effect.map(sizeAfter("an event's handler"), (size) => assert.strictEqual(size, 2)))

  it.effect("that its handler sends, and waits for nobody", () =>
    Effect.map(sizeAfter("the handler"), (size) => assert.strictEqual(size, 2)))
})
