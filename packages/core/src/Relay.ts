/**
 * The relay: a fiber that brings committed events from the outbox to the broker.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Broker, Outcome } from "./Broker.ts"
import { BucketOwner } from "./BucketOwner.ts"
import * as Delivery from "./Delivery.ts"
import { forkGracefully } from "./internal/graceful.ts"
import { backoffAfter, delayAfter, outage } from "./internal/scheduleDelay.ts"
import { type Entry, OutboxStorage, Settlement, type StorageError } from "./OutboxStorage.ts"

/**
 * What to do with events that the broker rejects.
 *
 * @since 0.1.0
 * @category models
 */
export interface RejectionOptions {
  /** The waits between attempts; when it ends the event is a dead letter. Default: 8 times, from 1 second, doubling. */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /**
   * `halt` (the default): later events of its topic and key wait until the dead letter is redriven or discarded.
   * `skip`: they go on, and a redriven one comes out of order.
   */
  readonly exhausted?: "halt" | "skip" | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends RejectionOptions {
  /** Events published at a time. Default 500. */
  readonly batchSize?: number | undefined
  /** The payloads of a batch, in bytes; a batch ends with the event that reaches it. Default 4 MiB. */
  readonly maxBatchBytes?: number | undefined
  /**
   * How long an idle relay waits before it looks again. Commits of its own process wake it at once; this is for the
   * others. Default 1 second.
   */
  readonly pollInterval?: Duration.DurationInput | undefined
  /** Rejections, per topic, where they differ. */
  readonly topics?: Readonly<Record<string, RejectionOptions>> | undefined
  /**
   * The waits while the broker, a destination or the storage is out. They count no attempts; when the schedule ends its
   * last wait goes on. Default: from 100 milliseconds, doubling, up to 10 seconds, jittered.
   */
  readonly backoff?: Schedule.Schedule<unknown, unknown> | undefined
  /** How long what is in flight may take to end at shutdown. Default 10 seconds. */
  readonly grace?: Duration.DurationInput | undefined
}

/**
 * An option that cannot be.
 *
 * @since 0.1.0
 * @category errors
 */
export class RelayError extends Schema.TaggedError<RelayError>("@effect-cqrs/core/RelayError")("RelayError", {
  reason: Schema.Literal("Configuration"),
  message: Schema.String
}) {}

/**
 * What a step of the relay did.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  readonly read: number
  readonly delivered: number
  readonly deferred: number
  readonly dead: number
  /** Entries that stay as they are because the broker or their destination could not take them. */
  readonly retriable: number
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Relay extends Context.Tag("@effect-cqrs/core/Relay")<Relay, {
  /**
   * One step: reads a batch, publishes it, settles it. The relay's own fiber makes these steps; called by hand, a step
   * waits for its turn. Interrupted while it publishes, it may have delivered what it will deliver again.
   */
  readonly tick: Effect.Effect<Progress, StorageError>
  /** Steps until there is nothing more that can be delivered now. What is deferred or suspended is not waited for. */
  readonly drain: Effect.Effect<Progress, StorageError>
}>() {}

/**
 * A relay without a fiber: it moves when it is told to.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: Options | undefined
): Effect.Effect<
  Context.Tag.Service<Relay>,
  RelayError | StorageError,
  OutboxStorage | Broker | BucketOwner | Scope.Scope
> => Effect.map(makeEngine(options ?? {}), ({ drain, tick }) => Relay.of({ drain, tick }))

/**
 * The relay as a fiber beside the program.
 *
 * - **At least once.** An entry leaves the outbox only after the broker has acknowledged it.
 * - **In order.** Events of one topic and key are published in the order of their commits. One that is rejected holds
 *   back those behind it, and nobody else.
 * - **Outages** of the broker, of a destination or of the database are waited out, however long; they cost no attempts.
 * - **Shutdown.** When the layer's scope closes nothing new is read; what is in flight may finish within the grace
 *   period.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<Relay, RelayError | StorageError, OutboxStorage | Broker | BucketOwner> =>
  Layer.scoped(
    Relay,
    Effect.gen(function*() {
      const engine = yield* makeEngine(options ?? {})
      yield* forkGracefully(engine.run, options?.grace ?? Duration.seconds(10))
      return Relay.of({ tick: engine.tick, drain: engine.drain })
    })
  )

/**
 * As {@link layer}, with options read from the program's configuration.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<Options>
): Layer.Layer<Relay, RelayError | StorageError | ConfigError.ConfigError, OutboxStorage | Broker | BucketOwner> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(config), layer))

/**
 * Entries by what became of them: the label `outcome` is `delivered`, `deferred`, `dead` or `retriable`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const published = Metric.counter("cqrs_relay_published_total", {
  description: "Outbox entries by what the broker said",
  incremental: true
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Suspension {
  readonly until: number
  readonly attempts: number
}

const nothing: Progress = { read: 0, delivered: 0, deferred: 0, dead: 0, retriable: 0 }

const add = (a: Progress, b: Progress): Progress => ({
  read: a.read + b.read,
  delivered: a.delivered + b.delivered,
  deferred: a.deferred + b.deferred,
  dead: a.dead + b.dead,
  retriable: a.retriable + b.retriable
})

const moved = (progress: Progress): boolean => progress.delivered + progress.deferred + progress.dead > 0

const defaultRetry = Schedule.intersect(Schedule.exponential("1 second"), Schedule.recurs(8))

const counters = {
  delivered: Metric.tagged(published, "outcome", "delivered"),
  deferred: Metric.tagged(published, "outcome", "deferred"),
  dead: Metric.tagged(published, "outcome", "dead"),
  retriable: Metric.tagged(published, "outcome", "retriable")
}

const logDead = (entry: Entry, dead: { readonly reason: string; readonly attempts: number }): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError(`An event is a dead letter: ${dead.reason}`), {
    event: entry.message.name,
    messageId: entry.message.id,
    topic: entry.message.topic,
    attempts: dead.attempts
  })

const validate = (options: Options): Effect.Effect<void, RelayError> => {
  const refuse = (message: string) => Effect.fail(new RelayError({ reason: "Configuration", message }))
  for (const name of ["batchSize", "maxBatchBytes"] as const) {
    const value = options[name]
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      return refuse(`The relay's ${name} is ${value}: it must be a whole number above 0`)
    }
  }
  for (const name of ["pollInterval", "grace"] as const) {
    const value = options[name]
    if (value === undefined) continue
    const duration = Duration.decodeUnknown(value)
    if (Option.isNone(duration) || (name === "pollInterval" && Duration.toMillis(duration.value) <= 0)) {
      return refuse(`The relay's ${name} is ${String(value)}: it must be a duration above 0, such as "1 second"`)
    }
  }
  return Effect.void
}

const makeEngine = (options: Options) =>
  Effect.gen(function*() {
    yield* validate(options)
    const storage = yield* OutboxStorage
    const broker = yield* Broker
    const membership = yield* Effect.flatMap(BucketOwner, (owner) => owner.join)
    const limit = options.batchSize ?? 500
    const maxBytes = options.maxBatchBytes ?? 4 * 1024 * 1024
    const pollInterval = Duration.decode(options.pollInterval ?? Duration.seconds(1))
    const backoff = options.backoff ?? outage
    const turn = yield* Effect.makeSemaphore(1)

    let brokerSuspension: Suspension | undefined
    const destinations = new Map<string, Suspension>()
    /** What the broker has said and the storage does not know yet: settled before anything else is read. */
    let unsettled: { readonly token: bigint; readonly settlements: ReadonlyArray<Settlement> } | undefined

