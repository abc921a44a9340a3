import {
  type Entry,
  hashesOf,
  type OutboxStorage,
  type PendingFilter,
  type Waiting
} from "@effect-cqrs/core/OutboxStorage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { chunksOf } from "./chunks.ts"
import type { HeadsOf, OutboxStatements, Where } from "./dialect.ts"
import { bySequence, entryOf, type EntryRow, pendingOf, type PendingRow } from "./entry.ts"
import { bucketAt } from "./places.ts"
import type { Queries } from "./queries.ts"

type Reading = Pick<
  OutboxStorage["Type"],
  "read" | "pending" | "waiting" | "tail" | "statistics" | "backlog" | "backlogCounts"
>

/** What is in the buckets, and what waits beside them. */
export const reading = (statements: OutboxStatements, buckets: number, { query }: Queries): Reading => {
  const entries = (rows: ReadonlyArray<EntryRow>): Array<Entry> => bySequence(rows.map((row) => entryOf(row, buckets)))

  return {
    read: ({ exceptTopics, from, limit: asked, maxBytes: most }) => {
      const limit = whole(asked)
      const maxBytes = whole(most)
      if (from.length === 0 || limit === 0 || maxBytes === 0) return Effect.succeed([])
      const topics = exceptTopics.map((topic) => hashesOf({ topic, key: undefined, id: "" }).topic)
      const ranges = from.map((range): HeadsOf => ({
        bucket: range.bucket,
        after: range.after,
        limit: Math.min(limit, whole(range.limit ?? limit)),
        except: range.except?.map(({ key, topic }) => hashesOf({ topic, key, id: "" }).key) ?? []
      }))
      const some = (part: ReadonlyArray<HeadsOf>) =>
        Effect.map(
          query<EntryRow>(statements.read({
            from: part,
            strange: part.find(({ bucket }) => bucket === 0),
            exceptTopics: topics,
            limit,
            maxBytes
          })),
          (rows) => within(entries(rows), part)
        )
      if (ranges.length <= statements.rangesPerRead) return some(ranges)
      return Effect.map(
        Effect.forEach(chunksOf(ranges, statements.rangesPerRead), some),
        (parts) => firsts(bySequence(parts.flat()), limit, maxBytes)
      )
    },
    pending: (sequences) =>
      Effect.map(
        Effect.forEach(chunksOf(sequences, 1000), (some) => query<EntryRow>(statements.pending(some))),
        (parts) => entries(parts.flat())
      ),
    waiting: (some) =>
      some.length === 0 ? Effect.succeed([]) : Effect.map(
        query<WaitingRow>(statements.waiting(some)),
        (rows) =>
          bySequence(rows.map((row): Waiting => ({
            sequence: BigInt(row.sequence),
            bucket: bucketAt(Number(row.bucket), buckets) ?? 0,
            topic: row.topic,
            key: row.partition_key ?? undefined,
            // a Duration is never negative
            due: row.due === null ? undefined : Duration.micros(BigInt(row.due))
          })))
      ),
    tail: Effect.map(
      query<{ readonly sequence: number | string | null }>(statements.tail),
      ([row]) => BigInt(row?.sequence ?? 0)
    ),
    statistics: Effect.map(
      query<Record<"pending" | "dead" | "age", number | bigint | string | null>>(statements.statistics),
      ([row]) => ({ pending: Number(row!.pending), dead: Number(row!.dead), oldestAge: micros(row!.age) })
    ),
    backlog: ({ limit, ...filter }) =>
      limit <= 0 ? Effect.succeed([]) : Effect.map(
        query<PendingRow>(statements.backlog(whereOf(filter), whole(limit))),
        (rows) => bySequence(rows.map((row) => pendingOf(row, buckets)))
      ),
    backlogCounts: Effect.map(
      query<{ readonly topic: string } & Record<"count" | "age", number | bigint | string>>(statements.backlogCounts),
      (rows) =>
        rows.map(({ age, count, topic }) => ({ topic, count: Number(count), oldestAge: micros(age) })).sort((a, b) =>
          b.count - a.count
        )
    )
  }
}

export const whereOf = ({ after, key, topic }: PendingFilter): Where => ({
  after,
  topic: topic === undefined ? undefined : { text: topic, hash: hashesOf({ topic, key: undefined, id: "" }).topic },
  key: key === undefined ? undefined : {
    text: key,
    hash: topic === undefined ? undefined : hashesOf({ topic, key, id: "" }).key
  }
})

/** Of a row that a clock which went back makes younger than it can be. */
const micros = (age: unknown): Duration.Duration => Duration.micros(BigInt(Math.max(0, Number(age))))

/** A number of ours, as part of a statement. */
export const whole = (number: number): number => Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(number)))

interface WaitingRow extends Pick<EntryRow, "sequence" | "bucket" | "topic" | "partition_key"> {
  readonly due: number | bigint | string | null
}

/** Rows of no bucket come with bucket 0, beside as many of its own: both together are its. */
const within = (entries: ReadonlyArray<Entry>, ranges: ReadonlyArray<HeadsOf>): ReadonlyArray<Entry> => {
  let left = ranges.find(({ bucket }) => bucket === 0)?.limit ?? 0
  return entries.some(({ malformed }) => malformed !== undefined)
    ? entries.filter(({ bucket }) => bucket !== 0 || left-- > 0)
    : entries
}

const firsts = (entries: ReadonlyArray<Entry>, limit: number, maxBytes: number): ReadonlyArray<Entry> => {
  let bytes = 0
  const end = entries.findIndex(({ message }) => {
    const full = bytes >= maxBytes
    bytes += message.payload.length
    return full
  })
  return entries.slice(0, Math.min(limit, end < 0 ? entries.length : end))
}
