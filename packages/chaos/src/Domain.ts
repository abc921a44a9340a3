/** What the writers change and announce: accounts, each with a version that rises by one with each event. */
import { Consumer, Event, OutboxStorage } from "@effect-cqrs/core"
import { Schema } from "effect"
import { buckets, largest } from "./Setting.ts"

/**
 * - `poison`: the broker refuses it, for it is too large.
 * - `deadly`: it kills the process of the consumer that handles it.
 * - `late`: its transaction stayed open for long.
 */
export const Kind = Schema.Literal("plain", "poison", "deadly", "late")
export type Kind = typeof Kind.Type

const fields = { key: Schema.String, version: Schema.Number, kind: Kind, filler: Schema.String }

export class Changed extends Event.ecst<Changed>()("changed", {
  topic: "chaos.main",
  payload: fields,
  key: (event) => event.key
}) {}

/** As {@link Changed}, on a topic that is taken away from time to time. */
export class Moved extends Event.ecst<Moved>()("moved", {
  topic: "chaos.side",
  payload: fields,
  key: (event) => event.key
}) {}

export const topics = { main: Changed.topic, side: Moved.topic } as const

/** Of the consumers. */
export const group = "effects"

export const deadLetters = Consumer.deadLetterTopicOf(group)

export const accounts: ReadonlyArray<string> = [
  ...Array.from({ length: 24 }, (_, n) => `main ${n}`),
  ...Array.from({ length: 8 }, (_, n) => `side ${n}`)
]

const bucketOf = (key: string) => OutboxStorage.bucketOf({ topic: topicOf(key), key, id: "" }, buckets)

/** The account of transactions that stay open for long: nobody waits for them, and others are announced beside them. */
export const idle: string = Array.from({ length: 1_000 }, (_, n) => `main idle ${n}`)
  .find((key) => bucketOf(key) === bucketOf(accounts[0]!))!

function topicOf(key: string): string {
  return key.startsWith("side") ? topics.side : topics.main
}

const oversize = "x".repeat(largest + largest / 4)

export const eventOf = (key: string, version: number, kind: Kind): Changed | Moved => {
  const payload = { key, version, kind, filler: kind === "poison" ? oversize : "" }
  return topicOf(key) === topics.side ? new Moved(payload) : new Changed(payload)
}

/** What an independent reader has to know of a payload. */
export const Content = Schema.parseJson(Schema.Struct({ key: Schema.String, version: Schema.Number }))
