import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Held, Source } from "../../Broker.ts"
import { backoffAfter, outage } from "../scheduleDelay.ts"

/**
 * Loops that take messages, handle them one after the other, and settle each when it was handled. When `stopping`
 * completes each ends with the message that it has: those that it has taken beside are handed out again.
 */
export const consuming = (options: {
  readonly source: Source
  readonly concurrency: number
  /** How many messages a loop takes at once. */
  readonly limit: number
  /** Succeeds when the message may be settled. */
  readonly handle: (held: Held) => Effect.Effect<void>
  /** Handles them all or none; succeeds when all may be settled, and answers `false` if they are to be handled singly. */
  readonly handleTogether?: ((taken: ReadonlyArray<Held>) => Effect.Effect<boolean>) | undefined
}) => {
  const { concurrency, handle, handleTogether, limit, source } = options
  return (stopping: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.suspend(() => {
      let stopped = false
      let sinceTurn = 0
      const waiting = new Set<Fiber.RuntimeFiber<void>>()

      const one = (held: Held) => Effect.zipRight(handle(held), held.settle)

      const batch: Effect.Effect<void, unknown, Scope.Scope> = Effect.withFiberRuntime((self) => {
        const fiber = self as Fiber.RuntimeFiber<void>
        waiting.add(fiber)
        return Effect.flatMap(source.takeMany(limit), (taken) => {
          waiting.delete(fiber)
          sinceTurn += taken.length
          let at = 0
          const singly = Effect.flatMap(
            Effect.whileLoop({
              while: () => at < taken.length && !stopped,
              body: () => one(taken[at++]!),
              step: () => {}
            }),
            () => at < taken.length ? Effect.fail(stop) : Effect.void
          )
          return handleTogether === undefined || taken.length === 1
            ? singly
            : Effect.flatMap(handleTogether(taken), (done) => done ? Effect.void : singly)
        })
      })

      const loop = Effect.suspend(() => {
        let failures = 0
        const next = Effect.matchCauseEffect(Effect.scoped(batch), {
          onSuccess: () => {
            failures = 0
            if (sinceTurn < mostPerTurn) return Effect.void
            sinceTurn = 0
            return turn
          },
          onFailure: (cause) => {
            if (stopped || Cause.isInterruptedOnly(cause)) return Effect.void
            failures += 1
            return Effect.zipRight(
              Effect.logWarning("A consumer cannot take messages", cause),
              Effect.flatMap(backoffAfter(outage, failures), waitingSleep)
            )
          }
        })
        return Effect.asVoid(Effect.whileLoop({ while: () => !stopped, body: () => next, step: () => {} }))
      })

      /** A backoff need not be waited for at the end. */
      const waitingSleep = (duration: Parameters<typeof Effect.sleep>[0]) =>
        Effect.withFiberRuntime<void>((self) => {
          waiting.add(self as Fiber.RuntimeFiber<void>)
          return Effect.sleep(duration)
        })

      return Effect.flatMap(
        Effect.forEach(Array.from({ length: concurrency }), () => Effect.fork(loop)),
        (fibers) =>
          Effect.zipRight(
            Effect.raceFirst(stopping, Fiber.awaitAll(fibers)),
            Effect.suspend(() => {
              stopped = true
              // one that has just got a message gives it back
              return Effect.zipRight(
                Effect.forEach(waiting, (fiber) => Fiber.interruptFork(fiber), { discard: true }),
                Effect.asVoid(Fiber.awaitAll(fibers))
              )
            })
          )
      )
    })
}

/** How many messages are handled before what else waits in the process has its turn. */
const mostPerTurn = 128

/**
 * A turn of the event loop. Fibers yield to each other alone, for minutes if handlers wait for nothing: no acknowledgement
 * would leave the process, nothing would come in, and no heartbeat would be sent.
 */
const turn = Effect.async<void>((resume) => {
  // eslint-disable-next-line no-restricted-syntax -- Effect.sleep(0) is a timer, and waits a millisecond
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/** Not an error: why what was taken is given back. */
const stop = "the consumer stops"
