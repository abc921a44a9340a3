import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"

/**
 * How long a schedule waits after the n-th failure (from 1), found by replaying it: so the delay depends on nothing but
 * the stored number of attempts, whoever counts on.
 */
export const delayAfter = (
  schedule: Schedule.Schedule<unknown, unknown>,
  attempts: number,
  input: unknown
): Effect.Effect<Option.Option<Duration.Duration>> =>
  Effect.gen(function*() {
    let state = schedule.initial
    let now = 0
    let delay = 0
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [next, , decision] = yield* schedule.step(now, input, state)
      if (ScheduleDecision.isDone(decision)) return Option.none()
      delay = Math.max(0, Intervals.start(decision.intervals) - now)
      now += delay
      state = next
    }
    // whole milliseconds, as clocks and storages count them
    return Option.some(Duration.millis(Math.ceil(delay)))
  })

/**
 * For what is tried for ever: the schedule's last delay stands in for those behind its end. At least a millisecond: a
 * schedule without waits would never let go.
 */
export const backoffAfter = (
  schedule: Schedule.Schedule<unknown, unknown>,
  attempts: number
): Effect.Effect<Duration.Duration> =>
  Effect.flatMap(delayAfter(schedule, attempts, undefined), (delay) =>
    Option.isSome(delay) ?
      Effect.succeed(Duration.max(delay.value, Duration.millis(1)))
      : attempts <= 1 ?
      Effect.succeed(Duration.seconds(1))
      : backoffAfter(schedule, attempts - 1))

/** The waits while something is out: from 100 milliseconds, doubling, up to 10 seconds, each shortened by up to a fifth. */
export const outage: Schedule.Schedule<unknown> = Schedule.jitteredWith(
  Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")),
  { min: 0.8, max: 1 }
)
