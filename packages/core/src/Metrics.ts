/**
 * What can be measured, and a middleware that counts and times what handlers do.
 *
 * Names and units are those of Prometheus: `_total` for what only grows, seconds for durations. A gauge is what this process
 * knows: several relays of one process add up, and one that ends takes its part along.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import { layerGauges } from "./internal/outboxGauges.ts"
import * as Middleware from "./Middleware.ts"
import type { OutboxStorage } from "./OutboxStorage.ts"

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
 * Commands that were not run again but had the answer stored behind their idempotency key, by `name` and `outcome`:
 * `success`, `failure`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const replayed = Metric.counter("cqrs_idempotency_replayed_total", {
  description: "Commands that were answered with what was stored behind their idempotency key",
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
 * The time from a message's creation until a consumer has handled it, in seconds, by `group` and `event`: as the clocks
 * of the two programs have it, and only for messages that say when they were made.
 *
 * @since 0.1.0
 * @category metrics
 */
export const consumerLatency = Metric.histogram(
  "cqrs_consumer_latency_seconds",
  MetricBoundaries.exponential({ start: 0.001, factor: 2, count: 20 }),
  "From a message's creation until it is handled"
)

/**
 * How many messages lie behind those that a group has settled, by `group`, `topic` and `partition`: of what members in this
 * process read, and 0 for what they have left. Kafka: the partition's records, with so many series as there are partitions. The memory broker: the
 * topic's messages, with the partition 0.
 *
 * @since 0.1.0
 * @category metrics
 */
export const consumerLag = Metric.gauge("cqrs_consumer_lag", {
  description: "Messages that wait behind those that the group has settled"
})

/**
 * How long outermost transactions took, in seconds, by `outcome`: `committed`; `rolled-back`, for what ran in it failed;
 * `conflict`, a victim of the database; `unknown`, whether it was committed; `failed`, for another `TransactionError`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const transactions = Metric.histogram(
  "cqrs_transaction_seconds",
  MetricBoundaries.exponential({ start: 0.0005, factor: 2, count: 16 }),
  "Duration of transactions, by outcome"
)

/**
 * Entries by what became of them: the label `outcome` is `delivered`, `deferred`, `dead` or `retriable`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const relayPublished = Metric.counter("cqrs_relay_published_total", {
  description: "Outbox entries by what the broker said",
  incremental: true
})

/**
 * The time from an event's creation until the broker has acknowledged it, in seconds.
 *
 * @since 0.1.0
 * @category metrics
 */
export const relayLatency = Metric.histogram(
  "cqrs_relay_latency_seconds",
  MetricBoundaries.exponential({ start: 0.001, factor: 2, count: 20 }),
  "From an event's creation until the broker has it"
)

/**
 * Relays that run.
 *
 * @since 0.1.0
 * @category metrics
 */
export const relaysRunning = Metric.gauge("cqrs_relay_running", { description: "Relays that run" })

/**
 * Buckets of the outbox that relays own. Over all processes: as many as there are, or some wait for an owner.
 *
 * @since 0.1.0
 * @category metrics
 */
export const relayBuckets = Metric.gauge("cqrs_relay_buckets", { description: "Buckets that relays own" })

/**
 * Buckets that changed hands, by `change`: `claimed`, `released`, `lost` (the lease ran out).
 *
 * @since 0.1.0
 * @category metrics
 */
export const relayLeases = Metric.counter("cqrs_relay_lease_changes_total", {
  description: "Buckets that relays claimed, released and lost",
  incremental: true
})

/**
 * What relays publish nothing to for now, by `topic`: how many relays, 0 when it is back. The broker as a whole is the
 * topic `(broker)`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const relaySuspended = Metric.gauge("cqrs_relay_suspended", {
  description: "Relays that publish nothing to a topic for now"
})

/**
 * How often topics were suspended, by `topic`, the broker as `(broker)`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const relaySuspensions = Metric.counter("cqrs_relay_suspensions_total", {
  description: "Suspensions of topics and of the broker",
  incremental: true
})

/**
 * Events that wait in the outbox, dead letters not among them, by `outbox`. As {@link layerOutbox} has found it last.
 *
 * @since 0.1.0
 * @category metrics
 */
export const outboxPending = Metric.gauge("cqrs_outbox_pending", { description: "Events that wait in the outbox" })

/**
 * How long the oldest of {@link outboxPending} has waited, in seconds, by `outbox`; while the storage is out it goes on
 * growing. The first thing to look at, and to be alarmed by.
 *
 * @since 0.1.0
 * @category metrics
 */
export const outboxOldest = Metric.gauge("cqrs_outbox_oldest_seconds", {
  description: "Age of the oldest event that waits in the outbox"
})

/**
 * Dead letters in the outbox, by `outbox`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const outboxDead = Metric.gauge("cqrs_outbox_dead", { description: "Dead letters in the outbox" })

/**
 * @since 0.1.0
 * @category models
 */
export interface OutboxOptions {
  /** Default 10 seconds. */
  readonly interval?: Duration.DurationInput | undefined
  /** Tells outboxes of one process apart: the label `outbox`. Default `main`. */
  readonly name?: string | undefined
}

/**
 * Keeps {@link outboxPending}, {@link outboxOldest} and {@link outboxDead} up to date, whether or not a relay runs in this
 * process. Each process that has this layer reports the same: take the maximum, not the sum.
 *
 * The storage is asked once per interval, and no more often than that it takes a twentieth of the time. When the scope
 * closes the gauges fall to 0.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOutbox = (options?: OutboxOptions | undefined): Layer.Layer<never, never, OutboxStorage> =>
  layerGauges({ pending: outboxPending, oldest: outboxOldest, dead: outboxDead }, options ?? {})

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
