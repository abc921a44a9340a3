import { Clock, Duration, Effect } from "effect"

/**
 * A clock that stands still until it is advanced, and then goes from one sleeper to the next. Unlike `TestClock` it waits
 * for no real timer between two of them, so that hours of a relay take milliseconds, and a sleeper that is woken and
 * sleeps again is woken in its time.
 */
export interface VirtualClock {
  readonly clock: Clock.Clock
  readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void>
}

/** Lets every other fiber run until all of them wait. */
const settled = Effect.forEach(Array.from({ length: 30 }), () => Effect.yieldNow(), { discard: true })

/** So often nothing is woken without time passing, unless something is spinning. */
const wakesPerInstant = 200

export const makeVirtualClock = (): VirtualClock => {
  let now = 0
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>()
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now,
    unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const sleeper = { at: now + Math.ceil(Duration.toMillis(duration)), wake: () => resume(Effect.void) }
        sleepers.add(sleeper)
        return Effect.sync(() => sleepers.delete(sleeper))
      })
  }
  const advance = (duration: Duration.DurationInput): Effect.Effect<void> =>
    Effect.gen(function*() {
      const target = now + Math.ceil(Duration.toMillis(duration))
      let wakes = 0
      yield* settled
      while (true) {
        const next = [...sleepers].reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY)
        if (next > target) break
        wakes = next > now ? 0 : wakes + 1
        if (wakes > wakesPerInstant) return yield* Effect.die(`Something spins at ${now}`)
        now = Math.max(now, next)
        for (const sleeper of [...sleepers]) {
          if (sleeper.at > now) continue
          sleepers.delete(sleeper)
          sleeper.wake()
        }
        yield* settled
      }
      now = target
    })
  return { clock, advance }
}
