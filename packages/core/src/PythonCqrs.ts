/**
 * Events as the Python library `python-cqrs` writes and reads them, for fleets of both.
 *
 * Its record is one JSON object without headers: `event_id` (a UUID), `event_name`, `event_type` (`notification_event` or
 * `ecst_event`), `event_topic`, `event_timestamp` (ISO 8601 without a time zone) and `payload`. What one version leaves out
 * has a default here: the type (gone with 2.0) is that of a notification, and a missing timestamp is the beginning of 1970. Of
 * a record inside the `payload` of a broker message, as 0.0.3 sent to RabbitMQ, the record is read.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type Codec, CodecError, type Envelope } from "./Codec.ts"
import { type Message, MessageError } from "./Message.ts"
import type { Incoming, Reader } from "./Wire.ts"

/**
 * Writes the whole record as the payload, and reads the payload out of a record. For `Serialization`'s `codecs`, by topic:
 * its content type is its own, so that what was written with it is read with it.
 *
 * The timestamp is UTC and says no zone, as Python programs read it. An id that is no UUID is `Unencodable`: Python
 * programs could not read it.
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
export const codec: Codec = {
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
      try: () => encoder.encode(JSON.stringify(recordOf(payload, envelope))),
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

/**
 * Reads records that a Python program has published, which have no headers: for an adapter's `readers`, by topic. The key
 * is that of the broker's record. A timestamp without a zone is read as UTC, since nothing says what it is. The payload is
 * for {@link codec} to decode, which `Serialization` has to be given.
 *
 * `undefined` for what has no `event_id`: it is of another form.
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

const recordOf = (payload: unknown, { id, kind, name, time, topic }: Envelope): Json => ({
  event_id: id,
  event_name: name,
  event_type: kind === "ecst" ? "ecst_event" : "notification_event",
  event_topic: topic,
  event_timestamp: new Date(time).toISOString().slice(0, -1),
  payload
})

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const recordIn = (bytes: Uint8Array): Json | undefined => {
  const parsed = Either.getOrUndefined(Either.try((): unknown => JSON.parse(decoder.decode(bytes))))
  if (!isObject(parsed)) return undefined
  if (Object.hasOwn(parsed, "event_id")) return parsed
  const { payload } = parsed
  return isObject(payload) && Object.hasOwn(payload, "event_id") ? payload : undefined
}

const messageOf = (record: Json, incoming: Incoming): Either.Either<Message, MessageError> => {
  const { event_id: id, event_name: name, event_timestamp: timestamp, event_type: type } = record
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
