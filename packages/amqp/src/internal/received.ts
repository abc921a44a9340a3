import type { Delivery } from "@effect-cqrs/core/Broker"
import * as Wire from "@effect-cqrs/core/Wire"
import type { Message as Received } from "amqplib"
import * as Either from "effect/Either"
import { incoming, prefixes, redeliveries } from "./packet.ts"
import type { Publisher } from "./publisher.ts"

/** What was received from the queue of a topic, in terms of the port. */
export const deliveryOf = (
  wire: Wire.Wire,
  publisher: Publisher,
  topic: string,
  received: Received
): Delivery => {
  const packet = incoming(topic, received)
  const decoded = Either.getOrElse(
    Either.try(() => wire.decodeReceived(packet)),
    (): Wire.Decoded => ({
      message: plain.decodeReceived(packet).message,
      unreadable: "The reader of its topic has thrown"
    })
  )
  return {
    message: decoded.message,
    unreadable: decoded.unreadable,
    isTombstone: false,
    redeliveries: redeliveries(received),
    forward: (to) => publisher.forward(decoded.message, received, to)
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const plain = Wire.make(prefixes)
