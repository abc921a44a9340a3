/**
 * Apache Kafka as the broker.
 *
 * @since 0.1.0
 */
export * as KafkaBroker from "./KafkaBroker.ts"

/**
 * What can be measured of consumers.
 *
 * @since 0.1.0
 */
export * as Metrics from "./Metrics.ts"

/**
 * What must exist in Kafka: topics.
 *
 * @since 0.1.0
 */
export * as Topology from "./Topology.ts"
