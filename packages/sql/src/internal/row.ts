import * as Message from "@effect-cqrs/core/Message"
import { bucketOf, hashesOf } from "@effect-cqrs/core/OutboxStorage"
import type { Names } from "./dialect.ts"

export type Value = string | number | Uint8Array | null

/** Attributes in columns of their own. */
const own = new Set(["id", "type", "partitionkey", "correlationid", "causationid", "contentencoding", "sequence"])

/** The other attributes, as the column `attributes` holds them. */
const attributesOf = (message: Message.Message): string =>
  JSON.stringify(Message.attributes(message), (name, value: unknown) => own.has(name) ? undefined : value)

/** What a row of the outbox takes from its message, in every database. A column is added here, and in the migrations. */
const columns: ReadonlyArray<readonly [name: string, value: (message: Message.Message, buckets: number) => Value]> = [
  ["id", (message) => message.id],
  ["name", (message) => message.name],
  ["topic", (message) => message.topic],
  ["partition_key", (message) => message.key ?? null],
  ["bucket", bucketOf],
  ["topic_hash", (message) => hashesOf(message).topic],
  ["key_hash", (message) => hashesOf(message).key],
  ["attributes", attributesOf],
  ["headers", (message) => JSON.stringify(message.headers)],
  ["content_encoding", (message) => message.contentEncoding],
  ["correlation_id", (message) => message.correlationId],
  ["causation_id", (message) => message.causationId ?? null],
  ["payload", (message) => message.payload],
  ["payload_bytes", (message) => message.payload.length]
]

/** Hexadecimal digits, which mean the same whatever a session has set. */
export const hex = (value: string | Uint8Array): string =>
  (typeof value === "string" ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.byteLength))
    .toString("hex")

/** A message's values, one for each column. */
export type Row = ReadonlyArray<Value>

export const rowOf = (message: Message.Message, buckets: number): Row =>
  columns.map(([, value]) => value(message, buckets))

/** The statement that inserts rows whose values are written as these expressions. */
export const insert = (names: Names, now: string, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  `insert into ${names.outbox} (${columns.map(([name]) => name).join(", ")}, created_at) values ` +
  rows.map((values) => `(${values.join(", ")}, ${now})`).join(", ")
