import type { Delivery, Forwarding, Outcome } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import type { Wire } from "@effect-cqrs/core/Wire"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { IHeaders } from "kafkajs"
import { isUtf8 } from "node:buffer"
import type { Record as Received } from "./client.ts"

/** What is written to Kafka. */
export interface Outgoing {
  readonly topic: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: IHeaders
}

/** Left: why it can never be sent. */
export const encode = (wire: Wire, message: Message): Either.Either<Outgoing, string> =>
  Either.map(wire.encode(message), ({ body, contentEncoding, contentType, headers }) => ({
    topic: message.topic,
    key: message.key === undefined ? null : Buffer.from(message.key, "utf8"),
    value: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    headers: {
      ...headers,
      ...(contentType === undefined ? {} : { "content-type": contentType }),
      ...(contentEncoding === undefined ? {} : { "content-encoding": contentEncoding })
    }
  }))

/** The bytes that a record takes at least, in a batch of its own at least, and what they may become. */
export const sizeOf = ({ headers, key, value }: Outgoing): { readonly least: number; readonly most: number } => {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0)
  let count = 0
  for (const name of Object.keys(headers)) {
    const held = headers[name]
    for (const one of Array.isArray(held) ? held : [held]) {
      bytes += Buffer.byteLength(name) + (one === undefined || one === null ? 0 : Buffer.byteLength(one))
      count += 1
    }
  }
  // lengths and deltas are of variable size: one byte at least, five at most
  return { least: bytes + 7 + 2 * count, most: bytes + 27 + 10 * count }
}

/** A record batch without its records. Source: Apache Kafka, message format version 2. */
export const batchOverhead = 61

export const decode = (
  { forward, partition, record, topic, wire }: {
    readonly wire: Wire
    readonly topic: string
    readonly partition: number
    readonly record: Received
    readonly forward: (outgoing: Outgoing) => Effect.Effect<Outcome>
  }
): Delivery => {
  const { headers = {}, key, offset, value } = record
  const { message, unreadable } = wire.decodeReceived({
    topic,
    key: key === null ? undefined : key.toString("utf8"),
    place: () => `${topic}/${partition}/${offset}`,
    headers,
    textOf,
    contentType: textOf(headers["content-type"]),
    contentEncoding: textOf(headers["content-encoding"]),
    isTombstone: value === null,
    body: value === null ? new Uint8Array(0) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  })
  return {
    message,
    unreadable,
    isTombstone: value === null,
    redeliveries: 0,
    forward: (to) => Effect.suspend(() => forward(changed(record, to)))
  }
}

/** The same record for a topic, with some of its headers set or left out. */
export const changed = (record: Received, { headers, topic }: Forwarding): Outgoing => {
  const kept = Object.entries(record.headers ?? {}).filter(([name]) => !Object.hasOwn(headers, name))
    .map(([name, held]) => [name, Array.isArray(held) ? held.filter(isSent) : held] as const)
  const set = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return { topic, key: record.key, value: record.value, headers: Object.fromEntries([...kept, ...set]) }
}

/** What is in order; without a key, nothing is. */
export const laneOf = (place: string, key: Buffer | null): string | undefined =>
  key === null ? undefined : `${place}/${key.toString("latin1")}`

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** To a header that is called as a member of each object is (`constructor`), kafkajs adds this member. */
const isSent = (one: unknown): boolean => one === null || Buffer.isBuffer(one)

const replacement = "\uFFFD"

/** The last one that is text. */
const textOf = (value: IHeaders[string] | null): string | undefined => {
  if (Array.isArray(value)) {
    for (let i = value.length - 1; i >= 0; i--) {
      const text = textOf(value[i])
      if (text !== undefined) return text
    }
    return undefined
  }
  if (value === undefined || value === null) return undefined
  if (typeof value === "string") return value
  const text = value.toString("utf8")
  return text.includes(replacement) && !isUtf8(value) ? undefined : text
}
