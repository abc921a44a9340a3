import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { currentClaim } from "./claims.ts"
import type { Emission, Handling } from "./handling.ts"

const stands = (emission: Emission): boolean => !emission.attempt.failed && emission.handling?.state !== "failed"

/**
 * In order, breadth first: an event's follow-ups come after the events that were emitted beside it. The idempotency key of
 * the command that caused them is not theirs.
 */
export const dispatch = (emissions: ReadonlyArray<Emission>): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) =>
    fiber.getFiberRef(currentClaim) === undefined
      ? inTurn(emissions)
      : Effect.locally(inTurn(emissions), currentClaim, undefined)
  )

const inTurn = (emissions: ReadonlyArray<Emission>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const queue = emissions.filter(stands)
    let at = 0
    return Effect.whileLoop({
      while: () => at < queue.length,
      body: () => {
        const emission = queue[at++]!
        return emission.depth > emission.maxDepth ? Effect.as(emission.tooDeep, []) : emission.deliver
      },
      step: (followUps) => {
        for (const followUp of followUps) if (stands(followUp)) queue.push(followUp)
      }
    })
  })

/**
 * As {@link dispatch}, to its end whatever becomes of the caller: what caused the events has happened. On a fiber of its
 * own, since subscribers must stay interruptible to be able to time out.
 */
export const dispatchAll = (emissions: ReadonlyArray<Emission>): Effect.Effect<void> =>
  emissions.length === 0
    ? Effect.void
    : Effect.uninterruptible(
      Effect.flatMap(Effect.forkDaemon(Effect.interruptible(dispatch(emissions))), Fiber.join)
    )

/** A hook, at its place among the events. It never fails. */
const asEmission = (hook: Effect.Effect<void>): Emission => ({
  name: "",
  depth: 0,
  maxDepth: 0,
  handling: undefined,
  attempt: { failed: false },
  deliver: Effect.as(Effect.uninterruptible(hook), []),
  tooDeep: Effect.void
})

/**
 * What a committed transaction hands over, in its order: hooks and the events of handlers that have ended well are due.
 * Events of a handler that is still running wait for it, and so do those behind them.
 */
export const afterCommit = (entries: ReadonlyArray<Emission | Effect.Effect<void>>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const due: Array<Emission> = []
    let running: Handling | undefined
    for (const entry of entries) {
      if (Effect.isEffect(entry)) due.push(asEmission(entry))
      else {
        if (entry.handling?.state === "running") running = entry.handling
        if (running === undefined) due.push(entry)
        else running.pending.push(entry)
      }
    }
    return dispatchAll(due)
  })
