import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** `what` begins the sentence of the refusal. */
export const positiveDuration = (
  what: string,
  input: Duration.DurationInput
): Effect.Effect<Duration.Duration, StorageError> => {
  const duration = Duration.decode(input)
  return Duration.greaterThan(duration, Duration.zero) ? Effect.succeed(duration) : Effect.fail(
    new StorageError({ reason: "Configuration", message: `${what} must be a duration above 0` })
  )
}
