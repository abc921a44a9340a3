/**
 * What Kafka has of some topics, for those who look after it.
 *
 * @since 0.1.0
 */
import type { BrokerError } from "@effect-cqrs/core/Broker"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import { isConfiguration, ofCode } from "./internal/classification.ts"
import * as Client from "./internal/client.ts"
import * as Settings from "./internal/settings.ts"
import { brokerError } from "./internal/topology.ts"
import * as KafkaBroker from "./KafkaBroker.ts"

/**
 * A topic as Kafka has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface TopicState {
  readonly name: string
  /** Why nothing can be known of it: it does not exist, or this login may not see it. */
  readonly trouble: string | undefined
  readonly partitions: number
  /** Partitions that nobody leads: what belongs there waits. */
  readonly leaderless: number
  readonly replicas: number
  /** `undefined` if this login may not read the topic's configuration. */
  readonly minInsyncReplicas: number | undefined
  readonly maxMessageBytes: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Inspection {
  /** How many nodes the cluster has. */
  readonly nodes: number
  /** In the order in which they were asked for. */
  readonly topics: ReadonlyArray<TopicState>
}

/**
 * Asks Kafka for topics, and changes nothing. A topic that is missing is no error here; a cluster that cannot be reached
 * or refuses the login is a `BrokerError`.
 *
 * @example
 * ```ts
 * import { Inspection } from "@effect-cqrs/kafka"
 *
 * export const topics = Inspection.inspect({ brokers: ["127.0.0.1:9092"] }, ["rooms"])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const inspect = (
  options: Pick<
    KafkaBroker.Options,
    "brokers" | "clientId" | "connectionTimeout" | "redirect" | "requestTimeout" | "sasl" | "tls"
  >,
  topics: ReadonlyArray<string>
): Effect.Effect<Inspection, BrokerError> =>
  Effect.scoped(Effect.gen(function*() {
    const runtime = yield* Effect.runtime<never>()
    const times = yield* Settings.timesOf(options)
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => Client.make(Settings.settingsOf(options, times, runtime))),
      (one) => one.close
    )
    // a list that is empty would mean all topics
    const { brokers, topicMetadata } = yield* client.metadata(topics.length === 0 ? ["__consumer_offsets"] : topics)
      .pipe(
        Effect.mapError(brokerError),
        Effect.timeoutFail({
          duration: times.requestTimeout,
          onTimeout: () => brokerError(new Error("it does not answer"))
        })
      )
    const there = topicMetadata.flatMap(({ topic, topicErrorCode }) => topicErrorCode === 0 ? [topic] : [])
    const configs = there.length === 0 ? [] : yield* client.configs(there).pipe(
      Effect.catchAll((error) => isConfiguration(error) ? Effect.succeed([]) : Effect.fail(brokerError(error)))
    )
    return {
      nodes: brokers.length,
      topics: topics.map((name): TopicState => {
        const found = topicMetadata.find(({ topic }) => topic === name)
        const partitions = found?.partitionMetadata ?? []
        const values = configs.find(({ topic }) => topic === name)?.values
        const number = (key: string) => {
          const value = values?.get(key)
          return value === undefined ? undefined : Number(value)
        }
        return {
          name,
          trouble: found?.topicErrorCode === 0
            ? undefined
            : ofCode(found?.topicErrorCode ?? unknownTopic, `The topic ${name}`).reason,
          partitions: partitions.length,
          leaderless: partitions.filter(({ leader }) => leader < 0).length,
          replicas: Math.max(0, ...partitions.map(({ replicas }) => replicas.length)),
          minInsyncReplicas: number("min.insync.replicas"),
          maxMessageBytes: number("max.message.bytes")
        }
      })
    }
  }))

/**
 * As {@link inspect}, with the address and the login of the program's configuration (`KafkaBroker.config`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const inspectConfig = (
  topics: ReadonlyArray<string>
): Effect.Effect<Inspection, BrokerError | ConfigError.ConfigError> =>
  Effect.flatMap(KafkaBroker.config, (options) => inspect(options, topics))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const unknownTopic = 3
