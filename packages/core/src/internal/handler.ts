import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import { HandlerError } from "../HandlerError.ts"
import { type Call, wrapOf } from "../Middleware.ts"
import { dispatchAll } from "./emission.ts"
import { globalOf } from "./globalMiddleware.ts"
import { attempting, currentOrigin, handle, Handling } from "./handling.ts"
import { locally } from "./locally.ts"
import type { Definition } from "./request.ts"
import { merging, ownServices } from "./services.ts"

/** The service behind the type `Handler<Request>`. */
export interface Entry {
  readonly request: Definition
  readonly run: (request: object, fiber: Fiber.RuntimeFiber<any, any>) => Effect.Effect<any, any>
}

export type HandlerFunction = (request: any) => Effect.Effect<any, any, any>

/**
 * What one build of layers has implemented so far. Every handler layer is given this one layer value, and equal values
 * are built once: so there is one map per build.
 */
class Implemented extends Context.Tag("@effect-cqrs/core/Handler/Implemented")<
  Implemented,
  Map<string, { readonly request: Definition; readonly place: string }>
>() {
  static readonly layer = Layer.sync(this, () => new Map())
}

export const implement = (
  requests: ReadonlyArray<Definition>,
  build: unknown,
  pick: (built: unknown) => ReadonlyArray<HandlerFunction>
): Layer.Layer<any, any, any> => {
  const place = calledFrom()
  return Layer.scopedContext(Effect.gen(function*() {
    const context = yield* Effect.context<any>()
    const implemented = yield* Implemented
    for (const request of requests) {
      const other = implemented.get(request.id)
      if (other !== undefined) return yield* Effect.die(twice(request, place, other))
      implemented.set(request.id, { request, place })
      yield* Effect.addFinalizer(() => Effect.sync(() => implemented.delete(request.id)))
    }
    const handlers = pick(Effect.isEffect(build) ? yield* build as Effect.Effect<unknown> : build)
    return Context.unsafeMake<any>(
      new Map(requests.map((request, i) => [request.handlerKey, makeEntry(request, handlers[i]!, context)]))
    )
  })).pipe(Layer.provide(Implemented.layer))
}

const makeEntry = (request: Definition, handler: HandlerFunction, context: Context.Context<any>): Entry => {
  const { id: name, kind, middleware } = request
  const wraps = middleware.map((one) => wrapOf(one, context))
  const own = ownServices(context, middleware.flatMap((one) => one.provides))
  const merge = merging(own)

  const inside = (value: object, fiber: Fiber.RuntimeFiber<any, any>): Effect.Effect<any, any> => {
    const merged = merge(fiber.currentContext)
    const effect = handler(value) as Effect.Effect<any, any>
    return merged === fiber.currentContext ? effect : locally(effect, [FiberRef.currentContext, merged])
  }

  const run: Entry["run"] = (value, fiber) => {
    const merged = merge(fiber.currentContext)
    const globals = globalOf(merged)
    const isBare = wraps.length === 0 && globals.length === 0
    const isTracked = wraps.length > 0 || own.length > 0 || canAnnounce(merged)
    if (isBare && !isTracked) return inside(value, fiber)
    const handling = new Handling(name, fiber.getFiberRef(currentOrigin), 0)
    if (isBare) return handle(handling, handler(value) as Effect.Effect<any, any>, dispatchAll, merged)
    const call: Call = { kind, name, handler: name, value }
    let effect: Effect.Effect<any, any> = attempting(Effect.withFiberRuntime((current) => inside(value, current)))
    for (let i = wraps.length - 1; i >= 0; i--) effect = wraps[i]!(effect, call)
    for (let i = globals.length - 1; i >= 0; i--) effect = globals[i]!(effect, call)
    return isTracked ? handle(handling, effect, dispatchAll) : effect
  }
  return { request, run }
}

/**
 * Whether a handler without services of its own could cause anything: it can only where the services to do so are. Where
 * it cannot, a call need not keep track of who it is, which is most of what a call costs. What a service of its own may
 * send or announce, nobody knows.
 */
const canAnnounce = (context: Context.Context<never>): boolean => {
  let can = announcing.get(context)
  if (can === undefined) {
    can = false
    for (const key of context.unsafeMap.keys()) {
      if (
        key === "@effect-cqrs/core/Broker" || key === "@effect-cqrs/core/Transactor" ||
        key === "@effect-cqrs/core/Transaction" || key.startsWith("@effect-cqrs/core/Subscribers/")
      ) can = true
    }
    announcing.set(context, can)
  }
  return can
}
const announcing = new WeakMap<Context.Context<never>, boolean>()

const twice = (
  request: Definition,
  place: string,
  other: { readonly request: Definition; readonly place: string }
): HandlerError =>
  other.request === request
    ? new HandlerError({
      reason: "ImplementedTwice",
      message:
        `Two layers implement the request ${request.id}: the one made ${other.place} and the one made ${place}. ` +
        "Provide one of them"
    })
    : new HandlerError({
      reason: "NameTaken",
      message:
        `Two requests are named ${request.id}: one is implemented by the layer made ${other.place}, the other by ` +
        `the one made ${place}. Define one of them in a RequestGroup.namespace`
    })

/** Where the application called `Handler.layer` or `RequestGroup.layer`, for the message that names two of them. */
const calledFrom = (): string => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 4
  const stack = new Error().stack
  Error.stackTraceLimit = limit
  // 0: the message, 1: here, 2: implement, 3: layer, 4: the application
  const line = stack?.split("\n")[4]?.trim().replace(/^at /, "")
  return line === undefined ? "at an unknown place" : `at ${line}`
}
