import { BrokerError, type Ordering } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Binding, type Exchange, type Queue, queueOf, type QueueType, type Topology } from "../Topology.ts"
import { detailsOf, ofChannel } from "./classification.ts"
import type { Channel, Connection, QueueState } from "./client.ts"
import { brokerError } from "./link.ts"

export interface Declaring {
  readonly topology: Topology
  /** Or else it is only looked whether it is there. */
  readonly declare: boolean
  readonly queueType: QueueType
}

/** A queue of a group, and what binds it. */
export interface Derived {
  readonly topic: string
  readonly queue: Queue
  readonly routingKey: string
}

/** Does what the topology says. */
export const topology = (connection: Connection, options: Declaring): Effect.Effect<void, BrokerError> =>
  Effect.scoped(Effect.flatMap(open(connection), (channel) =>
    Effect.gen(function*() {
      const { bindings = [], exchanges = [], queues = [] } = options.topology
      for (const exchange of exchanges) yield* declareExchange(channel, exchange, options)
      for (const queue of queues) yield* declareQueue(channel, queue, options)
      if (options.declare) { for (const binding of bindings) yield* bind(channel, binding) }
    })))

/** The queues that a group has for a topic. */
export const derive = (
  { topology }: Declaring,
  topic: string,
  group: string,
  ordering: Ordering
): Effect.Effect<ReadonlyArray<Derived>, BrokerError> => {
  const partitions = exchangeOf(topology, topic).partitions
  const named = (name: string, routingKey: string): Derived => {
    const given = topology.queues?.find((queue) => queue.name === name)
    const singleActiveConsumer = given?.singleActiveConsumer ?? ordering !== "none"
    return { topic, routingKey, queue: { ...given, name, singleActiveConsumer } }
  }
  const name = queueOf(group, topic)
  if (ordering !== "partitioned") return Effect.succeed([named(name, "#")])
  return partitions === undefined
    ? misconfigured(
      `The topic ${topic} is consumed by partition, but its exchange has no \`partitions\`: give them in the topology`
    )
    : Effect.succeed(Array.from({ length: partitions }, (_, n) => named(`${name}.${n}`, `#.${n}`)))
}

/**
 * Sees to it that a group's queue is there and bound, and answers what is in it. A queue that exists with other arguments is
 * an error, unless it is only to be published to.
 */
export const ensure = (
  connection: Connection,
  derived: Derived,
  options: Declaring & { readonly asItIs: boolean }
): Effect.Effect<QueueState, BrokerError> => {
  const { queue, routingKey, topic } = derived
  const on = <A>(use: (channel: Channel) => Effect.Effect<A, BrokerError>) =>
    Effect.scoped(Effect.flatMap(open(connection), use))
  if (!options.declare) return on((channel) => declareQueue(channel, queue, options))
  const bindings = options.topology.bindings?.filter((one) => one.queue === queue.name && one.exchange === topic) ?? []
  const exchange = exchangeOf(options.topology, topic)
  const isBoundByAll = exchange.type === undefined || exchange.type === "topic" || exchange.type === "fanout"
  if (bindings.length === 0 && !isBoundByAll) {
    return misconfigured(
      `The queue ${queue.name} cannot be bound to the exchange ${topic} of the type ${exchange.type} without saying how: ` +
        "give the binding in the topology"
    )
  }
  const declared = on((channel) => declareQueue(channel, queue, options))
  return Effect.zipRight(
    on((channel) => declareExchange(channel, exchange, options)),
    Effect.tap(
      options.asItIs
        ? Effect.catchIf(
          declared,
          isConflict,
          () => on((channel) => declareQueue(channel, queue, { ...options, declare: false }))
        )
        : declared,
      on((channel) =>
        Effect.forEach(
          bindings.length > 0 ? bindings : [{ exchange: topic, queue: queue.name, routingKey }],
          (binding) => bind(channel, binding),
          { discard: true }
        )
      )
    )
  )
}

/** Sees to it that what is published to a topic gets somewhere. */
export const ensurePublishable = (
  connection: Connection,
  topic: string,
  options: Declaring
): Effect.Effect<void, BrokerError> => {
  const exchange = exchangeOf(options.topology, topic)
  const hasBinding = options.topology.bindings?.some((one) => one.exchange === topic) === true
  if (!options.declare || hasBinding) {
    return Effect.scoped(Effect.flatMap(open(connection), (channel) => declareExchange(channel, exchange, options)))
  }
  const ordering = exchange.partitions === undefined ? "single-active-consumer" : "partitioned"
  return Effect.flatMap(
    derive(options, topic, topic, ordering),
    Effect.forEach((derived) => ensure(connection, derived, { ...options, asItIs: true }), { discard: true })
  )
}

/** A channel that goes with the scope, for a few requests. */
export const open = (
  connection: Connection,
  closed: (error: unknown) => void = () => {}
): Effect.Effect<Channel, BrokerError, Scope.Scope> =>
  Effect.acquireRelease(
    request("A channel", () => connection.channel({ closed })),
    close
  )

export const close = (channel: Channel): Effect.Effect<void> =>
  Effect.ignore(Effect.timeout(Effect.tryPromise(() => channel.close()), "2 seconds"))

export const request = <A>(where: string, ask: () => Promise<A>): Effect.Effect<A, BrokerError> =>
  Effect.tryPromise({
    try: ask,
    catch: (error) => {
      const judged = ofChannel(error, where)
      return brokerError(
        detailsOf(error).message.includes(inequivalent)
          ? { ...judged, reason: `${judged.reason}: describe it in the topology as it is, or delete it` }
          : judged
      )
    }
  })

export const misconfigured = (message: string): Effect.Effect<never, BrokerError> =>
  Effect.fail(new BrokerError({ reason: "Configuration", message }))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const inequivalent = "inequivalent arg"

const isConflict = (error: BrokerError): boolean => error.message.includes(inequivalent)

const exchangeOf = (topology: Topology, topic: string): Exchange =>
  topology.exchanges?.find(({ name }) => name === topic) ?? { name: topic }

const declareExchange = (channel: Channel, { name, type }: Exchange, { declare }: Declaring) =>
  request(
    `The exchange ${name}`,
    () => declare ? channel.assertExchange(name, type ?? "topic") : channel.checkExchange(name)
  )

const declareQueue = (channel: Channel, queue: Queue, { declare, queueType }: Declaring) =>
  request(
    `The queue ${queue.name}`,
    () => declare ? channel.assertQueue(queue.name, argumentsOf(queue, queueType)) : channel.checkQueue(queue.name)
  )

const bind = (channel: Channel, { exchange, queue, routingKey }: Binding) =>
  request(
    `The binding of the queue ${queue} to the exchange ${exchange}`,
    () => channel.bindQueue(queue, exchange, routingKey ?? "#")
  )

const argumentsOf = (queue: Queue, queueType: QueueType): Record<string, unknown> => {
  const result: Record<string, unknown> = { "x-queue-type": queue.type ?? queueType }
  if (queue.singleActiveConsumer === true) result["x-single-active-consumer"] = true
  if (queue.deadLetterExchange !== undefined) result["x-dead-letter-exchange"] = queue.deadLetterExchange
  return { ...result, ...queue.arguments }
}
