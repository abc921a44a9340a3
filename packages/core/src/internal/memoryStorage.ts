import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Message } from "../Message.ts"
import type {
  DeadLetter,
  DeadLetterCount,
  DeadLetterFilter,
  Entry,
  OutboxStorage,
  Pending,
  Waiting
} from "../OutboxStorage.ts"
import * as Wake from "../Wake.ts"
import { requireWhole } from "./options.ts"

interface Row {
  readonly sequence: bigint
  readonly bucket: number
  readonly message: Message
  readonly createdAt: number
  attempts: number
  /** When it is to be tried again, while it waits beside its bucket, and why. */
  availableAt: number | undefined
  reason: string
  dead: { readonly reason: string; readonly policy: "halt" | "skip"; readonly at: number } | undefined
  deliveredAt: number | undefined
}

const entryOf = (row: Row): Entry => ({
  sequence: row.sequence,
  bucket: row.bucket,
  attempts: row.attempts,
  message: { ...row.message, sequence: row.sequence }
})

const isPending = (row: Row): boolean => row.dead === undefined && row.deliveredAt === undefined

const deadLetterOf = (row: Row, dead: NonNullable<Row["dead"]>): DeadLetter => ({
  ...entryOf(row),
  reason: dead.reason,
  policy: dead.policy,
  diedAt: DateTime.unsafeMake(dead.at)
})

