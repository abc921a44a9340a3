/**
 * RabbitMQ as the broker, over amqplib.
 *
 * @since 0.1.0
 */
export * as AmqpBroker from "./AmqpBroker.ts"

/**
 * What RabbitMQ has of some exchanges, for those who look after it.
 *
 * @since 0.1.0
 */
export * as Inspection from "./Inspection.ts"

/**
 * Exchanges, queues and bindings as a value, and the names that are derived where it does not say otherwise.
 *
 * A topic is an exchange of its name. A group of consumers has for each topic a queue of its own, called
 * `${group}.${topic}`, or as the topic where the group is called so, too, as it is for dead letter topics; it is bound with
 * `#`. All of them are durable.
 *
 * @since 0.1.0
 */
export * as Topology from "./Topology.ts"
