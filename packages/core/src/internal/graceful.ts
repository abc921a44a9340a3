import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { outsideOfTrace } from "./tracing.ts"

/**
 * Runs a loop beside the program. When the scope closes, `stopping` completes, and the loop has the grace period to end
 * by itself; then it is interrupted. It belongs to no trace.
 */
export const forkGracefully = <R>(
  loop: (stopping: Effect.Effect<void>) => Effect.Effect<void, never, R>,
  grace: Duration.DurationInput
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.flatMap(Deferred.make<void>(), (stop) =>
      Effect.map(
        // the acquisition is uninterruptible, the loop is not
        Effect.forkDaemon(Effect.interruptible(outsideOfTrace(loop(Deferred.await(stop))))),
        (fiber) => ({ stop, fiber })
      )),
    ({ fiber, stop }) =>
      Effect.zipRight(
        Deferred.succeed(stop, undefined),
        Effect.zipRight(
          // finalizers are uninterruptible: the wait has to give way to the timeout
          Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), grace),
          Fiber.interrupt(fiber)
        )
      )
  ))
