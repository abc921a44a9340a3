/**
 * Messages as the adapters write them, so that the raw client sends the same bytes.
 */
import type { Message } from "@effect-cqrs/core/Message"
import * as Wire from "@effect-cqrs/core/Wire"
import * as Either from "effect/Either"

export const packetOf = (prefix: string, message: Message): Wire.Packet =>
  Either.getOrThrow(Wire.make([prefix]).encode(message))
