import type { Forwarding, Outcome } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import type * as Wire from "@effect-cqrs/core/Wire"
import type { Message as Received } from "amqplib"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Topology } from "../Topology.ts"
import { Batch, type Item } from "./batch.ts"
import { Destination } from "./destination.ts"
import type { Link } from "./link.ts"
import { encode, forwarded, type Packet } from "./packet.ts"
import * as Routing from "./routing.ts"

export interface PublisherOptions {
  readonly wire: Wire.Wire
  readonly topology: Topology
  readonly route: ((message: Message) => Routing.Route | undefined) | undefined
  readonly isPipelined: (topic: string) => boolean
  readonly maxMessageBytes: number
}

export interface Publisher {
  readonly publish: (batch: ReadonlyArray<Message>) => Effect.Effect<ReadonlyArray<Outcome>>
  readonly forward: (message: Message, received: Received, to: Forwarding) => Effect.Effect<Outcome>
  /** Answers all that is on its way. */
  readonly fail: (outcome: Outcome) => void
  /** Called at regular times: for how many of them some channel has been owed an answer. */
  readonly watch: () => number
}

export const make = (link: Link, options: PublisherOptions): Publisher => {
  const destinations = new Map<string, Destination>()
  const routeOf = Routing.make(options.topology, options.route)

  const destinationOf = (exchange: string): Destination => {
    const known = destinations.get(exchange)
    if (known !== undefined) return known
    const destination = new Destination(exchange, link)
    destinations.set(exchange, destination)
    return destination
  }

  /** A route of the user's own may throw, as a codec of a header may. */
  const prepared = (message: Message): Either.Either<{ to: Routing.Route; packet: Packet }, string> =>
    Either.flatMap(encode(options.wire, message), (packet) => {
      const tooLarge = checkSize(packet)
      if (tooLarge !== undefined) return Either.left(tooLarge)
      return options.route === undefined ? Either.right({ to: routeOf(message), packet }) : Either.try({
        try: () => ({ to: routeOf(message), packet }),
        catch: () => "The option `route` has thrown: it must answer for every message"
      })
    })

  const checkSize = ({ content }: Packet): string | undefined =>
    content.length <= options.maxMessageBytes
      ? undefined
      : `Its body has ${content.length} bytes, and maxMessageBytes allows ${options.maxMessageBytes}`

  const send = (batch: Batch, item: Item): void => {
    const ready = prepared(item.message)
    if (Either.isLeft(ready)) return batch.settled(item, { _tag: "Rejected", reason: ready.left })
    const { packet, to } = ready.right
    destinationOf(to.exchange).send({
      exchange: to.exchange,
      routingKey: to.routingKey,
      packet,
      isGivenUp: batch.isGivenUp,
      settle: (outcome) => batch.settled(item, outcome)
    })
  }

  /** With its own routing key, so that one that was brought here by a binding is brought back by it. */
  const forwardRoute = (message: Message, received: Received, topic: string): Routing.Route =>
    options.route !== undefined || Routing.partitionsOf(options.topology, topic) !== undefined
      ? routeOf({ ...message, topic })
      : { exchange: topic, routingKey: received.fields.routingKey }

  return {
    publish: (messages) =>
      messages.length === 0 ? Effect.succeed([]) : Effect.async((resume) => {
        const batch = new Batch(messages, options.isPipelined, send, (outcomes) => resume(Effect.succeed(outcomes)))
        batch.start()
        return Effect.sync(batch.giveUp)
      }),
    forward: (message, received, to) =>
      Effect.async((resume) => {
        let isGivenUp = false
        const packet = forwarded(received, to.headers)
        const tooLarge = checkSize(packet)
        if (tooLarge !== undefined) return resume(Effect.succeed({ _tag: "Rejected", reason: tooLarge }))
        const { exchange, routingKey } = forwardRoute(message, received, to.topic)
        destinationOf(exchange).send({
          exchange,
          routingKey,
          packet,
          isGivenUp: () => isGivenUp,
          settle: (outcome) => resume(Effect.succeed(outcome))
        })
        return Effect.sync(() => {
          isGivenUp = true
        })
      }),
    fail: (outcome) => {
      for (const destination of destinations.values()) destination.fail(outcome)
    },
    watch: () => {
      let longest = 0
      for (const destination of destinations.values()) longest = Math.max(longest, destination.watch())
      return longest
    }
  }
}
