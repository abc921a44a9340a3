/**
 * A middleware that counts and times what handlers do.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as Middleware from "./Middleware.ts"

/**
 * Calls by `kind`, `name`, `handler` and `outcome`: `success`, `failure` (a declared one), `defect`, `interrupted`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handled = Metric.counter("cqrs_handled_total", {
  description: "Calls of handlers by outcome",
  incremental: true
})

/**
 * The duration of calls in seconds, by `kind`, `name` and `handler`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duration = Metric.histogram(
  "cqrs_handling_seconds",
  MetricBoundaries.exponential({ start: 0.0005, factor: 2, count: 16 }),
  "Duration of handlers"
)

/**
 * Messages that the inbox knew already, by `consumer` and `handler`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duplicates = Metric.counter("cqrs_inbox_duplicates_total", {
  description: "Messages that an inbox had seen before",
  incremental: true
})

/**
 * Messages that an inbox held back because of deaths of the process, by `consumer` and `handler`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const suspected = Metric.counter("cqrs_inbox_suspected_total", {
  description: "Messages that were not handled, for they seem to kill the process",
  incremental: true
})

/**
 * Messages that a consumer has done with, by `group`, `event` and `outcome`: `success`, `dead`. Events that it does not
 * know are counted as `(unknown)`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const consumerHandled = Metric.counter("cqrs_consumer_handled_total", {
  description: "Messages that consumers have handled, by outcome",
  incremental: true
})

/**
 * Attempts of a consumer after the first, by `group` and `event`; those after outages among them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const consumerRetried = Metric.counter("cqrs_consumer_retried_total", {
  description: "Attempts of consumers after the first",
  incremental: true
})

/**
 * Dead letters that a consumer has made, by `group`, `event` and `reason`: `failed` (its handlers), `suspected` (of killing
 * the process), `undecodable`, `unreadable`, `unknown` (its event), `tombstone`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const consumerDead = Metric.counter("cqrs_consumer_dead_total", {
  description: "Dead letters of consumers",
  incremental: true
})

/**
 * Messages that a consumer has settled without handling them, by `group`, `event` and `reason`: `unknown` (its event),
 * `tombstone`, `redriven` (for another group).
 *
 * @since 0.1.0
 * @category metrics
 */
export const consumerIgnored = Metric.counter("cqrs_consumer_ignored_total", {
  description: "Messages that consumers have ignored",
  incremental: true
})

/**
 * Updates {@link handled} and {@link duration} for each call.
 *
 * @since 0.1.0
 * @category constructors
 */
export const calls = Middleware.inline({
  name: "Metrics",
  wrap: <A, E>(next: Effect.Effect<A, E>, call: Middleware.Call): Effect.Effect<A, E> =>
    Effect.flatMap(
      Clock.currentTimeNanos,
      (start) =>
        Effect.onExit(next, (exit) =>
          Effect.flatMap(Clock.currentTimeNanos, (end) =>
            Effect.tagMetrics(
              Effect.zipRight(
                Metric.increment(Metric.tagged(handled, "outcome", outcomeOf(exit))),
                Metric.update(duration, Number(end - start) / 1e9)
              ),
              { kind: call.kind, name: call.name, handler: call.handler }
            )))
    )
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? "success"
    : Cause.isInterruptedOnly(exit.cause)
    ? "interrupted"
    : Cause.isFailure(exit.cause)
    ? "failure"
    : "defect"
