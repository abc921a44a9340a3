/**
 * The relay: a fiber that brings committed events from the outbox to the broker.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Broker } from "./Broker.ts"
import type { BucketOwner } from "./BucketOwner.ts"
import { forkGracefully } from "./internal/graceful.ts"
import { makeEngine } from "./internal/relay/engine.ts"
import { refusal, settingsOf } from "./internal/relay/settings.ts"
import type { OutboxStorage, StorageError } from "./OutboxStorage.ts"

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
  /**
   * How many batches are under way at a time, each of other buckets: while one is read another is published. More of them
   * than 4 (the default) gained little. Each takes a database connection while it reads or settles.
   */
  readonly lanes?: number | undefined
  /** Events published at a time, per lane. Default 500. */
  readonly batchSize?: number | undefined
  /** The payloads of a batch, in bytes; a batch ends with the event that reaches it. Default 4 MiB. */
  readonly maxBatchBytes?: number | undefined
  /**
   * The longest that an idle relay waits before it looks again; after it has found something it looks again after a
   * sixteenth of it, then waits twice as long each time. Commits of its own process wake it at once; this is for the
   * others, and for dead letters that others have redriven. Default 1 second.
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
  /**
   * How long delivered events are kept in the table before they are deleted, for a look back; the relay purges them in
   * steps. Default: not at all, they are deleted as they are delivered. It costs an update in place of a delete, and the
   * delete later.
   */
  readonly retention?: Duration.DurationInput | undefined
  /**
   * After how many deaths in a row of the relay's process, with one event alone in flight, that event is taken for their
   * cause and becomes a dead letter. Before that come up to three deaths that narrow down what was in flight. They are no
   * attempts, and any outcome clears them. Default 5.
   */
  readonly maxDeaths?: number | undefined
  /**
   * How often in a row a destination may refuse an event without a verdict, while it takes others, until that counts as
   * a rejection. Default 5.
   */
  readonly maxLoneFailures?: number | undefined
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
 * What does not answer, or takes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outage {
  readonly since: DateTime.Utc
  /** What was said at the last try, as a sentence. */
  readonly reason: string
}

/**
 * What a relay knows of itself and of what it works with. Times are those of this process's clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  /**
   * `manual`: it has no fiber, and moves when it is told to ({@link make}). `dead`: its fiber has ended though nobody
   * stopped it; only another relay helps.
   */
  readonly state: "manual" | "running" | "stopping" | "stopped" | "dead"
  /** How many buckets it holds; none where there are more relays than buckets. */
  readonly buckets: number
  /** Whether it trusts its lease on them: without, it publishes nothing. */
  readonly isLeased: boolean
  /** When a step last came to its end. An idle relay makes one per `pollInterval`. */
  readonly lastStepAt: DateTime.Utc | undefined
  /** When something was last published and settled. */
  readonly lastSettledAt: DateTime.Utc | undefined
  readonly storage: Outage | undefined
  /** Known once there was something to publish. */
  readonly broker: Outage | undefined
  /** Destinations that are suspended. */
  readonly destinations: ReadonlyArray<Outage & { readonly topic: string }>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Relay extends Context.Tag("@effect-cqrs/core/Relay")<Relay, {
  /**
   * One step of each lane: reads a batch, publishes it, settles it. The relay's own fibers make these steps; called by hand,
   * a step waits for its turn. Interrupted while it publishes, it may have delivered what it will deliver again.
   */
  readonly tick: Effect.Effect<Progress, StorageError>
  /** Steps until there is nothing more that can be delivered now. What is deferred or suspended is not waited for. */
  readonly drain: Effect.Effect<Progress, StorageError>
  /** Asks nobody. */
  readonly status: Effect.Effect<Status>
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
> => Effect.map(engineOf(options ?? {}), ({ drain, status, tick }) => Relay.of({ drain, status, tick }))

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
      const engine = yield* engineOf(options ?? {})
      yield* forkGracefully(engine.run, options?.grace ?? Duration.seconds(10))
      return Relay.of({ tick: engine.tick, drain: engine.drain, status: engine.status })
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

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const engineOf = (options: Options) =>
  Effect.gen(function*() {
    const message = refusal(options)
    if (message !== undefined) return yield* new RelayError({ reason: "Configuration", message })
    return yield* makeEngine(settingsOf(options))
  })
