/**
 * A level that says "there may be work": a relay that read before the signal reads again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/**
 * Signals are counted, not handed over: whoever looks at `version` before it reads, and waits past that version
 * afterwards, misses none, however many wait. Correctness never rests on it; a poll stands behind it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wake {
  readonly version: Effect.Effect<number>
  readonly signal: Effect.Effect<void>
  /** Returns at once if there was a signal since `version` was read. */
  readonly waitPast: (version: number) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Wake> = Effect.sync(() => {
  let version = 0
  const waiting = new Set<() => void>()
  return {
    version: Effect.sync(() => version),
    signal: Effect.sync(() => {
      version += 1
      const resumes = [...waiting]
      waiting.clear()
      for (const resume of resumes) resume()
    }),
    waitPast: (seen) =>
      Effect.async<void>((resume) => {
        if (version > seen) return resume(Effect.void)
        const wake = () => resume(Effect.void)
        waiting.add(wake)
        return Effect.sync(() => waiting.delete(wake))
      })
  }
})
