/** What an operator looks at first: what waits, for how long, and who works on it. */
import { BucketOwner } from "@effect-cqrs/core/BucketOwner"
import { OutboxStorage, type StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { age, count, fields, grouped, shortened, table } from "./output.ts"

const Age = Schema.DurationFromMillis

/** Per second, over the time between two readings. */
const Rate = Schema.Struct({
  /** By the growth of the sequence: transactions that were rolled back may have taken some numbers. */
  stored: Schema.Number,
  delivered: Schema.Number,
  overMillis: Age
})

export const Status = Schema.Struct({
  /** By the clock of this machine. */
  at: Schema.DateTimeUtc,
  pending: Schema.Number,
  oldestAgeMillis: Age,
  dead: Schema.Number,
  topics: Schema.Array(Schema.Struct({ topic: Schema.String, pending: Schema.Number, oldestAgeMillis: Age })),
  deadLetters: Schema.Array(
    Schema.Struct({ topic: Schema.String, reason: Schema.String, count: Schema.Number })
  ),
  relays: Schema.Array(Schema.Struct({
    relay: Schema.BigInt,
    isAlive: Schema.Boolean,
    leaseMillis: Age,
    buckets: Schema.Number,
    suspended: Schema.Array(Schema.Struct({
      topic: Schema.NullOr(Schema.String),
      reason: Schema.String,
      since: Schema.DateTimeUtc
    }))
  })),
  buckets: Schema.Number,
  freeBuckets: Schema.Number,
  suspicions: Schema.Array(Schema.Struct({
    bucket: Schema.Number,
    deaths: Schema.Number,
    sequence: Schema.NullOr(Schema.BigInt)
  })),
  rate: Schema.NullOr(Rate)
})

export type Status = typeof Status.Type

/** A reading, and what the next one needs of it to know the rate. */
export interface Reading {
  readonly status: Status
  readonly tail: bigint
  readonly nanos: bigint
}

export const read = (
  previous?: Reading | undefined
): Effect.Effect<Reading, StorageError, OutboxStorage | BucketOwner> =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage
    const owner = yield* BucketOwner
    const at = yield* DateTime.now
    const nanos = yield* Clock.currentTimeNanos
    const tail = yield* storage.tail
    const { dead, oldestAge, pending } = yield* storage.statistics
    const topics = pending === 0 ? [] : yield* storage.backlogCounts
    const deadLetters = dead === 0 ? [] : yield* storage.deadLetterCounts({})
    const { free, members, suspicions } = yield* owner.ownership
    const status: Status = {
      at,
      pending,
      oldestAgeMillis: oldestAge,
      dead,
      topics: topics.map((one) => ({ topic: one.topic, pending: one.count, oldestAgeMillis: one.oldestAge })),
      deadLetters,
      relays: members.map(({ buckets, expiresIn, suspended, token }) => ({
        relay: token,
        isAlive: Duration.greaterThan(expiresIn, Duration.zero),
        leaseMillis: expiresIn,
        buckets: buckets.length,
        suspended: suspended.map(({ reason, since, topic }) => ({ topic: topic ?? null, reason, since }))
      })),
      buckets: storage.buckets,
      freeBuckets: free.length,
      suspicions: Array.from(suspicions, ([bucket, { deaths, suspect }]) => ({
        bucket,
        deaths,
        sequence: suspect?.sequence ?? null
      })),
      rate: previous === undefined ? null : rateOf(previous, { tail, nanos, pending, dead })
    }
    return { status, tail, nanos }
  })

export const rateOf = (
  previous: Reading,
  now: { readonly tail: bigint; readonly nanos: bigint; readonly pending: number; readonly dead: number }
): typeof Rate.Type => {
  const over = Duration.nanos(now.nanos - previous.nanos)
  const seconds = Math.max(0.001, Duration.toSeconds(over))
  const stored = Math.max(0, Number(now.tail - previous.tail))
  const grown = now.pending + now.dead - previous.status.pending - previous.status.dead
  return {
    stored: tenths(stored / seconds),
    delivered: tenths(Math.max(0, stored - grown) / seconds),
    overMillis: Duration.millis(Math.round(Duration.toMillis(over)))
  }
}

export const render = (status: Status): ReadonlyArray<string> => {
  const { buckets, dead, deadLetters, freeBuckets, oldestAgeMillis, pending, rate, relays, suspicions, topics } = status
  const suspended = relays.flatMap((one) => one.suspended.map((what) => ({ ...what, relay: one.relay })))
  return [
    ...fields([
      ["pending", pending === 0 ? "0" : `${grouped(pending)}, the oldest for ${age(oldestAgeMillis)}`],
      ["dead letters", grouped(dead)],
      [
        "relays",
        `${relays.filter((one) => one.isAlive).length}, which own ${buckets - freeBuckets} of ${buckets} buckets`
      ],
      ...rate === null
        ? []
        : [["rate", `${rate.stored}/s stored, ${rate.delivered}/s delivered, over ${age(rate.overMillis)}`] as const]
    ]),
    ...section(topics.length, () =>
      table(
        ["TOPIC", "PENDING", "OLDEST"],
        topics.map((one) => [one.topic, grouped(one.pending), age(one.oldestAgeMillis)]),
        ["PENDING", "OLDEST"]
      )),
    ...section(deadLetters.length, () =>
      table(
        ["DEAD LETTERS OF", "COUNT", "REASON"],
        deadLetters.map((one) => [one.topic, grouped(one.count), shortened(one.reason, 70)]),
        ["COUNT"]
      )),
    ...section(relays.length, () =>
      table(
        ["RELAY", "BUCKETS", "LEASE"],
        relays.map((one) => [
          String(one.relay),
          String(one.buckets),
          one.isAlive ? `runs, ${(Duration.toMillis(one.leaseMillis) / 1000).toFixed(1)} s left` : "has run out"
        ]),
        ["RELAY", "BUCKETS"]
      )),
    ...section(suspended.length, () =>
      table(
        ["SUSPENDED", "BY RELAY", "SINCE", "REASON"],
        suspended.map(({ reason, relay, since, topic }) => [
          topic ?? "(the broker)",
          String(relay),
          DateTime.formatIso(since),
          shortened(reason, 70)
        ])
      )),
    ...section(suspicions.length, () =>
      table(
        ["BUCKET", "OWNERS THAT DIED", "SUSPECTED ENTRY"],
        suspicions.map((
          one
        ) => [String(one.bucket), String(one.deaths), one.sequence === null ? "" : String(one.sequence)])
      )),
    ...pending > 0 && relays.every((one) => !one.isAlive)
      ? ["", `No relay is at work: ${count(pending, "event")} will wait until one is started.`]
      : []
  ]
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const tenths = (value: number): number => Math.round(value * 10) / 10

const section = (length: number, lines: () => ReadonlyArray<string>): ReadonlyArray<string> =>
  length === 0 ? [] : ["", ...lines()]
