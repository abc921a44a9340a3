/**
 * Events as the Python library `python-cqrs` writes and reads them, for fleets of both.
 *
 * Its record is one JSON object without headers: `event_id` (a UUID), `event_name`, `event_timestamp` (ISO 8601 without a
 * time zone), `payload`, and since 1.0 `topic`. From 1.0 on the record is the body of a broker's message. Before that, 0.0.2 to
 * 0.2 sent an envelope to Kafka and RabbitMQ alike, with `message_type` (`notification_event` or `ecst_event`),
 * `message_name`, `message_id`, and the record as its `payload`. Events that are dataclasses, which came with 4.6, have their names in
 * camel case (`eventId`). What one version leaves out has a default here: the kind is a notification, and a missing timestamp is the
 * beginning of 1970.
 *
 * Sources: vadikko2/python-cqrs and pypatterns/python-cqrs, their message brokers, adapters, serializers, producer and events
 * at 0.0.3, 0.0.18, 0.2.0, 1.0.0, 2.0.0, 3.0.0, 4.0.0, 4.6.0 and 4.10.3; rnag/dataclass-wizard 0.x for the names of
 * dataclasses.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type Codec, CodecError, type Envelope } from "./Codec.ts"
import { type Message, MessageError } from "./Message.ts"
import type { Incoming, Reader } from "./Wire.ts"

/**
 * Writes the whole record as the payload, as programs with 1.0 and later read it, and reads the payload out of a record of
 * any version. For `Serialization`'s `codecs`, by topic: its content type is its own, so that what was written with it is
 * read with it.
 *
 * Beside `topic` the record has `event_type` and `event_topic`, which those programs leave unread. The timestamp is UTC and says no
 * zone, as Python programs read it. An id that is no UUID is `Unencodable`: Python programs could not read it.
 *
 * @example
 * ```ts
 * import { PythonCqrs, Serialization } from "@effect-cqrs/core"
 *
 * export const Mixed = Serialization.layer({ codecs: { meeting_room_notifications: PythonCqrs.codec } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const codec: Codec = codecOf(recordOf)

/**
 * As {@link codec}, with the record in the envelope that programs with versions before 1.0 read (0.0.3 among them). What either
 * has written both decode.
 *
 * @example
 * ```ts
 * import { PythonCqrs, Serialization } from "@effect-cqrs/core"
 *
 * export const Old = Serialization.layer({ codecs: { meeting_room_notifications: PythonCqrs.codecBefore1 } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const codecBefore1: Codec = codecOf((payload, envelope) => ({
  message_type: typeOf(envelope.kind),
  message_name: envelope.name,
  message_id: envelope.id,
  payload: recordOf(payload, envelope)
}))

/**
 * Reads records that a Python program has published, which have no headers: for an adapter's `readers`, by topic. The key
 * is that of the broker's record. A timestamp without a zone is read as UTC, since nothing says what it is. The payload is
 * for {@link codec} to decode, which `Serialization` has to be given.
 *
 * `undefined` for what has no `event_id` (`eventId`): it is of another form.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reader: Reader = (incoming) => {
  if (incoming.isTombstone || (incoming.contentEncoding ?? "identity") !== "identity") return undefined
  const record = recordIn(incoming.body)
  return record === undefined ? undefined : messageOf(record, incoming)
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type Json = { readonly [name: string]: unknown }

const uuid = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

function codecOf(form: (payload: unknown, envelope: Envelope) => Json): Codec {
  return {
    contentType: "application/vnd.python-cqrs+json",
    encode: (payload, envelope) => {
      if (!uuid.test(envelope.id)) {
        return Effect.fail(
          new CodecError({
            reason: "Unencodable",
            message: "Its id is no UUID, which is what the Python library reads: use another IdGenerator"
          })
        )
      }
      return Effect.try({
        try: () => encoder.encode(JSON.stringify(form(payload, envelope))),
        catch: () => new CodecError({ reason: "Unencodable", message: "The payload has no JSON form" })
      })
    },
    decode: (bytes) => {
      const record = recordIn(bytes)
      return record === undefined
        ? Effect.fail(
          new CodecError({ reason: "Undecodable", message: "The payload is no record of the Python library, in UTF-8" })
        )
        : Effect.succeed(record.payload ?? {})
    }
  }
}

const typeOf = (kind: Message["kind"]): string => kind === "ecst" ? "ecst_event" : "notification_event"

function recordOf(payload: unknown, { id, kind, name, time, topic }: Envelope): Json {
  return {
    event_id: id,
    event_name: name,
    event_type: typeOf(kind),
    event_topic: topic,
    topic,
    event_timestamp: new Date(time).toISOString().slice(0, -1),
    payload
  }
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

interface Record {
  readonly id: unknown
  readonly name: unknown
  readonly timestamp: unknown
  readonly type: unknown
  readonly payload: unknown
}

const recordIn = (bytes: Uint8Array): Record | undefined => {
  const parsed = Either.getOrUndefined(Either.try((): unknown => JSON.parse(decoder.decode(bytes))))
  if (!isObject(parsed)) return undefined
  const bare = named(parsed, undefined)
  if (bare !== undefined) return bare
  const { message_type: type, payload } = parsed
  return isObject(payload) ? named(payload, type) : undefined
}

/** `type`: what its envelope says of it. */
const named = (json: Json, type: unknown): Record | undefined => {
  const { payload } = json
  if (Object.hasOwn(json, "event_id")) {
    const { event_id: id, event_name: name, event_timestamp: timestamp, event_type } = json
    return { id, name, timestamp, type: event_type ?? type, payload }
  }
  if (!Object.hasOwn(json, "eventId")) return undefined
  const { eventId: id, eventName: name, eventTimestamp: timestamp, eventType } = json
  return { id, name, timestamp, type: eventType ?? type, payload }
}

const messageOf = (record: Record, incoming: Incoming): Either.Either<Message, MessageError> => {
  const { id, name, timestamp, type } = record
  if (typeof id !== "string" || !uuid.test(id)) return malformed("its event_id is no UUID")
  if (typeof name !== "string" || name === "") return malformed("its event_name is no text")
  const known = type === undefined || type === "notification_event" || type === "ecst_event"
  if (!known) return malformed("its event_type is neither notification_event nor ecst_event")
  const time = timeOf(timestamp)
  if (Number.isNaN(time)) return malformed("its event_timestamp is no timestamp of ISO 8601")
  return Either.right({
    id,
    name,
    kind: type === "ecst_event" ? "ecst" : "notification",
    version: 1,
    topic: incoming.topic,
    key: incoming.key,
    source: "/python-cqrs",
    time,
    correlationId: id,
    causationId: undefined,
    traceparent: incoming.headers.traceparent,
    sequence: undefined,
    contentType: codec.contentType,
    contentEncoding: "identity",
    headers: incoming.headers,
    payload: incoming.body
  })
}

const timeOf = (timestamp: unknown): number => {
  if (timestamp === undefined || timestamp === null) return 0
  if (typeof timestamp !== "string") return Number.NaN
  // Python has microseconds, and a blank where ISO 8601 has the T
  const match = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(\.\d{1,3})?\d*(Z|[+-]\d\d:?\d\d)?$/.exec(timestamp)
  return match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}${match[3] ?? ""}${match[4] ?? "Z"}`)
}

const malformed = (what: string) =>
  Either.left(new MessageError({ reason: "Malformed", message: `Not a record of the Python library: ${what}` }))