    const suspend = (previous: Suspension | undefined): Effect.Effect<Suspension> =>
      Effect.gen(function*() {
        const attempts = (previous?.attempts ?? 0) + 1
        const delay = yield* backoffAfter(backoff, attempts)
        // whole milliseconds, as the clock has them: a fraction left over would be waited for again and again
        return { until: (yield* Clock.currentTimeMillis) + Math.ceil(Duration.toMillis(delay)), attempts }
      })

    const exhaustedOf = (entry: Entry) =>
      options.topics?.[entry.message.topic]?.exhausted ?? options.exhausted ?? "halt"

    const rejectionOf = (entry: Entry, outcome: Outcome): Effect.Effect<Delivery.Rejection> => {
      const own = options.topics?.[entry.message.topic]
      const exhausted = exhaustedOf(entry)
      return outcome._tag === "Rejected"
        ? Effect.map(
          delayAfter(own?.retry ?? options.retry ?? defaultRetry, entry.attempts + 1, outcome.reason),
          (delay) => ({ delay, exhausted })
        )
        : Effect.succeed({ delay: Option.none(), exhausted })
    }

    const settle = Effect.suspend(() =>
      unsettled === undefined || unsettled.settlements.length === 0
        ? Effect.sync(() => unsettled = undefined)
        : Effect.flatMap(storage.settle(unsettled.token, unsettled.settlements), (tookEffect) => {
          unsettled = undefined
          return tookEffect ? Effect.void : Effect.logWarning(
            "The relay's buckets went to another relay before it could settle: what it published may be published again"
          )
        })
    )

