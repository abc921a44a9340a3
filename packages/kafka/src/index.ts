/**
 * What Kafka has of some topics, for those who look after it.
 *
 * @since 0.1.0
 */
export * as Inspection from "./Inspection.ts"

/**
 * Apache Kafka as the broker.
 *
 * @since 0.1.0
 */
export * as KafkaBroker from "./KafkaBroker.ts"

/**
 * What must exist in Kafka: topics.
 *
 * @since 0.1.0
 */
export * as Topology from "./Topology.ts"
