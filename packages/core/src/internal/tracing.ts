import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

/** Effect's own tracer, which nobody reads: opening a span there costs 11 µs for nothing. */
const silent = Context.get(DefaultServices.liveServices, Tracer.Tracer)

export const isTraced = (fiber: Fiber.RuntimeFiber<any, any>): boolean => fiber.currentTracer !== silent

/** A span, where a tracer listens. */
export const spanned = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  name: string,
  options: Tracer.SpanOptions
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    (isTraced(fiber)
      ? Effect.withSpan(effect, name, { ...options, captureStackTrace: false })
      : effect) as Effect.Effect<
        A,
        E,
        R
      >
  )
