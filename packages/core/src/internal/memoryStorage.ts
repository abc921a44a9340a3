import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Message } from "../Message.ts"
import type { DeadLetter, Entry, OutboxStorage } from "../OutboxStorage.ts"
import * as Wake from "../Wake.ts"
import { requireWhole } from "./options.ts"

interface Row {
  readonly sequence: bigint
  readonly bucket: number
  readonly message: Message
  readonly createdAt: number
  attempts: number
  availableAt: number
  dead: { readonly reason: string; readonly policy: "halt" | "skip" } | undefined
}

const entryOf = (row: Row): Entry => ({
  sequence: row.sequence,
  bucket: row.bucket,
  attempts: row.attempts,
  message: { ...row.message, sequence: row.sequence }
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

    const remove = (sequences: ReadonlyArray<bigint>, apply: (row: Row) => void): number => {
      const found = [...new Set(sequences)].map((sequence) => rows.get(sequence)).filter((row) =>
        row?.dead !== undefined
      )
      for (const row of found) apply(row!)
      return found.length
    }

    return {
      buckets,
      arrivals,
      append: (messages) =>
        Effect.map(Clock.currentTimeMillis, (createdAt) => {
          // key locks: commits come one after the other
          for (const { keyLock: _, ...message } of messages) {
            const sequence = ++last
            const bucket = bucketOf(message, buckets)
            rows.set(sequence, { sequence, bucket, message, createdAt, attempts: 0, availableAt: 0, dead: undefined })
          }
        }),
      read: (options) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const owned = new Set(options.buckets)
          const except = new Set(options.except)
          const waiting = new Set<string>()
          const entries: Array<Entry> = []
          let bytes = 0
          for (const row of rows.values()) {
            if (entries.length >= options.limit || bytes >= options.maxBytes) break
            const { key, payload, topic } = row.message
            if (!owned.has(row.bucket) || except.has(topic)) continue
            const lane = key === undefined ? undefined : JSON.stringify([topic, key])
            if (lane !== undefined && waiting.has(lane)) continue
            if (row.dead !== undefined || row.availableAt > now) {
              if (lane !== undefined && row.dead?.policy !== "skip") waiting.add(lane)
              continue
            }
            entries.push(entryOf(row))
            bytes += payload.length
          }
          return entries
        }),
      settle: (_token, settlements) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          for (const settlement of settlements) {
            const row = rows.get(settlement.sequence)
            if (row === undefined || row.dead !== undefined) continue
            switch (settlement._tag) {
              case "Delivered": {
                rows.delete(row.sequence)
                break
              }
              case "Deferred": {
                row.attempts = settlement.attempts
                row.availableAt = now + Duration.toMillis(settlement.delay)
                break
              }
              case "Dead": {
                row.attempts = settlement.attempts
                row.dead = { reason: settlement.reason, policy: settlement.policy }
              }
            }
          }
          return true
        }),
      statistics: Effect.map(Clock.currentTimeMillis, (now) => {
        let pending = 0
        let oldest = now
        for (const row of rows.values()) {
          if (row.dead !== undefined) continue
          pending += 1
          oldest = Math.min(oldest, row.createdAt)
        }
        return { pending, dead: rows.size - pending, oldestAge: Duration.millis(now - oldest) }
      }),
      deadLetters: (options) =>
        Effect.sync(() => {
          const found: Array<DeadLetter> = []
          for (const row of rows.values()) {
            if (found.length >= options.limit) break
            if (row.dead === undefined || (options.topic !== undefined && row.message.topic !== options.topic)) continue
            found.push({ ...entryOf(row), ...row.dead })
          }
          return found
        }),
      redrive: (sequences) =>
        Effect.zipLeft(
          Effect.sync(() =>
            remove(sequences, (row) => {
              row.dead = undefined
              row.attempts = 0
              row.availableAt = 0
            })
          ),
          arrivals.signal
        ),
      discard: (sequences) =>
        Effect.zipLeft(
          Effect.sync(() => remove(sequences, (row) => rows.delete(row.sequence))),
          arrivals.signal
        )
    }
  })
