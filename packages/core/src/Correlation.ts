/**
 * Correlation and causation ids: which conversation something belongs to, and what directly caused it.
 *
 * They flow by themselves. A request that starts a conversation gives it its own id; what the request sends, emits or
 * adds to the outbox carries the conversation's id as its correlation id and the request's id as its causation id; so
 * do the handlers of a received message, with the message's id as the cause.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { currentOrigin, fixedOrigin } from "./internal/handling.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Ids {
  /** The conversation. */
  readonly correlationId: string
  /** What directly caused this: the id of a request, event or message. */
  readonly causationId: string | undefined
}

/**
 * The ids that something caused right here would carry; none outside of a handler and of {@link provide}. A handler that
 * has no service at all, and so can cause nothing, has those of its caller.
 *
 * @since 0.1.0
 * @category accessors
 */
export const current: Effect.Effect<Option.Option<Ids>> = Effect.withFiberRuntime((fiber) => {
  const origin = fiber.getFiberRef(currentOrigin)
  return Effect.succeed(
    origin === undefined ? Option.none() : Option.some({
      correlationId: origin.correlationId(fiber),
      causationId: origin.causationId(fiber)
    })
  )
})

/**
 * Runs an effect as part of a conversation that began elsewhere: an HTTP request's id, a job's id.
 *
 * @example
 * ```ts
 * import { Correlation } from "@effect-cqrs/core"
 * import { Effect, Option } from "effect"
 *
 * const program = Effect.map(Correlation.current, Option.map((ids) => ids.correlationId))
 *
 * console.log(Effect.runSync(Correlation.provide(program, { correlationId: "request-17" })))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  ids: { readonly correlationId: string; readonly causationId?: string | undefined }
): Effect.Effect<A, E, R> => Effect.locally(effect, currentOrigin, fixedOrigin(ids.correlationId, ids.causationId))
