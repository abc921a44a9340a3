/**
 * A message on the wire: an event as bytes, with what brokers, relays and consumers in any language need to know.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * An encoded event. Relays and brokers pass it on as it is; nobody on the way decodes its payload.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  /** Unique. A redelivered message has the same id. */
  readonly id: string
  /** The event's name. */
  readonly name: string
  readonly kind: "notification" | "ecst"
  /** The version of the payload's schema. */
  readonly version: number
  readonly topic: string
  /** Messages of one topic and key are in order; without a key there is none. */
  readonly key: string | undefined
  /** Which program it comes from, as a URI reference. Source and id together are unique in the world. */
  readonly source: string
  /** When it was made, in milliseconds since 1970, by its maker's clock. */
  readonly time: number
  readonly correlationId: string
  readonly causationId: string | undefined
  /** The W3C trace context of what made it. */
  readonly traceparent: string | undefined
  /** Its place in the outbox it came from: grows along a key. Not known before it is stored. */
  readonly sequence: bigint | undefined
  /** The media type of the payload, before compression. */
  readonly contentType: string
  /** How the payload is compressed: `identity`, `gzip`, `zlib`, `brotli`, or another that both sides know. */
  readonly contentEncoding: string
  /** Headers of the application's own. */
  readonly headers: Readonly<Record<string, string>>
  readonly payload: Uint8Array
}

/**
 * The message whose event a handler handles: for its id, its sequence, its headers. Handlers of notification and ECST
 * events may ask for it; it is not a requirement of their layer.
 *
 * @since 0.1.0
 * @category tags
 */
export class Received extends Context.Tag("@effect-cqrs/core/Message/Received")<Received, Message>() {}

/**
 * A message that lacks an attribute, or has one that cannot be.
 *
 * @since 0.1.0
 * @category errors
 */
export class MessageError extends Schema.TaggedError<MessageError>("@effect-cqrs/core/MessageError")("MessageError", {
  reason: Schema.Literal("Malformed"),
  message: Schema.String
}) {}

/**
 * All there is to know of a message but its topic, headers and payload, as text by the names of CloudEvents 1.0 (its
 * `partitioning` and `sequence` extensions among them). Adapters put these into their protocol's headers; storage keeps
 * them.
 *
 * @since 0.1.0
 * @category combinators
 */
export const attributes = (message: Message): Record<string, string> => {
  const result: Record<string, string> = {
    specversion: "1.0",
    id: message.id,
    source: message.source,
    type: message.name,
    time: new Date(message.time).toISOString(),
    datacontenttype: message.contentType,
    eventkind: message.kind,
    schemaversion: String(message.version),
    correlationid: message.correlationId
  }
  if (message.contentEncoding !== "identity") result.contentencoding = message.contentEncoding
  if (message.key !== undefined) result.partitionkey = message.key
  if (message.causationId !== undefined) result.causationid = message.causationId
  if (message.traceparent !== undefined) result.traceparent = message.traceparent
  if (message.sequence !== undefined) result.sequence = String(message.sequence)
  return result
}

/**
 * The inverse of `attributes`. Attributes that a foreign sender may have left out get what CloudEvents or common
 * sense gives them: content type JSON, version 1, kind notification, correlation with itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromAttributes = (
  attributes: Readonly<Record<string, string | undefined>>,
  rest: Pick<Message, "topic" | "headers" | "payload">
): Either.Either<Message, MessageError> => {
  const { id, source, time, type } = attributes
  if (id === undefined || id === "") return malformed("id is missing")
  if (type === undefined || type === "") return malformed("type is missing")
  const millis = time === undefined ? 0 : Date.parse(time)
  if (Number.isNaN(millis)) return malformed("time is not a timestamp of RFC 3339")
  const version = attributes.schemaversion === undefined ? 1 : Number(attributes.schemaversion)
  if (!Number.isSafeInteger(version) || version < 1) return malformed("schemaversion is not a whole number from 1")
  const sequence = attributes.sequence
  if (sequence !== undefined && !/^\d{1,20}$/.test(sequence)) return malformed("sequence is not a whole number")
  const kind = attributes.eventkind ?? "notification"
  if (kind !== "notification" && kind !== "ecst") return malformed("eventkind is neither notification nor ecst")
  return Either.right({
    id,
    name: type,
    kind,
    version,
    topic: rest.topic,
    key: attributes.partitionkey,
    source: source ?? "",
    time: millis,
    correlationId: attributes.correlationid ?? id,
    causationId: attributes.causationid,
    traceparent: attributes.traceparent,
    sequence: sequence === undefined ? undefined : BigInt(sequence),
    contentType: attributes.datacontenttype ?? "application/json",
    contentEncoding: attributes.contentencoding ?? "identity",
    headers: rest.headers,
    payload: rest.payload
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const malformed = (what: string) =>
  Either.left(new MessageError({ reason: "Malformed", message: `Not a message of this toolkit: ${what}` }))
