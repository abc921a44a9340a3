/**
 * The event that all measurements of the outbox announce.
 */
import * as Event from "@effect-cqrs/core/Event"
import * as Schema from "effect/Schema"

/** `version` comes first in the payload, where the ledger looks for it. */
export class Noted extends Event.notification<Noted>()("bench_noted", {
  topic: "bench",
  payload: { version: Schema.Number, key: Schema.String, text: Schema.String },
  key: (event) => event.key
}) {}

/** An event whose payload is of so many bytes. */
export const note = (key: string, version: number, bytes = 500): Noted => {
  const rest = JSON.stringify({ version, key, text: "" }).length
  return new Noted({ version, key, text: "x".repeat(Math.max(0, bytes - rest)) })
}
