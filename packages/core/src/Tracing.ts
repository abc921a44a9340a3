/**
 * A middleware that opens a span round a handler.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import { spanned } from "./internal/tracing.ts"
import * as Middleware from "./Middleware.ts"

/**
 * Opens a span `handle JoinMeeting`, of its own beside the one that `Mediator.send` opens: with attributes of your
 * choice, or round the handlers of events. Where no tracer listens it costs nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const span = (options?: {
  /** Attributes from the call. Mind what of a payload you put into a trace. */
  readonly attributes?: ((call: Middleware.Call) => Readonly<Record<string, unknown>>) | undefined
}) =>
  Middleware.inline({
    name: "Tracing",
    wrap: <A, E>(next: Effect.Effect<A, E>, call: Middleware.Call): Effect.Effect<A, E> =>
      spanned(next, `handle ${call.handler}`, {
        attributes: {
          "cqrs.kind": call.kind,
          "cqrs.name": call.name,
          "cqrs.handler": call.handler,
          ...options?.attributes?.(call)
        }
      })
  })
