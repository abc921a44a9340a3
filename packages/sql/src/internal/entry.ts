import * as Message from "@effect-cqrs/core/Message"
import type { DeadLetter, Entry, Pending } from "@effect-cqrs/core/OutboxStorage"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { bucketAt } from "./places.ts"

/** A row of the outbox, as the drivers hand it over: whole numbers as one or the other. */
export interface EntryRow {
  readonly sequence: number | string
  readonly bucket: number | bigint
  readonly id: string
  readonly name: string
  readonly topic: string
  readonly partition_key: string | null
  readonly attributes: string
  readonly headers: string
  readonly content_encoding: string
  readonly correlation_id: string
  readonly causation_id: string | null
  readonly payload: unknown
  readonly attempts: unknown
}

export interface DeadRow extends EntryRow {
  readonly last_error: string | null
  readonly exhausted: string | null
  readonly dead_at: number | bigint | string
}

export interface PendingRow extends EntryRow {
  readonly created_at: number | bigint | string
  /** Microseconds from now, or null if it is in its bucket. */
  readonly due: number | bigint | string | null
  readonly last_error: string | null
}

/** The columns of a {@link EntryRow}, but for its sequence. */
export const columns = [
  "bucket",
  "id",
  "name",
  "topic",
  "partition_key",
  "attributes",
  "headers",
  "content_encoding",
  "correlation_id",
  "causation_id",
  "payload",
  "attempts"
]

/** The columns of a {@link DeadRow}, but for its sequence. */
export const deadColumns = [...columns, "last_error", "exhausted", "dead_at"]

/** In the order of their sequences, as they are as a rule. */
export const bySequence = <A extends { readonly sequence: bigint }>(all: Array<A>): Array<A> =>
  all.sort((a, b) => a.sequence < b.sequence ? -1 : a.sequence > b.sequence ? 1 : 0)

/** A row that somebody has changed by hand is an entry that says so. */
export const entryOf = (row: EntryRow, buckets: number): Entry => {
  const bucket = bucketAt(Number(row.bucket), buckets)
  const attempts = Number(row.attempts)
  const message = messageOf(row)
  const malformed = bucket === undefined
    ? "The row's bucket is none of the outbox's"
    : typeof message === "string"
    ? message
    : Number.isSafeInteger(attempts)
    ? undefined
    : "The row's attempts are not a whole number"
  return malformed === undefined && typeof message !== "string"
    ? { sequence: message.sequence!, bucket: bucket!, attempts, message }
    : {
      sequence: BigInt(row.sequence),
      bucket: bucket ?? 0,
      attempts: Number.isSafeInteger(attempts) ? attempts : 0,
      malformed,
      message: typeof message === "string" ? remainsOf(row) : message
    }
}

export const deadLetterOf = (row: DeadRow, buckets: number): DeadLetter => ({
  ...entryOf(row, buckets),
  reason: row.last_error ?? "",
  policy: row.exhausted === "skip" ? "skip" : "halt",
  diedAt: DateTime.unsafeMake(Math.floor(Number(row.dead_at) / 1000))
})

export const pendingOf = (row: PendingRow, buckets: number): Pending => ({
  ...entryOf(row, buckets),
  createdAt: DateTime.unsafeMake(Math.floor(Number(row.created_at) / 1000)),
  deferred: row.due === null
    ? undefined
    : { due: Duration.micros(BigInt(Math.max(0, Number(row.due)))), reason: row.last_error ?? "" }
})

/** The row's message, or why it is none. */
const messageOf = (row: EntryRow): Message.Message | string => {
  const attributes: Record<string, string | undefined> | undefined = strings(row.attributes)
  if (attributes === undefined) return "The row's attributes are not a JSON object of strings"
  const headers = strings(row.headers)
  if (headers === undefined) return "The row's headers are not a JSON object of strings"
  const payload = bytesOf(row.payload)
  if (payload === undefined) return "The row's payload is not binary"
  attributes.id = row.id
  attributes.type = row.name
  attributes.partitionkey = row.partition_key ?? undefined
  attributes.correlationid = row.correlation_id
  attributes.causationid = row.causation_id ?? undefined
  attributes.contentencoding = row.content_encoding
  attributes.sequence = String(row.sequence)
  const message = Message.fromAttributes(attributes, { topic: row.topic, headers, payload })
  return Either.isRight(message) ? message.right : message.left.message
}

/** What can be read of a row that holds no message. */
const remainsOf = (row: EntryRow): Message.Message => ({
  id: row.id,
  name: row.name,
  kind: "notification",
  version: 1,
  topic: row.topic,
  key: row.partition_key ?? undefined,
  source: "",
  time: 0,
  correlationId: row.correlation_id,
  causationId: row.causation_id ?? undefined,
  traceparent: undefined,
  sequence: BigInt(row.sequence),
  contentType: "application/octet-stream",
  contentEncoding: row.content_encoding,
  headers: {},
  payload: bytesOf(row.payload) ?? new Uint8Array(0)
})

const parse = (json: string): unknown =>
  Either.getOrUndefined(Either.try({ try: (): unknown => JSON.parse(json), catch: () => undefined }))

/** A record of the caller's own, which it may write to. */
const strings = (json: string): Record<string, string> | undefined => {
  if (json === "{}") return {}
  const value = parse(json)
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
  const record = value as Record<string, string>
  for (const name in record) if (typeof record[name] !== "string") return undefined
  return record
}

/** Drivers hand over binary values as one or the other. */
const bytesOf = (value: unknown): Uint8Array | undefined =>
  value instanceof Uint8Array ? value : value instanceof ArrayBuffer ? new Uint8Array(value) : undefined
