import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { HandlerError } from "../HandlerError.ts"
import { type Any as AnyMiddleware, type Call, wrapOf } from "../Middleware.ts"
import type { Definition } from "./event.ts"
import { globalOf } from "./globalMiddleware.ts"
import { type Emission, handle, type Handling } from "./handling.ts"
import { giving, ownServices } from "./services.ts"

/** The service behind the type `Subscribers<Event>`: one object per build, which each layer of the event adds to. */
export interface Registry {
  readonly event: Definition
  readonly handlers: Map<string, (event: object) => Effect.Effect<unknown, unknown>>
}

export const registryTag = (event: Definition) => Context.GenericTag<Registry>(event.subscribersKey)

const registries = new WeakMap<object, Layer.Layer<Registry>>()

/** One value per event, so that one build of layers makes one registry of it. */
export const subscribersLayer = (event: unknown): Layer.Layer<Registry> => {
  const definition = event as Definition
  let layer = registries.get(definition)
  if (layer === undefined) {
    layer = Layer.sync(registryTag(definition), () => ({ event: definition, handlers: new Map() }))
    registries.set(definition, layer)
  }
  return layer
}

export const subscribe = (
  event: unknown,
  build: unknown,
  middleware: ReadonlyArray<AnyMiddleware>
): Layer.Layer<any, any, any> => {
  const definition = event as Definition
  const tag = registryTag(definition)
  return Layer.scopedContext(Effect.gen(function*() {
    const context = yield* Effect.context<any>()
    const registry = Context.unsafeGet(context, tag)
    const built = (Effect.isEffect(build) ? yield* build as Effect.Effect<unknown> : build) as Record<
      string,
      (event: object) => Effect.Effect<unknown, unknown>
    >
    const wraps = middleware.map((one) => wrapOf(one, context))
    const give = giving(ownServices(context, middleware.flatMap((one) => one.provides)))
    for (const [handler, run] of Object.entries(built)) {
      if (registry.handlers.has(handler)) {
        return yield* Effect.die(
          new HandlerError({
            reason: "NameTaken",
            message: `Two subscribers of ${definition.eventName} are named ${handler}: rename one of them`
          })
        )
      }
      registry.handlers.set(handler, (value) => {
        const call: Call = { kind: "event", name: definition.eventName, handler, value }
        return Effect.withFiberRuntime((fiber) => {
          let effect = give(run(value))
          const globals = globalOf(context).length > 0 ? globalOf(context) : globalOf(fiber.currentContext)
          for (let i = wraps.length - 1; i >= 0; i--) effect = wraps[i]!(effect, call)
          for (let i = globals.length - 1; i >= 0; i--) effect = globals[i]!(effect, call)
          return effect
        })
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => registry.handlers.delete(handler)))
    }
    return Context.make(tag, registry)
  })).pipe(Layer.provide(subscribersLayer(definition)))
}

/** How one handler fared, and what it emitted in turn. */
export interface Handled {
  readonly handler: string
  readonly exit: Exit.Exit<unknown, unknown>
  readonly emissions: ReadonlyArray<Emission>
}

/** Runs one handler of an event, as its own `Handling`; never fails. */
export const runSubscriber = (
  handler: string,
  effect: Effect.Effect<unknown, unknown>,
  handling: Handling
): Effect.Effect<Handled> =>
  Effect.suspend(() => {
    let emissions: ReadonlyArray<Emission> = []
    return Effect.map(
      Effect.exit(handle(handling, effect, (emitted) => Effect.sync(() => emissions = emitted))),
      (exit) => ({ handler, exit, emissions })
    )
  })
