import * as Effect from "effect/Effect"
import type { Emission } from "./handling.ts"

const stands = (emission: Emission): boolean => !emission.attempt.failed && emission.handling?.state !== "failed"

/** In order, breadth first: an event's follow-ups come after the events that were emitted beside it. */
export const dispatch = (emissions: ReadonlyArray<Emission>): Effect.Effect<void> =>
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

/** What a committed transaction hands over: to the handler that is still running, or, if it has ended well, to be dispatched. */
export const afterCommit = (emissions: ReadonlyArray<Emission>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const due: Array<Emission> = []
    for (const emission of emissions) {
      if (emission.handling?.state === "running") emission.handling.pending.push(emission)
      else due.push(emission)
    }
    return due.length === 0 ? Effect.void : dispatch(due)
  })
