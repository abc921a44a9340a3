/**
 * The requests that are sent, with handlers that answer at once.
 */
import * as Command from "@effect-cqrs/core/Command"
import * as Handler from "@effect-cqrs/core/Handler"
import * as Middleware from "@effect-cqrs/core/Middleware"
import * as Query from "@effect-cqrs/core/Query"
import type * as Request from "@effect-cqrs/core/Request"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/** What is asked for needs no thought: what is left is the way there and back. */
export const answer = Effect.succeed(42)

export class Ask extends Query.make<Ask>()("Ask", {
  payload: { room: Schema.String, seats: Schema.Number },
  success: Schema.Number
}) {}

export const ask = new Ask({ room: "blue", seats: 4 })

export const AskHandler = Handler.layer(Ask, () => answer)

class Rooms extends Context.Tag("@effect-cqrs/benchmarks/Rooms")<Rooms, {
  readonly find: Effect.Effect<number>
}>() {}

/** Its handler has a service that its caller has not. */
export class Find extends Query.make<Find>()("Find", {
  payload: { room: Schema.String, seats: Schema.Number },
  success: Schema.Number
}) {}

export const find = new Find({ room: "blue", seats: 4 })

export const FindHandler = Layer.provide(
  Handler.layer(Find, () => Effect.flatMap(Rooms, (rooms) => rooms.find)),
  Layer.succeed(Rooms, Rooms.of({ find: answer }))
)

const nothing: Middleware.Wrap<never, never> = (next) => next

export const wraps = 5

/** With middleware round its handler. */
export class Wrapped extends Query.make<Wrapped>()("Wrapped", {
  payload: { room: Schema.String, seats: Schema.Number },
  success: Schema.Number,
  middleware: Array.from({ length: wraps }, (_, at) => Middleware.inline({ name: `wrap ${at}`, wrap: nothing }))
}) {}

export const wrapped = new Wrapped({ room: "blue", seats: 4 })

export const WrappedHandler = Handler.layer(Wrapped, () => answer)

/** So many kinds of commands, one of each, and the layer of all their handlers. */
export const many = (count: number): {
  readonly commands: ReadonlyArray<Request.Any>
  readonly layer: Layer.Layer<never>
} => {
  const kinds = Array.from({ length: count }, (_, at) => {
    class Numbered extends Command.make<Numbered>()(`Numbered${at}`, {
      payload: { room: Schema.String, seats: Schema.Number },
      success: Schema.Number
    }) {}
    return { command: new Numbered({ room: "blue", seats: at }), layer: Handler.layer(Numbered, () => answer) }
  })
  const [first, ...rest] = kinds.map(({ layer }) => layer)
  // each provides its own handler, which has no name outside
  return {
    commands: kinds.map(({ command }) => command),
    layer: Layer.mergeAll(first!, ...rest) as unknown as Layer.Layer<never>
  }
}
