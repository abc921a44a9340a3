/**
 * A sensible whole in one call.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Broker from "./Broker.ts"
import * as BucketOwner from "./BucketOwner.ts"
import * as EventEmitter from "./EventEmitter.ts"
import * as Idempotency from "./Idempotency.ts"
import * as Inbox from "./Inbox.ts"
import * as Metrics from "./Metrics.ts"
import * as OutboxStorage from "./OutboxStorage.ts"
import * as Relay from "./Relay.ts"
import * as Serialization from "./Serialization.ts"
import * as Transaction from "./Transaction.ts"
import * as Transactor from "./Transactor.ts"

/**
 * What a database offers.
 *
 * @since 0.1.0
 * @category models
 */
export type Storage =
  | Transactor.Transactor
  | OutboxStorage.OutboxStorage
  | Inbox.InboxStorage
  | Idempotency.IdempotencyStorage
  | BucketOwner.BucketOwner

/**
 * What {@link layer} provides.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | Storage
  | Broker.Broker
  | Transaction.Transactional
  | Idempotency.Idempotent
  | Relay.Relay

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<ES = never, RS = never, EB = never, RB = never> {
  /** The database: transactions, outbox, inbox, idempotency keys, and who owns which buckets. Default: {@link layerStorageMemory}. */
  readonly storage?: Layer.Layer<Storage, ES, RS> | undefined
  /** The broker. Default: `Broker.layerMemory`: what that has acknowledged dies with the process. */
  readonly broker?: Layer.Layer<Broker.Broker, EB, RB> | undefined
  readonly relay?: Relay.Options | undefined
  readonly transaction?: Transaction.Options | undefined
  /** Of commands with an idempotency key; what is not given is as in `transaction`. */
  readonly idempotency?: Idempotency.Options | undefined
  readonly serialization?: Serialization.Options | undefined
  readonly emitter?: EventEmitter.PolicyOptions | undefined
  /** How often the outbox is measured, and under which name: see `Metrics.layerOutbox`. */
  readonly metrics?: Metrics.OutboxOptions | undefined
}

