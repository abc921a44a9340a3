/**
 * Apache Kafka as the broker.
 *
 * @since 0.1.0
 */
import { Broker, type BrokerError, type Outcome } from "@effect-cqrs/core/Broker"
import * as Tls from "@effect-cqrs/core/Tls"
import * as Wire from "@effect-cqrs/core/Wire"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ConnectionOptions } from "node:tls"
import * as Catalog from "./internal/catalog.ts"
import * as Client from "./internal/client.ts"
import * as Compression from "./internal/compression.ts"
import * as Member from "./internal/member.ts"
import * as Partitioner from "./internal/partitioner.ts"
import * as Producer from "./internal/producer.ts"
import { decode, encode, laneOf, type Outgoing } from "./internal/record.ts"
import * as Session from "./internal/session.ts"
import * as Settings from "./internal/settings.ts"
import { sift } from "./internal/sift.ts"
import { brokerError, check, configuration, ensure, required, stateOf } from "./internal/topology.ts"
import type { Topology } from "./Topology.ts"

/**
 * How a program logs in.
 *
 * @since 0.1.0
 * @category models
 */
export type Sasl =
  | {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512"
    readonly username: string
    readonly password: Redacted.Redacted
  }
  | {
    readonly mechanism: "oauthbearer"
    /** Run for each login, and again before a login ends. */
    readonly token: Effect.Effect<Redacted.Redacted, unknown>
  }

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Some of the cluster's nodes, as `host:port`; the others are learnt from them. */
  readonly brokers: ReadonlyArray<string>
  /** What the brokers' logs and quotas know this program by. Default: `effect-cqrs`. */
  readonly clientId?: string | undefined
  /** `true`: with the system's certificate authorities. */
  readonly tls?: boolean | ConnectionOptions | undefined
  readonly sasl?: Sasl | undefined
  /** Default: none is looked for, and none is made. */
  readonly topology?: Topology | undefined
  readonly wire?: Wire.Options | undefined
  readonly producer?: ProducerOptions | undefined
  readonly consumer?: ConsumerOptions | undefined
  /** How long a connection may take. Default: 3 seconds. */
  readonly connectionTimeout?: Duration.DurationInput | undefined
  /** How long an answer may take before its connection is given up. Default: 10 seconds. */
  readonly requestTimeout?: Duration.DurationInput | undefined
  /** How long topics are taken to be as they were; what fails is looked up at once. Default: 5 minutes. */
  readonly metadataMaxAge?: Duration.DurationInput | undefined
  /** Where to connect to in place of an address that was given or that the cluster names, as through a tunnel. */
  readonly redirect?: ((address: Address) => Address) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Address {
  readonly host: string
  readonly port: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ProducerOptions {
  /**
   * Which partition a key goes to: `murmur2` as Kafka's Java clients have it, `crc32` as librdkafka's `consistent_random`
   * has it, but that the empty key is a key here. All that write to a topic must do it alike. Messages without a key are
   * spread over the partitions in turn. Default: `murmur2`.
   */
  readonly partitioner?: "murmur2" | "crc32" | undefined
  /**
   * Of whole record batches. `gzip` is there; `snappy`, `lz4` and `zstd` are there if their codec was put into kafkajs's
   * `CompressionCodecs` before. Default: `none`.
   */
  readonly compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd" | undefined
  /** How long `publish` may take: then what has no outcome is `Retriable`. Default: 10 seconds. */
  readonly deadline?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ConsumerOptions {
  /**
   * What is handled in order, one at a time: the messages of a key, or all of a partition (then at most so many are out
   * as there are partitions). Default: `key`.
   */
  readonly order?: "key" | "partition" | undefined
  /** Where a new group begins: with what the topic still has, or with what comes. Default: true, nothing is left out. */
  readonly fromBeginning?: boolean | undefined
  /** How long the brokers wait for a member that is silent before others get its partitions. Default: 30 seconds. */
  readonly sessionTimeout?: Duration.DurationInput | undefined
  /** How long they wait for all members to join anew. Default: 60 seconds. */
  readonly rebalanceTimeout?: Duration.DurationInput | undefined
  /** How often a member is heard of, whatever its handlers do; and learns that others came or left. Default: 1 second. */
  readonly heartbeatInterval?: Duration.DurationInput | undefined
  /** How long the brokers hold back an answer if there is nothing new. Default: 250 milliseconds. */
  readonly maxWait?: Duration.DurationInput | undefined
  /** How much of a partition is fetched at once, in bytes; what is larger comes alone. Default: 1 MiB. */
  readonly maxBytesPerPartition?: number | undefined
  /** How often offsets are committed: what is settled since comes again after a crash. Default: 1 second. */
  readonly commitInterval?: Duration.DurationInput | undefined
  /**
   * When members come or leave, nothing more is handed out, and what is out has so long to be settled. What is not comes
   * again, to whoever has the partition then. Default: a third of the session timeout.
   */
  readonly drainTimeout?: Duration.DurationInput | undefined
}

/**
 * A broker over Kafka, connected when it is first used, and again whenever a connection is lost.
 *
 * - **Publishing** is idempotent and acknowledged by all replicas in sync. Messages of one key are in order. It can be
 *   interrupted.
 * - **Consuming**: members of a group share the partitions. What is settled is committed up to the first that is not.
 *   Messages come again after a crash, and where handlers take longer than a change of members waits for. Of transactions
 *   what is committed is handed out. If Kafka cannot be reached when it begins, `consume` fails with `Unavailable`;
 *   afterwards it goes on by itself.
 * - **`sift`** fails with `Unavailable` while the group has members.
 *
 * It fails with `Configuration` for what waiting does not mend: wrong credentials, a certificate that is not trusted,
 * options that cannot be, topics that are not as the topology has them. If Kafka cannot be reached it is made all the same, with a warning.
 *
 * @example
 * ```ts
 * import { KafkaBroker } from "@effect-cqrs/kafka"
 * import { Effect, Redacted } from "effect"
 *
 * export const broker = KafkaBroker.make({
 *   brokers: ["kafka-1.internal:9093", "kafka-2.internal:9093"],
 *   tls: true,
 *   sasl: { mechanism: "scram-sha-512", username: "orders", password: Redacted.make("secret") }
 * })
 *
 * export const program = Effect.scoped(Effect.flatMap(broker, (kafka) => kafka.publish([])))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Context.Tag.Service<Broker>, BrokerError, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<never>()
    const { consumer = {}, producer = {} } = options
    if (options.brokers.length === 0 || !options.brokers.every(isAddress)) {
      // one that is a URL may have a password in it
      const shown = JSON.stringify(options.brokers.map((one) => one.replace(/^.*@/, "…@")))
      return yield* configuration(`The brokers of Kafka are ${shown}: give one or more, as "host:port"`)
    }
    yield* Settings.oneOf("producer.partitioner", producer.partitioner, ["murmur2", "crc32"])
    yield* Settings.oneOf("consumer.order", consumer.order, ["key", "partition"])
    if (typeof options.tls === "object") {
      const mistake = Tls.mistake(options.tls)
      if (mistake !== undefined) return yield* configuration(mistake)
    }
    yield* Settings.oneOf("sasl.mechanism", options.sasl?.mechanism, [...mechanisms, "oauthbearer"])
    const compression = yield* Compression.find(producer.compression ?? "none")
    const maxBytesPerPartition = yield* Settings.whole(
      "consumer.maxBytesPerPartition",
      consumer.maxBytesPerPartition,
      1024 * 1024
    )
    const times = yield* Settings.timesOf(options)
    const topology = options.topology ?? { topics: [] }
    yield* check(topology)
    const settings = Settings.settingsOf(options, times, runtime)
    const client = yield* Effect.acquireRelease(Effect.sync(() => Client.make(settings)), (one) => one.close)
    const catalog = yield* Catalog.make(client, times.metadataMaxAge)
    const sessions = yield* Session.make(client)
    const sending = Producer.make(client, catalog, sessions, {
      partitioner: producer.partitioner === "crc32" ? Partitioner.crc32 : Partitioner.murmur2,
      compression,
      deadline: times.deadline
    })
    const wire = Wire.make(["ce_"], options.wire)

    const append = (batch: ReadonlyArray<Outgoing>): Effect.Effect<ReadonlyArray<Outcome>> =>
      sending.send(batch.map((one) => Either.right(one)), batch.map((one) => laneOf(one.topic, one.key)))

    const deliver: Member.Options["deliver"] = (topic, partition, record) =>
      decode({
        wire,
        topic,
        partition,
        record,
        forward: (outgoing) => Effect.map(append([outgoing]), ([outcome]) => outcome!)
      })

    const ready = ensure(client, catalog, topology, settings.requestTimeout)
    yield* Effect.mapError(client.metadata(["__consumer_offsets"]), brokerError).pipe(
      Effect.zipRight(ready),
      Effect.timeoutFail({
        duration: settings.requestTimeout,
        onTimeout: () => brokerError(new Error("it does not answer"))
      }),
      Effect.catchIf(({ reason }) => reason === "Unavailable", (error) =>
        Effect.zipRight(
          Effect.logWarning(`${error.message}. It is tried again whenever it is needed.`),
          options.topology === undefined ? Effect.void : Effect.forkScoped(Effect.tapError(
            Effect.retry(ready, {
              while: ({ reason }) => reason === "Unavailable",
              schedule: Schedule.spaced(settings.requestTimeout)
            }),
            (conflict) => Effect.logError(conflict.message)
          ))
        ))
    )

    const order = consumer.order ?? "key"
    return Broker.of({
      system: "kafka",
      publish: (batch) =>
        Effect.suspend(() =>
          sending.send(
            batch.map((message) => encode(wire, message)),
            batch.map(({ key, topic }) => key === undefined ? undefined : `${topic}/${key}`)
          )
        ),
      consume: (subscription) =>
        Effect.gen(function*() {
          const window = subscription.window ?? 256
          if (!Number.isSafeInteger(window) || window < 1) {
            return yield* configuration(`The window of a subscription is ${window}: it must be a whole number from 1`)
          }
          if (subscription.group === "") return yield* configuration("The group of a subscription is empty: name it")
          if (subscription.topics.length === 0) {
            return yield* configuration("The subscription has no topics: name one")
          }
          yield* required(
            catalog,
            [...subscription.topics, ...subscription.publishesTo ?? []],
            settings.requestTimeout
          )
          yield* stateOf(client, subscription.group)
          return yield* Member.join(settings, {
            deliver,
            window,
            laneOf: order === "key"
              ? ({ partition, topic }, { key }) => laneOf(`${topic}/${partition}`, key)
              : ({ partition, topic }) => `${topic}/${partition}`,
            group: subscription.group,
            topics: subscription.topics,
            fromBeginning: consumer.fromBeginning ?? true,
            sessionTimeout: times.sessionTimeout,
            rebalanceTimeout: times.rebalanceTimeout,
            heartbeatInterval: times.heartbeatInterval,
            maxWait: times.maxWait,
            maxBytesPerPartition,
            commitInterval: times.commitInterval,
            concurrency: 32,
            drainTimeout: times.drainTimeout,
            leave: (memberId) => client.leave(subscription.group, memberId)
          })
        }),
      sift: (queue, decide) =>
        sift(
          {
            client,
            catalog,
            fromBeginning: consumer.fromBeginning ?? true,
            timeout: settings.requestTimeout,
            deliver,
            append
          },
          queue,
          decide
        ),
      check: Effect.mapError(client.metadata([]), brokerError)
    })
  })

/**
 * {@link make} as a layer.
 *
 * @example
 * ```ts
 * import { KafkaBroker } from "@effect-cqrs/kafka"
 *
 * export const KafkaLive = KafkaBroker.layer({
 *   brokers: ["127.0.0.1:9092"],
 *   topology: { topics: [{ name: "meeting_room_notifications", partitions: 12 }], create: true }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Broker, BrokerError> => Layer.scoped(Broker, make(options))

const mechanisms = ["plain", "scram-sha-256", "scram-sha-512"] as const

/**
 * What can be configured: `CQRS_KAFKA_BROKERS` (several with commas between them), and each optional:
 * `CQRS_KAFKA_CLIENT_ID`, `CQRS_KAFKA_TLS` (`true`), `CQRS_KAFKA_SASL_MECHANISM` (`plain`, `scram-sha-256` or
 * `scram-sha-512`) with `CQRS_KAFKA_USERNAME` and `CQRS_KAFKA_PASSWORD`, `CQRS_KAFKA_COMPRESSION`,
 * `CQRS_KAFKA_PUBLISH_DEADLINE` (a duration as `5 seconds`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const config: Config.Config<Pick<Options, "brokers" | "clientId" | "producer" | "sasl" | "tls">> = Config.all({
  brokers: Config.array(Config.nonEmptyString(), "CQRS_KAFKA_BROKERS"),
  clientId: Config.option(Config.nonEmptyString("CQRS_KAFKA_CLIENT_ID")),
  tls: Config.option(Config.boolean("CQRS_KAFKA_TLS")),
  mechanism: Config.option(Config.literal(...mechanisms)("CQRS_KAFKA_SASL_MECHANISM")),
  username: Config.option(Config.nonEmptyString("CQRS_KAFKA_USERNAME")),
  password: Config.option(Config.redacted(Config.nonEmptyString("CQRS_KAFKA_PASSWORD"))),
  compression: Config.option(
    Config.literal("none", "gzip", "snappy", "lz4", "zstd")("CQRS_KAFKA_COMPRESSION")
  ),
  deadline: Config.option(Config.duration("CQRS_KAFKA_PUBLISH_DEADLINE"))
}).pipe(
  Config.mapOrFail(({ brokers, clientId, compression, deadline, mechanism, password, tls, username }) => {
    const login = Option.all({ mechanism, username, password })
    const missing = [
      ...Option.isNone(mechanism) ? ["CQRS_KAFKA_SASL_MECHANISM"] : [],
      ...Option.isNone(username) ? ["CQRS_KAFKA_USERNAME"] : [],
      ...Option.isNone(password) ? ["CQRS_KAFKA_PASSWORD"] : []
    ]
    // without a login, nobody would notice that there was to be one
    if (missing.length === 1 || missing.length === 2) {
      return Either.left(
        ConfigError.InvalidData(missing.slice(0, 1), "A login is a mechanism, a username and a password")
      )
    }
    return Either.right({
      brokers,
      ...given("clientId", clientId),
      ...given("tls", tls),
      ...given("sasl", login),
      producer: { ...given("compression", compression), ...given("deadline", deadline) }
    })
  })
)

/**
 * As {@link layer}, with options that the program's configuration ({@link config}) overrides.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Omit<Options, "brokers"> = {}
): Layer.Layer<Broker, BrokerError | ConfigError.ConfigError> =>
  Layer.unwrapEffect(
    Effect.map(config, (configured) =>
      layer({ ...options, ...configured, producer: { ...options.producer, ...configured.producer } }))
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const isAddress = (address: string): boolean => {
  const port = Number(/^[^:\s@/]+:(\d{1,5})$/.exec(address)?.[1])
  return port > 0 && port <= 65_535
}

function given<K extends string, A>(name: K, value: Option.Option<A>): { readonly [_ in K]?: A } {
  return (Option.isSome(value) ? { [name]: value.value } : {}) as { readonly [_ in K]?: A }
}
