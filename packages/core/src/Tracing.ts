/**
 * A middleware that opens a span round a handler, and how traces go on beyond the broker.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Across, spanned } from "./internal/tracing.ts"
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

/**
 * How the spans of relays (`send {topic}`) and consumers (`process {topic}`) belong to the span in which the message was
 * created (`create {topic}`), whose context travels with it:
 *
 * - `link` (the default, as OpenTelemetry's conventions have it): they begin a trace of their own and are linked to it. A
 *   sampler decides about each of these traces by itself.
 * - `parent`: they are its children, and sampled if it is. Of a batch of several traces the span is a child of the first
 *   that is sampled, and linked to all.
 *
 * Either way nothing is sampled for messages of a trace that is not: such a span is a child of its message's. A span
 * inside which a message is dispatched by hand is its parent, whatever this says.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: { readonly across: "link" | "parent" }): Layer.Layer<never> =>
  Layer.succeed(Across, options.across)
