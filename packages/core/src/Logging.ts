/**
 * A middleware that logs what handlers do, and ids for all that is logged.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { currentOrigin } from "./internal/handling.ts"
import { Received } from "./Message.ts"
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

/**
 * Annotates what is logged inside of handlers with `correlationId` and `causationId` (see `Correlation`), and inside of
 * a consumer's handlers with the `messageId`, `event` and `topic` of the message as well; a consumer adds its `group`. Keys
 * and payloads are left out: they may name a person.
 *
 * It changes the loggers that are there where this layer is built, and looks when something is logged: nothing is done for
 * what is not.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerIds: Layer.Layer<never> = Layer.scopedDiscard(
  Effect.flatMap(
    FiberRef.get(FiberRef.currentLoggers),
    (loggers) => Effect.locallyScoped(FiberRef.currentLoggers, HashSet.map(loggers, identified))
  )
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

function identified<Output>(logger: Logger.Logger<unknown, Output>): Logger.Logger<unknown, Output> {
  return Logger.make((options) => {
    const ids = idsHere()
    return ids.length === 0 ? logger.log(options) : logger.log({
      ...options,
      // what somebody has written there stands
      annotations: HashMap.union(HashMap.fromIterable(ids), options.annotations)
    })
  })
}

/** Of the fiber that logs. */
const idsHere = (): ReadonlyArray<readonly [string, string]> => {
  const fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
  const origin = fiber?.getFiberRef(currentOrigin)
  if (fiber === undefined || origin === undefined) return []
  const message = Context.getOption(fiber.currentContext as Context.Context<never>, Received)
  const causationId = origin.causationId(fiber)
  return [
    ["correlationId", origin.correlationId(fiber)],
    ...(causationId === undefined ? [] : [["causationId", causationId] as const]),
    ...Option.match(message, {
      onNone: () => [],
      onSome: ({ id, name, topic }) => [["messageId", id], ["event", name], ["topic", topic]] as const
    })
  ]
}

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
