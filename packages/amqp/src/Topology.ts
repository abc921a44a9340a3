/**
 * Exchanges, queues and bindings as a value, and the names that are derived where it does not say otherwise.
 *
 * A topic is an exchange of its name. A group of consumers has for each topic a queue of its own, called
 * `${group}.${topic}`, or as the topic where the group is called so, too, as it is for dead letter topics; it is bound with
 * `#`. All of them are durable.
 *
 * @since 0.1.0
 */

/**
 * Quorum queues are replicated by RabbitMQ's nodes and count redeliveries; classic ones live on one node.
 *
 * @since 0.1.0
 * @category models
 */
export type QueueType = "quorum" | "classic"

/**
 * @since 0.1.0
 * @category models
 */
export interface Exchange {
  readonly name: string
  /** `topic`, `direct`, `fanout`, `headers` or what plugins bring. Default `topic`. */
  readonly type?: string | undefined
  /**
   * Spreads the topic over so many queues by key, `${group}.${topic}.0` and so on. A message's routing key ends then with
   * its partition, by {@link partitionOf}, and each queue is bound with `#.0` and so on. A whole number from 1, and not to be
   * changed while messages are in the queues: a key might move to another. For exchanges of the type `topic` alone.
   *
   * RabbitMQ leaves each queue with the member that came first, and gives it to the one that came next when that leaves: of
   * members that come one after the other the later ones stand by, and nothing shares the queues out anew.
   */
  readonly partitions?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Queue {
  readonly name: string
  /** Default: the `queueType` of the broker's options. */
  readonly type?: QueueType | undefined
  /** One consumer at a time gets messages. Default: what the subscription asks for, and none if there is none. */
  readonly singleActiveConsumer?: boolean | undefined
  /** The exchange to which RabbitMQ itself moves what expires or is dropped. */
  readonly deadLetterExchange?: string | undefined
  /**
   * Further arguments, as RabbitMQ knows them (`x-max-length`). With `x-delivery-limit` RabbitMQ drops a message, or moves it
   * to the dead letter exchange, once it came back so often; it is never set here, and RabbitMQ 4 sets 20 by itself.
   */
  readonly arguments?: Readonly<Record<string, string | number | boolean>> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Binding {
  readonly exchange: string
  readonly queue: string
  /** Default `#`. */
  readonly routingKey?: string | undefined
}

/**
 * What is declared when the broker connects, each time it does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Topology {
  readonly exchanges?: ReadonlyArray<Exchange> | undefined
  /** A queue of a derived name is declared as it stands here. */
  readonly queues?: ReadonlyArray<Queue> | undefined
  readonly bindings?: ReadonlyArray<Binding> | undefined
}

/**
 * The queue of a group for a topic; of a partitioned one, what its queues' names begin with.
 *
 * @example
 * ```ts
 * import { Topology } from "@effect-cqrs/amqp"
 * import * as assert from "node:assert"
 *
 * assert.strictEqual(Topology.queueOf("billing", "meetings"), "billing.meetings")
 * assert.strictEqual(Topology.queueOf("meetings.dead", "meetings.dead"), "meetings.dead")
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const queueOf = (group: string, topic: string): string => group === topic ? topic : `${group}.${topic}`

/**
 * The partition of a key: the 32-bit FNV-1a hash of its bytes in UTF-8, modulo the number of partitions. Messages without a
 * key are spread by their id.
 *
 * @example
 * ```ts
 * import { Topology } from "@effect-cqrs/amqp"
 * import * as assert from "node:assert"
 *
 * assert.strictEqual(Topology.partitionOf("blue", 4), 1)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const partitionOf = (key: string, partitions: number): number => {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0) % partitions
}
