/**
 * The port to message brokers: publish a batch and learn the fate of each message; consume with the scope as the
 * acknowledgement.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { makeMemory, type MemoryOptions } from "./internal/memoryBroker.ts"
import type { Message } from "./Message.ts"

/**
 * What became of a published message.
 *
 * - `Delivered`: the broker has it, and has said so (all in-sync replicas; a publisher confirm).
 * - `Retriable`: the broker (`broker`: all of it; `destination`: this topic) could not take it, or nobody knows whether
 *   it did. Not the message's fault: it is tried again until it succeeds, and this counts as no attempt.
 * - `Rejected`: the broker has judged this message itself: it is too large, it is malformed.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = Data.TaggedEnum<{
  Delivered: {}
  Retriable: { readonly scope: "broker" | "destination"; readonly reason: string }
  Rejected: { readonly reason: string }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const Outcome = Data.taggedEnum<Outcome>()

/**
 * - `Unavailable`: the broker cannot be reached, and is being reconnected to.
 * - `Configuration`: what was asked for cannot be: an unknown topic, a missing permission, an invalid option.
 *
 * @since 0.1.0
 * @category errors
 */
export class BrokerError extends Schema.TaggedError<BrokerError>("@effect-cqrs/core/BrokerError")("BrokerError", {
  reason: Schema.Literal("Unavailable", "Configuration"),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/**
 * What a group of consumers wants.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subscription {
  readonly topics: ReadonlyArray<string>
  /** Consumers of one group share the messages; each group gets all of them. */
  readonly group: string
}

/**
 * A message taken from a broker.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery {
  readonly message: Message
  /** How often it was handed out before, as far as the broker knows; 0 the first time. */
  readonly redeliveries: number
}

/**
 * Messages of one subscription.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  /**
   * Takes the next message, waiting for one. Its scope is its acknowledgement: closed with a success it is settled;
   * closed with a failure or an interruption it will be handed out again, before any later one of its key.
   *
   * May be called by several fibers: at most one unsettled message of a topic and key is out at a time, so that a key is
   * handled in order whatever the concurrency. Interrupting a waiting `take` loses nothing.
   */
  readonly take: Effect.Effect<Delivery, BrokerError, Scope.Scope>
}

/**
 * A message broker. An adapter sees bytes and headers, and never a schema.
 *
 * @since 0.1.0
 * @category tags
 */
export class Broker extends Context.Tag("@effect-cqrs/core/Broker")<Broker, {
  /**
   * Publishes messages, and answers with as many outcomes in the same order. It never fails as a whole: what goes wrong
   * is an outcome. If a message is not delivered, no later one of the same topic and key in the batch is published
   * before it: those are `Retriable`. Interrupted, any of them may have been delivered.
   */
  readonly publish: (batch: ReadonlyArray<Message>) => Effect.Effect<ReadonlyArray<Outcome>>

  /** Joins a group. Closing the scope leaves it; messages still out then are handed to another member. */
  readonly consume: (subscription: Subscription) => Effect.Effect<Source, BrokerError, Scope.Scope>
}>() {}

/**
 * A broker inside this process, which forgets everything with it. For programs of one process, tests and examples.
 *
 * **What it has acknowledged dies with the process**, even if the outbox it came from is durable: the relay removes an
 * event once the broker has it.
 *
 * Each group keeps what it has not settled, up to `capacity` messages; beyond that `publish` answers `Retriable`, which
 * holds the outbox back. What is published to a topic that nobody has subscribed to is kept, too, up to `capacity`
 * messages for each such topic, and goes to the first group that subscribes; beyond that, `publish` answers `Retriable`
 * for this topic. That goes for dead letter topics as well. Groups that subscribe later get what is published after that.
 *
 * A `capacity` that is not a whole number from 1 is a defect when the layer is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (options?: MemoryOptions | undefined): Layer.Layer<Broker> =>
  Layer.effect(Broker, makeMemory(options))
