/** An entry of the outbox, as it is shown. */
import type { DeadLetter, Entry as Stored, Pending } from "@effect-cqrs/core/OutboxStorage"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"

/** Never its payload: that has a command of its own to ask for it. */
export const Entry = Schema.Struct({
  sequence: Schema.BigInt,
  state: Schema.Literal("pending", "deferred", "dead"),
  id: Schema.String,
  name: Schema.String,
  topic: Schema.String,
  key: Schema.NullOr(Schema.String),
  bucket: Schema.Number,
  attempts: Schema.Number,
  payloadBytes: Schema.Number,
  createdAt: Schema.NullOr(Schema.DateTimeUtc),
  /** How long until a deferred one is tried again. */
  dueMillis: Schema.NullOr(Schema.DurationFromMillis),
  diedAt: Schema.NullOr(Schema.DateTimeUtc),
  policy: Schema.NullOr(Schema.Literal("halt", "skip")),
  reason: Schema.NullOr(Schema.String),
  malformed: Schema.NullOr(Schema.String)
})

export type Entry = typeof Entry.Type

const entryOf = ({ attempts, bucket, malformed, message, sequence }: Stored) => ({
  sequence,
  id: message.id,
  name: message.name,
  topic: message.topic,
  key: message.key ?? null,
  bucket,
  attempts,
  payloadBytes: message.payload.length,
  malformed: malformed ?? null
})

export const pendingOf = (pending: Pending): Entry => ({
  ...entryOf(pending),
  state: pending.deferred === undefined ? "pending" : "deferred",
  createdAt: pending.createdAt,
  dueMillis: pending.deferred?.due ?? null,
  diedAt: null,
  policy: null,
  reason: pending.deferred?.reason ?? null
})

export const deadOf = (letter: DeadLetter): Entry => ({
  ...entryOf(letter),
  state: "dead",
  createdAt: letter.message.time > 0 ? DateTime.unsafeMake(letter.message.time) : null,
  dueMillis: null,
  diedAt: letter.diedAt,
  policy: letter.policy,
  reason: letter.reason
})
