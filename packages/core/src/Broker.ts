/**
 * The port to message brokers: publish a batch and learn the fate of each message; consume with the scope as the
 * acknowledgement.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { makeMemory, type MemoryOptions } from "./internal/memoryBroker.ts"
import type { Message } from "./Message.ts"

/**
 * What became of a published message.
 *
 * - `Delivered`: the broker has it, and has said so (all in-sync replicas; a publisher confirm).
 * - `Retriable`: the broker (`broker`: all of it; `destination`: this topic; `part`: the part of this topic that its key
 *   belongs to, as one partition) could not take it, or nobody knows whether it did. Not the message's fault: it is tried
 *   again until it succeeds, and this counts as no attempt.
 * - `Rejected`: the broker has judged this message itself: it is too large, it is malformed.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = Data.TaggedEnum<{
  Delivered: {}
  Retriable: { readonly scope: "broker" | "destination" | "part"; readonly reason: string }
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
 * How consumers of one group that share a topic keep the order of its keys, where the broker does not do so by itself
 * (RabbitMQ does not; Kafka's partitions and the memory broker do, and ignore this).
 *
 * - `single-active-consumer`: one member at a time gets messages; another takes over when it leaves.
 * - `partitioned`: the topic is spread over queues by key, as its topology says, each with one active member at a time.
 * - `none`: no order is promised between members. Each of them still handles one message of a key at a time.
 *
 * @since 0.1.0
 * @category models
 */
export type Ordering = "single-active-consumer" | "partitioned" | "none"

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
  /** Default `single-active-consumer`. */
  readonly ordering?: Ordering | undefined
  /**
   * How many messages this member holds that are not settled, waiting or out, before it asks the broker for no more. A
   * whole number from 1; default 256.
   */
  readonly window?: number | undefined
  /** Topics that this consumer publishes to: what cannot be published to is an error when it joins, by name. */
  readonly publishesTo?: ReadonlyArray<string> | undefined
}

/**
 * A message taken from a broker.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery {
  readonly message: Message
  /**
   * Why this is no message in a form that is known here, as a sentence. `message` has then its topic and key, its headers
   * as far as they are text, and its bytes; the rest is made up. `undefined` for messages that can be read.
   */
  readonly unreadable: string | undefined
  /** It came without a body, which is not the same as an empty one: in a compacted topic its key is deleted. */
  readonly isTombstone: boolean
  /** How often it was handed out before, as far as the broker knows; 0 the first time. */
  readonly redeliveries: number
  /**
   * Where it came from, and since when: an object for each partition, from when this member got it, or for each channel.
   * What comes first from one may be what another process has died of. What is no object tells nothing apart.
   */
  readonly origin?: unknown
  /**
   * Publishes it once more as it came, body, key, and headers byte for byte whether they can be read or not, and answers
   * as {@link Broker} does for one message. It does not settle it.
   */
  readonly forward: (to: Forwarding) => Effect.Effect<Outcome>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Forwarding {
  readonly topic: string
  /** Headers to set, or with `undefined` to remove. */
  readonly headers: Readonly<Record<string, string | undefined>>
}

/**
 * One of several messages that were taken together.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held extends Delivery {
  /**
   * Settles this one by itself and at once: how the scope closes that it was taken in has no say in it any more. The
   * others of its key stay out until all that were taken of the key are settled or given back.
   */
  readonly settle: Effect.Effect<void>
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

  /**
   * Takes what is there, from one message up to a limit, waiting for the first: several of a key in their order, and none
   * of a key of which others are out. Those that are not settled one by one are settled, or given back, together.
   */
  readonly takeMany: (limit: number) => Effect.Effect<ReadonlyArray<Held>, BrokerError, Scope.Scope>
}

/**
 * A message broker. An adapter sees bytes and headers, and never a schema.
 *
 * @since 0.1.0
 * @category tags
 */
export class Broker extends Context.Tag("@effect-cqrs/core/Broker")<Broker, {
  /** What it is called in traces (OpenTelemetry's `messaging.system`): `kafka`, `rabbitmq`. */
  readonly system?: string | undefined

  /**
   * Publishes messages, and answers with as many outcomes in the same order. It never fails as a whole: what goes wrong
   * is an outcome. If a message is not delivered, no later one of the same topic and key in the batch is published
   * before it: those are `Retriable`. Interrupted, any of them may have been delivered.
   */
  readonly publish: (batch: ReadonlyArray<Message>) => Effect.Effect<ReadonlyArray<Outcome>>

  /** Joins a group. Closing the scope leaves it; messages still out then are handed to another member. */
  readonly consume: (subscription: Subscription) => Effect.Effect<Source, BrokerError, Scope.Scope>

  /**
   * Goes once through what waits in a topic for a group at the time of the call, and asks of each message what is to
   * become of it: `settled`, it is gone; `kept`, it stays. What consumers of the group hold meanwhile is left out, or, as
   * Kafka has it, makes this fail with `Unavailable`. Answers how many were settled.
   *
   * Interrupted or failed, what was settled so far is settled; a message that was decided about may come again. A broker
   * that keeps no place for a single message (Kafka) moves those that are kept behind the others.
   */
  readonly sift: <E, R>(
    queue: { readonly topic: string; readonly group: string },
    decide: (delivery: Delivery) => Effect.Effect<"settled" | "kept", E, R>
  ) => Effect.Effect<number, BrokerError | E, R>

  /**
   * Succeeds if the broker can be reached, as far as is known without publishing: an adapter that keeps a connection
   * looks whether it has one, another asks. For health checks; nothing else rests on it. An adapter may leave it out.
   */
  readonly check?: Effect.Effect<void, BrokerError> | undefined
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
  Layer.scoped(Broker, makeMemory(options))

/**
 * The broker with a text put before the name of each topic and group, and taken off what is received: programs, or runs of
 * one, that share a broker and shall not meet. The adapter's topology is beneath it, and names topics in full.
 *
 * @example
 * ```ts
 * import { Broker } from "@effect-cqrs/core"
 * import { Layer } from "effect"
 *
 * export const Staging = Broker.layerPrefix("staging.").pipe(Layer.provide(Broker.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPrefix = (prefix: string): Layer.Layer<Broker, never, Broker> =>
  Layer.effect(
    Broker,
    Effect.map(Broker, (broker) => {
      const full = (name: string): string => prefix + name
      const own = <D extends Delivery>(delivery: D): D => ({
        ...delivery,
        message: {
          ...delivery.message,
          topic: delivery.message.topic.startsWith(prefix)
            ? delivery.message.topic.slice(prefix.length)
            : delivery.message.topic
        },
        forward: (to) => delivery.forward({ ...to, topic: full(to.topic) })
      })
      return Broker.of({
        ...broker,
        publish: (batch) => broker.publish(batch.map((message) => ({ ...message, topic: full(message.topic) }))),
        consume: (subscription) =>
          Effect.map(
            broker.consume({
              ...subscription,
              group: full(subscription.group),
              topics: subscription.topics.map(full),
              publishesTo: subscription.publishesTo?.map(full)
            }),
            ({ take, takeMany }) => ({
              take: Effect.map(take, own),
              takeMany: (limit) => Effect.map(takeMany(limit), (deliveries) => deliveries.map(own))
            })
          ),
        sift: ({ group, topic }, decide) =>
          broker.sift({ group: full(group), topic: full(topic) }, (delivery) => decide(own(delivery))),
        check: broker.check
      })
    })
  )