export const makeMemoryStorage = (
  buckets: number,
  bucketOf: (message: Message, buckets: number) => number
): Effect.Effect<Context.Tag.Service<OutboxStorage>> =>
  Effect.map(Wake.make, (arrivals) => {
    requireWhole("The buckets of OutboxStorage.layerMemory", buckets, 1)
    // a Map keeps the order of insertion, which is the order of sequences
    const rows = new Map<bigint, Row>()
    let last = 0n
    let revision = 0

    const change = (sequences: ReadonlyArray<bigint>, apply: (row: Row) => void): Effect.Effect<number> =>
      Effect.zipLeft(
        Effect.sync(() => {
          const found = [...new Set(sequences)].flatMap((sequence) => {
            const row = rows.get(sequence)
            return row?.dead === undefined ? [] : [row]
          })
          for (const row of found) apply(row)
          revision += 1
          return found.length
        }),
        arrivals.signal
      )

    const old = (olderThan: Duration.Duration): Effect.Effect<ReadonlyArray<Row>> =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const before = now - Duration.toMillis(olderThan)
        return [...rows.values()].filter(({ deliveredAt }) => deliveredAt !== undefined && deliveredAt < before)
      })

    const dead = (filter: DeadLetterFilter): ReadonlyArray<DeadLetter> =>
      [...rows.values()].flatMap((row) => {
        if (row.dead === undefined) return []
        const { key, topic } = row.message
        const isMeant = (filter.topic === undefined || filter.topic === topic) &&
          (filter.key === undefined || filter.key === key) &&
          (filter.since === undefined || row.dead.at >= filter.since.epochMillis) &&
          (filter.until === undefined || row.dead.at < filter.until.epochMillis) &&
          (filter.after === undefined || row.sequence > filter.after)
        return isMeant ? [deadLetterOf(row, row.dead)] : []
      })

    return {
      buckets,
      arrivals,
      append: (messages) =>
        Effect.map(Clock.currentTimeMillis, (createdAt) => {
          // key locks: commits come one after the other
          for (const { keyLock: _, ...message } of messages) {
            const sequence = ++last
            rows.set(sequence, {
              sequence,
              bucket: bucketOf(message, buckets),
              message,
              createdAt,
              attempts: 0,
              availableAt: undefined,
              reason: "",
              dead: undefined,
              deliveredAt: undefined
            })
          }
        }),
      read: (options) =>
        Effect.sync(() => {
          const topics = new Set(options.exceptTopics)
          const ranges = new Map(
            options.from.map(({ after, bucket, except, limit }) => [bucket, {
              after: after ?? 0n,
              left: limit ?? Number.POSITIVE_INFINITY,
              except: new Set(except?.map(({ key, topic }) => JSON.stringify([topic, key])))
            }])
          )
          const entries: Array<Entry> = []
          let bytes = 0
          for (const row of rows.values()) {
            if (entries.length >= options.limit || bytes >= options.maxBytes) break
            const range = ranges.get(row.bucket)
            if (range === undefined || range.left === 0 || row.sequence <= range.after) continue
            const { key, payload, topic } = row.message
            if (!isPending(row) || row.availableAt !== undefined || topics.has(topic)) continue
            if (key !== undefined && range.except.size > 0 && range.except.has(JSON.stringify([topic, key]))) continue
            range.left -= 1
            entries.push(entryOf(row))
            bytes += payload.length
          }
          return entries
        }),
      pending: (sequences) =>
        Effect.sync(() =>
          sequences.flatMap((sequence) => {
            const row = rows.get(sequence)
            return row !== undefined && isPending(row) ? [entryOf(row)] : []
          }).sort((a, b) => a.sequence < b.sequence ? -1 : 1)
        ),
      waiting: (wanted) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const owned = new Set(wanted)
          return [...rows.values()].flatMap(({ availableAt, bucket, dead, deliveredAt, message, sequence }) => {
            if (deliveredAt !== undefined) return []
            const { key, topic } = message
            const waits = dead === undefined ? availableAt !== undefined : dead.policy === "halt" && key !== undefined
            const due = dead === undefined ? Duration.millis(Math.max(0, (availableAt ?? now) - now)) : undefined
            return waits && owned.has(bucket) ? [{ sequence, bucket, topic, key, due } satisfies Waiting] : []
          })
        }),
      revision: Effect.sync(() => revision),
      tail: Effect.sync(() => last),
      settle: (_token, settlements, options) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          for (const settlement of settlements) {
            const row = rows.get(settlement.sequence)
            if (row === undefined || !isPending(row)) continue
            switch (settlement._tag) {
              case "Delivered": {
                if (options?.keep === true) row.deliveredAt = now
                else rows.delete(row.sequence)
                break
              }
              case "Deferred": {
                row.attempts = settlement.attempts
                row.availableAt = now + Duration.toMillis(settlement.delay)
                row.reason = settlement.reason
                break
              }
              case "Dead": {
                row.attempts = settlement.attempts
                row.dead = { reason: settlement.reason, policy: settlement.policy, at: now }
              }
            }
          }
          return true
        }),
      purge: ({ limit, olderThan }) =>
        Effect.map(old(olderThan), (all) => {
          const some = all.slice(0, limit)
          for (const row of some) rows.delete(row.sequence)
          return some.length
        }),
      purgeable: (olderThan) => Effect.map(old(olderThan), (all) => all.length),
      statistics: Effect.map(Clock.currentTimeMillis, (now) => {
        let pending = 0
        let dead = 0
        let oldest = now
        for (const row of rows.values()) {
          if (row.dead !== undefined) dead += 1
          if (!isPending(row)) continue
          pending += 1
          oldest = Math.min(oldest, row.createdAt)
        }
        return { pending, dead, oldestAge: Duration.millis(now - oldest) }
      }),
      backlog: ({ after, key, limit, topic }) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          [...rows.values()].filter((row) =>
            isPending(row) && row.sequence > (after ?? 0n) && (topic === undefined || topic === row.message.topic) &&
            (key === undefined || key === row.message.key)
          ).slice(0, limit).map((row): Pending => ({
            ...entryOf(row),
            createdAt: DateTime.unsafeMake(row.createdAt),
            deferred: row.availableAt === undefined
              ? undefined
              : { due: Duration.millis(Math.max(0, row.availableAt - now)), reason: row.reason }
          }))),
      backlogCounts: Effect.map(Clock.currentTimeMillis, (now) => {
        const topics = new Map<string, { count: number; oldest: number }>()
        for (const row of rows.values()) {
          if (!isPending(row)) {
            continue
          }
          const { count = 0, oldest = now } = topics.get(row.message.topic) ?? {}
          topics.set(row.message.topic, { count: count + 1, oldest: Math.min(oldest, row.createdAt) })
        }
        return [...topics].map(([topic, { count, oldest }]) => ({
          topic,
          count,
          oldestAge: Duration.millis(now - oldest)
        })).sort((a, b) =>
          b.count - a.count
        )
      }),
      deadLetters: ({ limit, ...filter }) => Effect.sync(() => dead(filter).slice(0, limit)),
      deadLetterCounts: (filter) =>
        Effect.sync(() => {
          const counts = new Map<string, DeadLetterCount>()
          for (const { message: { topic }, reason } of dead(filter)) {
            const name = JSON.stringify([topic, reason])
            counts.set(name, { topic, reason, count: (counts.get(name)?.count ?? 0) + 1 })
          }
          return [...counts.values()].sort((a, b) => b.count - a.count)
        }),
      redrive: (sequences) =>
        change(sequences, (row) => {
          row.dead = undefined
          row.attempts = 0
          row.availableAt = undefined
        }),
      discard: (sequences) => change(sequences, (row) => rows.delete(row.sequence))
    }
  })
