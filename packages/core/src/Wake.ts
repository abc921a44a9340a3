/**
 * A level that says "there may be work": a relay that read before the signal reads again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/**
 * What a waiter needs. Signals are counted, not handed over: whoever looks at `version` before it reads, and waits past
 * that version afterwards, misses none, however many wait. Correctness never rests on it; a poll stands behind it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Level {
  readonly version: Effect.Effect<number>
  /** Returns at once if there was a signal since `version` was read. */
  readonly waitPast: (version: number) => Effect.Effect<void>
}

/**
 * A level, and who raises it. A signal may be about some buckets only: it then wakes those that wait for one of them, and
 * those that wait for all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wake extends Level {
  /** Raises the level of all buckets. */
  readonly signal: Effect.Effect<void>
  /** Raises the level of some buckets. */
  readonly signalFor: (buckets: Iterable<number>) => Effect.Effect<void>
  /** The level of some buckets: raised by signals that are about one of them. */
  readonly of: (buckets: Iterable<number>) => Level
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Wake> = Effect.sync(() => {
  /** Signals about all buckets, and about each. */
  let common = 0
  let total = 0
  const counts = new Map<number, number>()
  const waiting = new Set<() => void>()

  const level = (version: () => number): Level => ({
    version: Effect.sync(version),
    waitPast: (seen) =>
      Effect.async<void>((resume) => {
        if (version() > seen) return resume(Effect.void)
        const wake = () => {
          if (version() <= seen) return
          waiting.delete(wake)
          resume(Effect.void)
        }
        waiting.add(wake)
        return Effect.sync(() => waiting.delete(wake))
      })
  })

  const raise = (change: () => void): Effect.Effect<void> =>
    Effect.sync(() => {
      change()
      total += 1
      for (const wake of [...waiting]) wake()
    })

  return {
    ...level(() => total),
    signal: raise(() => {
      common += 1
    }),
    signalFor: (buckets) =>
      raise(() => {
        for (const bucket of buckets) counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
      }),
    of: (buckets) => {
      const some = [...buckets]
      return level(() => some.reduce((sum, bucket) => sum + (counts.get(bucket) ?? 0), common))
    }
  }
})
