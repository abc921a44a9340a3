/**
 * A middleware that logs what handlers do.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Middleware from "./Middleware.ts"

/**
 * Logs the end of each call with its duration: a success at `level` (default Debug), a declared failure as Info with its
 * name, a defect as Error with its cause. Logs inside the handler are annotated with the call. Payloads are never
 * logged.
 *
 * @since 0.1.0
 * @category constructors
 */
export const calls = (options?: { readonly level?: LogLevel.LogLevel | undefined }) =>
  Middleware.inline({
    name: "Logging",
    wrap: <A, E>(next: Effect.Effect<A, E>, call: Middleware.Call): Effect.Effect<A, E> =>
      Effect.annotateLogs(
        Effect.flatMap(Clock.currentTimeMillis, (start) =>
          Effect.onExit(next, (exit) =>
            Effect.flatMap(Clock.currentTimeMillis, (end) =>
              Effect.annotateLogs(report(call, exit, options?.level ?? LogLevel.Debug), {
                milliseconds: end - start
              })))),
        { kind: call.kind, name: call.name, ...(call.handler === call.name ? {} : { handler: call.handler }) }
      )
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const report = (
  call: Middleware.Call,
  exit: Exit.Exit<unknown, unknown>,
  level: LogLevel.LogLevel
): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) return Effect.logWithLevel(level, `${call.handler} succeeded`)
  if (Cause.isInterruptedOnly(exit.cause)) return Effect.logInfo(`${call.handler} was interrupted`)
  const failure = Cause.failureOption(exit.cause)
  if (failure._tag === "None") return Effect.logError(`${call.handler} died`, exit.cause)
  const error = failure.value
  const name = typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "an untagged error"
  return Effect.logInfo(`${call.handler} failed with ${name}`)
}
