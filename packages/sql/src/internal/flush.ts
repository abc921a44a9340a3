import type { OutboxStorage, Outgoing, StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Dialect, Names, Query } from "./dialect.ts"
import { slotsOf } from "./keyLock.ts"
import { type Row, rowOf } from "./row.ts"

/** How an outbox of this package takes the events of a transaction. */
export interface Flush {
  /** In statements of their own, in the open transaction. */
  readonly append: OutboxStorage["Type"]["append"]
  /**
   * As text for the round trip of the COMMIT. `undefined`: it is not to be had as text, or so much that the round trip
   * is the smaller part.
   */
  readonly text: (messages: ReadonlyArray<Outgoing>) => string | undefined
  /** What it means that the text failed. */
  readonly storageError: (error: SqlError) => StorageError
}

/**
 * How much of values goes with the COMMIT. As text a value has up to twice its length, while parameters are sent as they
 * are; and servers take 16 MiB at once, some less.
 */
const most = 64 * 1024

const sizeOf = (rows: ReadonlyArray<Row>): number => {
  let size = 0
  for (const row of rows) {
    for (const value of row) size += value === null || typeof value === "number" ? 8 : value.length
  }
  return size
}

export const makeFlush = (options: {
  readonly sql: SqlClient
  readonly dialect: Dialect
  readonly names: Names
  readonly buckets: number
  readonly execute: (query: Query) => Effect.Effect<unknown, StorageError>
  readonly storageError: (error: SqlError) => StorageError
}): Flush => {
  const { buckets, dialect, execute, names, sql, storageError } = options
  const locks = (messages: ReadonlyArray<Outgoing>): string => dialect.append.lock(names, slotsOf(messages))
  const rows = (messages: ReadonlyArray<Outgoing>): ReadonlyArray<Row> =>
    messages.map((message) => rowOf(message, buckets))
  return {
    append: (messages) =>
      Effect.suspend(() => {
        const lock = locks(messages)
        const inserts = Effect.forEach(dialect.append.statements(names, rows(messages)), execute, { discard: true })
        return lock === ""
          ? inserts
          : Effect.zipRight(Effect.mapError(sql.unsafe(lock).unprepared, storageError), inserts)
      }),
    text: (messages) => {
      const all = rows(messages)
      const inserts = sizeOf(all) > most ? undefined : dialect.append.text(names, all)
      const lock = locks(messages)
      return inserts === undefined || lock === "" ? inserts : `${lock}; ${inserts}`
    },
    storageError
  }
}

const flushes = new WeakMap<OutboxStorage["Type"], Flush>()

/** Marks a storage as one of this package, for `flushOf`. One that was made of it in another way is none. */
export const withFlush = (flush: Flush, storage: OutboxStorage["Type"]): OutboxStorage["Type"] => {
  flushes.set(storage, flush)
  return storage
}

export const flushOf = (storage: OutboxStorage["Type"]): Flush | undefined => flushes.get(storage)
