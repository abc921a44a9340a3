import { type Entry, hashesOf, type OutboxStorage, type Waiting } from "@effect-cqrs/core/OutboxStorage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HeadsOf, OutboxStatements } from "./dialect.ts"
import { bySequence, entryOf, type EntryRow } from "./entry.ts"
import { bucketAt } from "./places.ts"
import type { Queries } from "./queries.ts"

type Reading = Pick<OutboxStorage["Type"], "read" | "pending" | "waiting" | "tail">

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
    )
  }
}

export const chunksOf = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size))

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
