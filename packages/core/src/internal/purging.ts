import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

export interface PurgeOptions {
  /** Default 1 minute, each time up to a fifth more or less. */
  readonly interval?: Duration.DurationInput | undefined
  /** How many keys a step deletes. Default 500. */
  readonly limit?: number | undefined
}

/** Purges step by step: at the start, and again after each interval. `what` is for the log. */
export const purgeBeside = (
  what: string,
  purge: (options: { readonly limit: number }) => Effect.Effect<number, unknown>,
  options: PurgeOptions | undefined
): Effect.Effect<void, never, Scope.Scope> => {
  const limit = options?.limit ?? 500
  const steps = Effect.uninterruptible(purge({ limit })).pipe(
    // other work has its turn between two steps, on a database of one connection as well
    Effect.zipLeft(Effect.sleep("10 millis")),
    Effect.repeat({ while: (removed) => removed >= limit }),
    Effect.catchAllCause((cause) => Effect.logWarning(`${what} could not be purged`, cause))
  )
  return Effect.asVoid(Effect.forkScoped(Effect.withTracerEnabled(
    Effect.repeat(steps, Schedule.jittered(Schedule.spaced(options?.interval ?? "1 minute"))),
    false
  )))
}