    const publish = (entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Outcome>> =>
      Effect.catchAllDefect(
        broker.publish(entries.map((entry) => entry.message)),
        (defect) =>
          Effect.as(
            Effect.logError("The broker adapter died while it published a batch", Cause.die(defect)),
            entries.map(() => Outcome.Retriable({ scope: "broker", reason: "The broker adapter died" }))
          )
      )

    /** Entries that are no messages are not published, nor is what they halt. */
    const apart = (entries: ReadonlyArray<Entry>) => {
      const held: Array<Entry> = []
      const halted = new Set<string>()
      const publishable = entries.filter((entry) => {
        const { key, topic } = entry.message
        const lane = key === undefined ? undefined : JSON.stringify([topic, key])
        if (lane !== undefined && halted.has(lane)) return false
        if (entry.malformed === undefined) return true
        held.push(entry)
        if (lane !== undefined && exhaustedOf(entry) === "halt") halted.add(lane)
        return false
      })
      return { held, publishable }
    }

    const judge = (
      entries: ReadonlyArray<Entry>,
      outcomes: ReadonlyArray<Outcome>,
      malformed: ReadonlyArray<Entry>,
      token: bigint
    ) =>
      Effect.gen(function*() {
        const settlements: Array<Settlement> = []
        const progress = { ...nothing, read: entries.length + malformed.length }
        for (const entry of malformed) {
          const dead = Settlement.Dead({
            sequence: entry.sequence,
            attempts: entry.attempts,
            policy: exhaustedOf(entry),
            reason: entry.malformed!
          })
          settlements.push(dead)
          progress.dead += 1
          yield* logDead(entry, dead)
        }
        const out = new Map<string, string>()
        /** Keys with an entry that was not delivered: what the broker held back behind it says nothing of the topic. */
        const held = new Set<string>()
        let brokerOut: string | undefined
        for (let i = 0; i < entries.length; i++) {
          const entry = entries[i]!
          const outcome = outcomes[i] ?? Outcome.Retriable({ scope: "broker", reason: "The broker gave no answer" })
          const lane = entry.message.key === undefined
            ? undefined
            : JSON.stringify([entry.message.topic, entry.message.key])
          const isHeld = lane !== undefined && held.has(lane)
          if (lane !== undefined && outcome._tag !== "Delivered") held.add(lane)
          if (outcome._tag === "Retriable") {
            progress.retriable += 1
            if (outcome.scope === "broker") brokerOut ??= outcome.reason
            else if (!isHeld && !out.has(entry.message.topic)) out.set(entry.message.topic, outcome.reason)
            continue
          }
          const decided = Delivery.settlement(entry, outcome, yield* rejectionOf(entry, outcome))
          if (Option.isNone(decided)) continue
          settlements.push(decided.value)
          switch (decided.value._tag) {
            case "Delivered":
              progress.delivered += 1
              break
            case "Deferred":
              progress.deferred += 1
              break
            case "Dead":
              progress.dead += 1
              yield* logDead(entry, decided.value)
          }
        }
        unsettled = { token, settlements }
        if (brokerOut === undefined) brokerSuspension = undefined
        else {
          if (brokerSuspension === undefined) yield* Effect.logWarning(`The broker is out: ${brokerOut}`)
          brokerSuspension = yield* suspend(brokerSuspension)
        }
        for (const entry of entries) if (!out.has(entry.message.topic)) destinations.delete(entry.message.topic)
        for (const [topic, reason] of out) {
          const previous = destinations.get(topic)
          if (previous === undefined) yield* Effect.logWarning(`The destination ${topic} is out: ${reason}`)
          destinations.set(topic, yield* suspend(previous))
        }
        return progress as Progress
      })

    const step: Effect.Effect<Progress, StorageError> = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        yield* settle
        const now = yield* Clock.currentTimeMillis
        if (brokerSuspension !== undefined && brokerSuspension.until > now) return nothing
        const holding = yield* restore(membership.holding)
        const except = [...destinations].flatMap(([topic, suspension]) => suspension.until > now ? [topic] : [])
        const entries = yield* restore(storage.read({ buckets: holding.buckets, limit, maxBytes, except }))
        if (entries.length === 0) {
          // nothing is left to try again with
          brokerSuspension = undefined
          for (const [topic, suspension] of destinations) if (suspension.until <= now) destinations.delete(topic)
          return nothing
        }
        // the lease may have run out while the storage took its time: then somebody else publishes these
        if ((yield* Clock.currentTimeNanos) >= holding.trustedUntil) return nothing
        const { held, publishable } = apart(entries)
        const outcomes = publishable.length === 0 ? [] : yield* restore(publish(publishable))
        const progress = yield* judge(publishable, outcomes, held, holding.token)
        yield* settle
        yield* Metric.incrementBy(counters.delivered, progress.delivered)
        yield* Metric.incrementBy(counters.deferred, progress.deferred)
        yield* Metric.incrementBy(counters.dead, progress.dead)
        yield* Metric.incrementBy(counters.retriable, progress.retriable)
        return progress
      })
    )

    const tick = Effect.withTracerEnabled(turn.withPermits(1)(step), false)

    /** Whether another step may find something: behind a destination that is out, others may be waiting. */
    const goesOn = (progress: Progress): Effect.Effect<boolean> =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        moved(progress) || (progress.retriable > 0 && brokerSuspension === undefined &&
          [...destinations.values()].some((suspension) => suspension.until > now)))

    const drain: Effect.Effect<Progress, StorageError> = Effect.iterate(
      { total: nothing, more: true },
      {
        while: ({ more }) =>
          more,
        body: ({ total }) =>
          Effect.flatMap(tick, (progress) =>
            Effect.map(goesOn(progress), (more) => ({ total: add(total, progress), more })))
      }
    ).pipe(Effect.map(({ total }) =>
      total
    ))

    /** Until when there is no point in another step; nothing but a poll is due if nobody is suspended. */
    const pause = Effect.map(Clock.currentTimeMillis, (now) => {
      if (brokerSuspension !== undefined) return { millis: Math.max(0, brokerSuspension.until - now), wakes: false }
      const untils = [...destinations.values()].map((suspension) => suspension.until - now)
      return { millis: Math.max(0, Math.min(Duration.toMillis(pollInterval), ...untils)), wakes: true }
    })

    const run = (stopping: Effect.Effect<void>): Effect.Effect<void> => {
      let stopped = false
      let failures = 0
      const once = Effect.gen(function*() {
        // before the read: a commit behind it is then seen by the wait
        const version = yield* storage.arrivals.version
        const progress = yield* tick
        failures = 0
        if (yield* goesOn(progress)) return
        const { millis, wakes } = yield* pause
        const sleep = Effect.sleep(millis)
        yield* Effect.raceFirst(wakes ? Effect.raceFirst(sleep, storage.arrivals.waitPast(version)) : sleep, stopping)
      }).pipe(
        Effect.catchAllCause((cause) =>
          Cause.isInterruptedOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.gen(function*() {
            failures += 1
            if (failures === 1) yield* Effect.logWarning("The relay cannot reach its storage and tries again", cause)
            yield* Effect.raceFirst(Effect.sleep(yield* backoffAfter(backoff, failures)), stopping)
          })
        )
      )
      return Effect.zipRight(
        Effect.fork(Effect.zipRight(stopping, Effect.sync(() => stopped = true))),
        Effect.asVoid(Effect.whileLoop({ while: () => !stopped, body: () => once, step: () => {} }))
      )
    }

    return { tick, drain, run }
  })
