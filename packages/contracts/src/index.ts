/**
 * A contract as an AsyncAPI 3.0 document, for a broker: what other tools render, generate code from and validate with.
 *
 * Sources: AsyncAPI 3.0.0; the Kafka binding 0.5.0 and the AMQP binding 0.3.0 of asyncapi/bindings; CloudEvents 1.0.2 with its
 * Kafka and AMQP protocol bindings.
 *
 * @since 0.1.0
 */
export * as AsyncApi from "./AsyncApi.ts"

/**
 * What a change of a contract breaks: for those who read what is announced, and for what was announced before.
 *
 * @since 0.1.0
 */
export * as Compatibility from "./Compatibility.ts"

/**
 * What a program promises to others: the events that it announces and reads, its requests, and what leads to what.
 *
 * @since 0.1.0
 */
export * as Contract from "./Contract.ts"

/**
 * What leads to what: from commands over events and topics to consumers, as a diagram or as text.
 *
 * @since 0.1.0
 */
export * as Flow from "./Flow.ts"

/**
 * A contract as one JSON document: the schemas of all payloads, with topics, keys and versions. It is what is kept beside
 * the code and compared with.
 *
 * @since 0.1.0
 */
export * as JsonSchemas from "./JsonSchemas.ts"
