/** Waiting for something to be so. */
import { Duration, Effect, Schema } from "effect"

export class TooLate extends Schema.TaggedError<TooLate>()("TooLate", { message: Schema.String }) {}

/** Looks again and again until it is so; a look that fails is one that has not found it. */
export const eventually = <E, R>(
  what: string,
  look: Effect.Effect<boolean, E, R>,
  within: Duration.DurationInput
): Effect.Effect<void, TooLate, R> =>
  look.pipe(
    Effect.timeout("10 seconds"),
    Effect.orElseSucceed(() => false),
    Effect.zipLeft(Effect.sleep("200 millis")),
    Effect.repeat({ until: (isSo) => isSo }),
    Effect.asVoid,
    Effect.timeoutFail({
      duration: within,
      onTimeout: () => new TooLate({ message: `Not within ${Duration.format(within)}: ${what}` })
    })
  )
