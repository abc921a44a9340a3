/**
 * A middleware that repeats a handler that failed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Middleware from "./Middleware.ts"

/**
 * Repeats what it wraps by a schedule, which gets the failure as its input, while it fails and `when` says so (default:
 * always). Defects and interruptions are not repeated. Events that a failed attempt emitted are dropped with it.
 *
 * Put it outside of the transactional middleware (before it, in the list) to repeat whole transactions.
 *
 * @since 0.1.0
 * @category constructors
 */
export const by = (
  schedule: Schedule.Schedule<unknown, unknown>,
  options?: { readonly when?: ((failure: unknown) => boolean) | undefined } | undefined
) =>
  Middleware.inline({
    name: "Retry",
    wrap: <A, E>(next: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.retry(next, options?.when === undefined ? schedule : Schedule.whileInput(schedule, options.when))
  })
