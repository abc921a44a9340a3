import type { Message } from "@effect-cqrs/core/Message"
import type * as Wire from "@effect-cqrs/core/Wire"
import type { Message as Received, MessageProperties, Options } from "amqplib"
import * as Either from "effect/Either"
import { createHash } from "node:crypto"

/** A message as it is published: mandatory and persistent. */
export interface Packet {
  readonly content: Buffer
  readonly properties: Properties
}

export type Properties = Pick<Options.Publish, typeof kept[number] | "headers">

/** Either prefix is read; the one of CloudEvents' AMQP binding that is safe in every client is written. */
export const prefixes = ["cloudEvents_", "cloudEvents:"] as const

/** Left: why it can never be sent. */
export const encode = (wire: Wire.Wire, message: Message): Either.Either<Packet, string> =>
  Either.flatMap(wire.encode(message), ({ body, contentEncoding, contentType, headers }) => {
    if (headers.CC !== undefined || headers.BCC !== undefined) {
      return Either.left("The headers CC and BCC are RabbitMQ's own, and say where a message goes: name it otherwise")
    }
    const properties: Properties = { headers, timestamp: Math.max(0, Math.floor(message.time / 1000) || 0) }
    if (contentType !== undefined) properties.contentType = contentType
    if (contentEncoding !== undefined) properties.contentEncoding = contentEncoding
    // they are for people and tools, and have 255 bytes; what is read is in the headers or the body
    if (fits(message.id)) properties.messageId = message.id
    if (fits(message.name)) properties.type = message.name
    if (fits(message.correlationId)) properties.correlationId = message.correlationId
    return Either.right({ content: bufferOf(body), properties })
  })

/** In terms of the port. Headers that are numbers or truth values are read as text; those that are more are left out. */
export const incoming = (topic: string, { content, properties }: Received): Wire.Received<unknown> => {
  const headers: Readonly<Record<string, unknown>> = properties.headers ?? {}
  return {
    topic,
    // AMQP has no other place for it, so that also what is otherwise in no known form has its order
    key: headerOf(headers, `${prefixes[0]}partitionkey`) ?? headerOf(headers, `${prefixes[1]}partitionkey`),
    headers,
    textOf: textOfHeader,
    contentType: textOf(properties.contentType),
    contentEncoding: textOf(properties.contentEncoding),
    body: content,
    isTombstone: false,
    place: () => placeOf(content, properties)
  }
}

/** How often it came back, as far as RabbitMQ says: quorum queues count, classic ones know only whether. */
export const redeliveries = ({ fields, properties }: Received): number => {
  const count: unknown = properties.headers?.["x-delivery-count"]
  return typeof count === "number" ? Math.max(count, fields.redelivered ? 1 : 0) : fields.redelivered ? 1 : 0
}

/**
 * As it came, with other headers. Left out are `x-delivery-count`, which is the queue's own; the user, which RabbitMQ takes
 * from nobody but that user; and the expiration, after which it would be lost where it is forwarded to.
 */
export const forwarded = (
  { content, properties: received }: Received,
  changes: Readonly<Record<string, string | undefined>>
): Packet => {
  const table: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(received.headers ?? {})) {
    if (!added.has(name)) define(table, name, encodable(value))
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete table[name]
    else define(table, name, value)
  }
  const properties: Record<string, unknown> = { headers: table }
  for (const name of kept) if (received[name] !== undefined) properties[name] = received[name]
  return { content, properties }
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const added: ReadonlySet<string> = new Set(["x-delivery-count"])

const kept = [
  "contentType",
  "contentEncoding",
  "priority",
  "correlationId",
  "replyTo",
  "messageId",
  "timestamp",
  "type",
  "appId"
] as const satisfies ReadonlyArray<keyof MessageProperties>

/** Whether it is a short text of AMQP. */
export const fits = (text: string): boolean => text.length < 86 || Buffer.byteLength(text) < 256

const textOfHeader = (value: unknown, name: string): string | undefined =>
  typeof value === "string"
    ? value
    : (typeof value === "number" || typeof value === "boolean") && !added.has(name)
    ? String(value)
    : undefined

const headerOf = (headers: Readonly<Record<string, unknown>>, name: string): string | undefined =>
  textOfHeader(headers[name], name)

const textOf = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const define = (table: Record<string, unknown>, name: string, value: unknown): void => {
  Object.defineProperty(table, name, { value, enumerable: true, writable: true, configurable: true })
}

/**
 * What amqplib decoded, such that it encodes the same again: it takes a table with a field called "!" for a value of its own
 * notation, unless the fields are inherited.
 */
const encodable = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return value
  if (Array.isArray(value)) return value.map(encodable)
  const table = value as Readonly<Record<string, unknown>>
  if (table["!"] === "timestamp" || table["!"] === "decimal") return value
  return Object.create(Object.fromEntries(Object.entries(table).map(([name, one]) => [name, encodable(one)])))
}

/** RabbitMQ has no offsets: what it is made of says which it is. */
const placeOf = (content: Buffer, properties: MessageProperties): string => {
  const known = textOf(properties.messageId)
  if (known !== undefined && known !== "") return known
  const hash = createHash("sha256").update(content)
  for (const name of kept) hash.update(`\0${String(properties[name] ?? "")}`)
  for (const [name, value] of Object.entries(properties.headers ?? {})) {
    // RabbitMQ's own change from one delivery to the next
    if (!name.startsWith("x-")) hash.update(`\0${name}\0${JSON.stringify(value)}`)
  }
  return hash.digest("base64url")
}
