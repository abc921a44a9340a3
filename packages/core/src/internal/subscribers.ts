import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import { HandlerError } from "../HandlerError.ts"
import { type Message, Received } from "../Message.ts"
import { type Any as AnyMiddleware, type Call, wrapOf } from "../Middleware.ts"
import type { Definition } from "./event.ts"
import { globalOf } from "./globalMiddleware.ts"
import { attempting, type Emission, handle, type Handling } from "./handling.ts"
import { locally } from "./locally.ts"
import { merging, ownServices } from "./services.ts"

type Handle = (event: object) => Effect.Effect<unknown, unknown>

/** A handler of an event. */
export interface Subscriber {
  /** With its services and its middleware. `received`: what is provided to it, and to what wraps it. */
  readonly run: (event: object, received?: Message) => Effect.Effect<unknown, unknown>
  /** As it was written: `run` is this in the context that `contextOf` answers. */
  readonly handle: Handle
  /** `undefined` if there is middleware around it. */
  readonly contextOf: (
    fiber: Fiber.RuntimeFiber<unknown, unknown>,
    received: Message
  ) => Context.Context<never> | undefined
}

type Handlers = Map<string, Subscriber>

/**
 * The service behind the type `Subscribers<Event>`. For a domain event there is one object per build, which each layer
 * of the event adds to, and which is there before any of them: so that events may be handled in a circle.
 */
export interface Registry {
  readonly event: Definition
  readonly handlers: Handlers
}

/**
 * What one layer brings for an event that is consumed. Each has a key of its own in the context: so a consumer has
 * exactly the handlers that were provided to it, and two consumers of one program may handle an event differently.
 */
class Contribution {
  constructor(readonly event: Definition, readonly handlers: Handlers) {}
}

/** The handlers of a consumed event, from the layers that were provided. */
export const contributed = (context: Context.Context<never>, event: Definition): Handlers => {
  const handlers: Handlers = new Map()
  for (const contribution of context.unsafeMap.values()) {
    if (!(contribution instanceof Contribution) || contribution.event !== event) continue
    for (const [handler, subscriber] of contribution.handlers) {
      if (handlers.has(handler)) throw nameTaken(event, handler)
      handlers.set(handler, subscriber)
    }
  }
  // without any it may be that they are those of a class that only looks the same
  if (handlers.size === 0) registryIn(context, event)
  return handlers
}

const nameTaken = (event: Definition, handler: string): HandlerError =>
  new HandlerError({
    reason: "NameTaken",
    message: `Two subscribers of ${event.eventName} are named ${handler}: rename one of them`
  })

const registryTag = (event: Definition) => Context.GenericTag<Registry>(event.subscribersKey)

/** The registry of an event's name, which must be that of its class. A subclass shares the schema of what it extends. */
export const registryIn = (context: Context.Context<never>, event: Definition): Registry | undefined => {
  const registry: Registry | undefined = context.unsafeMap.get(event.subscribersKey)
  if (registry !== undefined && registry.event.payloadSchema !== event.payloadSchema) {
    throw new HandlerError({
      reason: "NameTaken",
      message: `Two event classes are named ${event.eventName}, and the subscribers that are there are those of the ` +
        "other: give one of them another name"
    })
  }
  return registry
}

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

let contributions = 0

export const subscribe = (
  event: unknown,
  build: unknown,
  middleware: ReadonlyArray<AnyMiddleware>
): Layer.Layer<any, any, any> => {
  const definition = event as Definition
  const tag = registryTag(definition)
  const contributionKey = `${definition.subscribersKey}#${++contributions}`
  return Layer.scopedContext(Effect.gen(function*() {
    const context = yield* Effect.context<any>()
    const registry = Context.unsafeGet(context, tag)
    const built = (Effect.isEffect(build) ? yield* build as Effect.Effect<unknown> : build) as Record<
      string,
      Handle
    >
    const handlers = new Map(
      Object.entries(built).map((
        [handler, handle]
      ) => [handler, wrapped(definition, handler, handle, middleware, context)])
    )
    if (definition.kind !== "domain") {
      return Context.unsafeMake<any>(
        new Map<string, unknown>([[tag.key, registry], [contributionKey, new Contribution(definition, handlers)]])
      )
    }
    for (const [handler, subscriber] of handlers) {
      if (registry.handlers.has(handler)) return yield* Effect.die(nameTaken(definition, handler))
      registry.handlers.set(handler, subscriber)
      yield* Effect.addFinalizer(() => Effect.sync(() => registry.handlers.delete(handler)))
    }
    return Context.make(tag, registry)
  })).pipe(Layer.provide(subscribersLayer(definition)))
}

/** A handler with its services and its middleware. */
const wrapped = (
  event: Definition,
  handler: string,
  handle: Handle,
  middleware: ReadonlyArray<AnyMiddleware>,
  context: Context.Context<any>
): Subscriber => {
  const wraps = middleware.map((one) => wrapOf(one, context))
  const merge = merging(ownServices(context, middleware.flatMap((one) => one.provides)))
  const give = (effect: Effect.Effect<unknown, unknown>): Effect.Effect<unknown, unknown> =>
    Effect.withFiberRuntime((fiber) => inContext(effect, fiber, merge(fiber.currentContext)))
  const globalsFor = (fiber: Fiber.RuntimeFiber<unknown, unknown>) => {
    const own = globalOf(context)
    return own.length > 0 ? own : globalOf(fiber.currentContext)
  }
  const run = (value: object, received?: Message): Effect.Effect<unknown, unknown> =>
    Effect.withFiberRuntime((fiber) => {
      const globals = globalsFor(fiber)
      if (wraps.length === 0 && globals.length === 0) {
        const merged = merge(fiber.currentContext)
        return inContext(handle(value), fiber, received === undefined ? merged : receiving(merged, received))
      }
      const plain = give(handle(value))
      const call: Call = { kind: "event", name: event.eventName, handler, value }
      let effect = attempting(plain)
      for (let i = wraps.length - 1; i >= 0; i--) effect = wraps[i]!(effect, call)
      for (let i = globals.length - 1; i >= 0; i--) effect = globals[i]!(effect, call)
      return received === undefined ? effect : Effect.provideService(effect, Received, received)
    })
  return {
    run,
    handle,
    contextOf: (fiber, received) =>
      wraps.length === 0 && globalsFor(fiber).length === 0
        ? receiving(merge(fiber.currentContext), received)
        : undefined
  }
}

/** Laid over what is merged once, and not beneath it: a message's own context would be merged for each message. */
const receiving = (merged: Context.Context<never>, received: Message): Context.Context<never> =>
  Context.add(merged, Received, received)

const inContext = (
  effect: Effect.Effect<unknown, unknown>,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  context: Context.Context<never>
): Effect.Effect<unknown, unknown> =>
  context === fiber.currentContext ? effect : locally(effect, [FiberRef.currentContext, context])

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