/**
 * Transactor, outbox, inbox and idempotency keys in memory, with one relay that owns it all: for tests and first steps.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStorageMemory: Layer.Layer<Storage> = Layer.mergeAll(
  Transactor.layerMemory,
  Inbox.layerMemory,
  Idempotency.layerMemory,
  BucketOwner.layerSingle
).pipe(
  Layer.provideMerge(OutboxStorage.layerMemory())
)

/**
 * Everything a program needs beside its own handlers: storage, broker, the transactional middlewares, a running relay,
 * the outbox's gauges, and how events are written and dispatched. Without options it is all in memory. With a durable storage and no broker the
 * events of committed transactions reach the consumers of this process, and those that the memory broker has acknowledged
 * and no consumer has settled are lost with it: give a `broker` where they must survive.
 *
 * @example
 * ```ts
 * import { Bootstrap, Event, Outbox, Relay, Transaction } from "@effect-cqrs/core"
 * import { Effect, Schema } from "effect"
 *
 * class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
 *   topic: "rooms",
 *   payload: { roomId: Schema.String }
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   yield* Transaction.run(Outbox.add(new RoomClosed({ roomId: "blue" })))
 *   yield* Effect.flatMap(Relay.Relay, (relay) => relay.drain)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Bootstrap.layer({ serialization: { source: "/rooms" } }))))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <ES = never, RS = never, EB = never, RB = never>(
  options: Options<ES, RS, EB, RB> = {}
): Layer.Layer<
  Services,
  ES | EB | Relay.RelayError | OutboxStorage.StorageError,
  RS | RB
> => {
  const storage: Layer.Layer<Storage, ES, RS> = options.storage ?? Layer.fresh(layerStorageMemory)
  const broker: Layer.Layer<Broker.Broker, EB, RB> = options.broker ?? Broker.layerMemory()
  return Layer.mergeAll(
    Relay.layer(options.relay),
    Metrics.layerOutbox(options.metrics),
    Transaction.Transactional.layerWith(options.transaction ?? {}),
    Idempotency.Idempotent.layerWith({ ...options.transaction, ...options.idempotency })
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(storage, broker)),
    Layer.provideMerge(Serialization.layer(options.serialization ?? {})),
    Layer.provideMerge(EventEmitter.layerPolicy(options.emitter ?? {}))
  )
}

/**
 * As {@link layer}, with options that the program's configuration ({@link config}) overrides.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <ES = never, RS = never, EB = never, RB = never>(
  options: Options<ES, RS, EB, RB> = {}
): Layer.Layer<
  Services,
  ES | EB | Relay.RelayError | OutboxStorage.StorageError | ConfigError.ConfigError,
  RS | RB
> =>
  Layer.unwrapEffect(Effect.map(config, (configured) =>
    layer({
      ...options,
      relay: { ...options.relay, ...configured.relay },
      serialization: { ...options.serialization, ...configured.serialization },
      emitter: { ...options.emitter, ...configured.emitter }
    })))

/**
 * What can be configured, each key optional: `CQRS_SOURCE`, `CQRS_MAX_PAYLOAD_BYTES`, `CQRS_RELAY_LANES`,
 * `CQRS_RELAY_BATCH_SIZE`, `CQRS_RELAY_MAX_BATCH_BYTES`, `CQRS_RELAY_POLL_INTERVAL`, `CQRS_RELAY_GRACE`,
 * `CQRS_RELAY_RETENTION` (durations as `5 seconds`), `CQRS_RELAY_MAX_DEATHS`, `CQRS_RELAY_MAX_LONE_FAILURES`,
 * `CQRS_EMITTER_CONCURRENCY`, `CQRS_EMITTER_MAX_DEPTH`. The relay's are those of `Relay.Options`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const config: Config.Config<Pick<Options, "relay" | "serialization" | "emitter">> = Config.all({
  source: Config.option(Config.nonEmptyString("CQRS_SOURCE")),
  maxPayloadBytes: Config.option(positive("CQRS_MAX_PAYLOAD_BYTES")),
  lanes: Config.option(positive("CQRS_RELAY_LANES")),
  batchSize: Config.option(positive("CQRS_RELAY_BATCH_SIZE")),
  maxBatchBytes: Config.option(positive("CQRS_RELAY_MAX_BATCH_BYTES")),
  pollInterval: Config.option(duration("CQRS_RELAY_POLL_INTERVAL")),
  grace: Config.option(duration("CQRS_RELAY_GRACE")),
  retention: Config.option(duration("CQRS_RELAY_RETENTION")),
  maxDeaths: Config.option(positive("CQRS_RELAY_MAX_DEATHS")),
  maxLoneFailures: Config.option(positive("CQRS_RELAY_MAX_LONE_FAILURES")),
  concurrency: Config.option(positive("CQRS_EMITTER_CONCURRENCY")),
  maxDepth: Config.option(positive("CQRS_EMITTER_MAX_DEPTH"))
}).pipe(
  Config.map(({ concurrency, maxDepth, maxPayloadBytes, source, ...relay }) => ({
    relay: given(relay),
    serialization: given({ source, maxPayloadBytes }),
    emitter: given({ concurrency, maxDepth })
  }))
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

function positive(name: string): Config.Config<number> {
  return Config.validate(Config.integer(name), {
    message: "must be a whole number above 0",
    validation: (value: number) => value > 0
  })
}

function duration(name: string): Config.Config<Duration.Duration> {
  return Config.validate(Config.duration(name), {
    message: "must be a duration above 0, such as \"1 second\"",
    validation: (value: Duration.Duration) => Duration.toMillis(value) > 0
  })
}

/** The values that are there. */
function given<T extends Record<string, Option.Option<unknown>>>(
  values: T
): { [K in keyof T]?: Option.Option.Value<T[K]> } {
  return unsafeCoerce(Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => Option.isSome(value) ? [[key, value.value]] : [])
  ))
}
