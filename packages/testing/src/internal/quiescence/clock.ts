import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as TestClock from "effect/TestClock"

export const requireTestClock: Effect.Effect<TestClock.TestClock, string> = Effect.flatMap(
  Effect.clock,
  (clock) =>
    isTestClock(clock) ? Effect.succeed(clock) : Effect.fail(
      "There is no test clock here, and Quiescence drives one: run it in it.effect or it.scoped, or provide TestContext"
    )
)

const isTestClock = (clock: Clock.Clock): clock is TestClock.TestClock => "adjust" in clock && "sleeps" in clock

/** Lets run what can, at this moment of the clock, until nothing that `watch` sees changes any more. */
export const stillness = <E, R>(
  watch: Effect.Effect<number, E, R>
): Effect.Effect<void, E, R> =>
  Effect.flatMap(watch, (before) =>
    Effect.flatMap(
      Effect.zipRight(turn, watch),
      (after) => before === after ? Effect.void : stillness(watch)
    ))

/** A turn of the event loop, with what fibers have left for the next one: `Effect.sleep` would wait for the test clock. */
const turn = Effect.async<void>((resume) => {
  let immediate: NodeJS.Immediate | undefined
  // eslint-disable-next-line no-restricted-syntax -- see above
  const timer = setTimeout(() => {
    // eslint-disable-next-line no-restricted-syntax -- see above
    immediate = setImmediate(() => resume(Effect.void))
  }, 0)
  return Effect.sync(() => {
    clearTimeout(timer)
    clearImmediate(immediate)
  })
})

/** To when the next of those that wait for the clock has its turn; `false` if none does until then. */
export const advance = (clock: TestClock.TestClock, until: number): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const now = yield* clock.currentTimeMillis
    const next = Chunk.reduce(yield* clock.sleeps, Infinity, (first, at) => at > now ? Math.min(first, at) : first)
    if (next > until) return false
    yield* clock.setTime(next)
    return true
  })

/** Second by second, for longer than the usual grace period. */
export const runOn = (clock: TestClock.TestClock): Effect.Effect<void> => Effect.repeatN(clock.adjust(1000), 29)
