/**
 * What must exist in Kafka: topics.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export interface Topic {
  readonly name: string
  /** A whole number from 1. A topic that has another number of them is a conflict: it would move keys. */
  readonly partitions: number
  /** For making it. Default: what the brokers have as theirs. */
  readonly replicationFactor?: number | undefined
  /** For making it: as `{ "min.insync.replicas": "2" }`. */
  readonly config?: Readonly<Record<string, string>> | undefined
}

/**
 * Topics that are looked for when the broker is made. One that is missing, or has another number of partitions, is a
 * `BrokerError` that names it; if Kafka cannot be reached then, this is seen to as soon as it can, and logged.
 *
 * @since 0.1.0
 * @category models
 */
export interface Topology {
  readonly topics: ReadonlyArray<Topic>
  /** Makes those that are missing. Default: false. Nothing else makes topics. */
  readonly create?: boolean | undefined
}
