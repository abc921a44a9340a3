/**
 * A middleware that ends a handler that takes too long.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Middleware from "./Middleware.ts"

/**
 * A handler was interrupted because its time was up.
 *
 * @since 0.1.0
 * @category errors
 */
export class TimedOut extends Schema.TaggedError<TimedOut>("@effect-cqrs/core/TimedOut")("TimedOut", {
  name: Schema.String,
  message: Schema.String
}) {}

/**
 * Interrupts what it wraps after a while, and fails with {@link TimedOut} once the interruption is complete. Round the
 * transactional middleware it rolls the transaction back; a commit that has begun is waited for, and stands.
 *
 * @since 0.1.0
 * @category constructors
 */
export const after = (duration: Duration.DurationInput) =>
  Middleware.inline({
    name: "Timeout",
    failure: TimedOut,
    wrap: <A, E>(next: Effect.Effect<A, E>, call: Middleware.Call): Effect.Effect<A, E | TimedOut> =>
      Effect.timeoutFail(next, {
        duration,
        onTimeout: () =>
          new TimedOut({
            name: call.name,
            message: `${call.handler} took longer than ${Duration.format(Duration.decode(duration))}`
          })
      })
  })
