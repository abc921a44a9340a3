import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { Isolation } from "@effect-cqrs/core/Transactor"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { mysql } from "./mysql/dialect.ts"
import { postgres } from "./postgres/dialect.ts"
import { sqlite } from "./sqlite/dialect.ts"

/**
 * A statement's text and its parameters. One that is marked as `text` differs each time and is not to be prepared: the
 * server would keep each of them on its connection.
 */
export type Query = readonly [text: string, params: ReadonlyArray<unknown>, mode?: "text"]

/** What one kind of database does in its own way. Everything that differs between databases is in here. */
export interface Dialect {
  readonly transaction: {
    /**
     * Begins on a fresh connection, so that `commit` can notice when the server has ended the transaction by itself.
     * May be interrupted; `rollback` is called whatever came of it.
     */
    readonly begin: (options: {
      readonly connection: Connection
      readonly isolation: Isolation | undefined
      /** For statements about this connection that have to come over another one. */
      readonly sql: SqlClient
    }) => Effect.Effect<Begun, SqlError>
    /** Makes sure, before the last statements, that the transaction is still the one that began. */
    readonly seal: (connection: Connection) => Effect.Effect<void, CommitFailure>
    /** Succeeds only if the server has said that everything is stored. Seals first, unless that is done. */
    readonly commit: (
      connection: Connection,
      options: { readonly isSealed: boolean }
    ) => Effect.Effect<void, CommitFailure>
    /** Leaves the connection as it came. */
    readonly rollback: (connection: Connection) => Effect.Effect<void, SqlError>
    /** Asked after a statement has failed: whether the server took the whole transaction with it. */
    readonly isLost: (connection: Connection, error: SqlError) => Effect.Effect<boolean>
    /** Whether an error says that an earlier statement's has already cost the transaction. */
    readonly isAborted: (error: unknown) => boolean
    /** Whether a statement would commit what came before it, if the database has such statements. */
    readonly commitsImplicitly: (statement: string) => boolean
    readonly isConflict: (error: unknown) => boolean
  }
  /** Whether a write has to begin a transaction to wait its turn behind another program's. */
  readonly writesWhole: boolean
  /** Whether statements that create tables are undone with a transaction, and wait for another program's. */
  readonly migratesWhole: boolean
  /** Creates the tables; one entry per version, each a list of statements that may be run again. */
  readonly migrations: (names: Names) => ReadonlyArray<{
    readonly id: number
    readonly name: string
    readonly statements: ReadonlyArray<string>
  }>
  readonly outbox: {
    readonly append: (names: Names, rows: ReadonlyArray<NewRow>) => ReadonlyArray<Query>
    /** The sequences and payload sizes that may be read now, in order; `buckets` is `undefined` for all of them. */
    readonly heads: (names: Names, options: {
      readonly buckets: ReadonlyArray<number> | undefined
      readonly except: ReadonlyArray<string>
      readonly limit: number
    }) => Query
    /** Whole rows, in order. */
    readonly rows: (names: Names, sequences: ReadonlyArray<bigint>) => Query
    /** As part of an open transaction. */
    readonly remove: (names: Names, sequences: ReadonlyArray<bigint>) => Query
    /**
     * Alone and behind the fence: if the relay of this token (unless it is 0) is gone, or goes before this statement has
     * its turn, nothing is removed.
     */
    readonly removeFenced: (names: Names, sequences: ReadonlyArray<bigint>, token: bigint) => Query
    readonly defer: (names: Names, row: {
      readonly sequence: bigint
      readonly attempts: number
      readonly delayMicros: number
      readonly reason: string
    }) => Query
    readonly bury: (names: Names, row: {
      readonly sequence: bigint
      readonly attempts: number
      readonly policy: "halt" | "skip"
      readonly reason: string
    }) => Query
    readonly statistics: (names: Names) => Query
    readonly dead: (names: Names, options: { readonly topic: string | undefined; readonly limit: number }) => Query
    readonly redrive: (names: Names, sequences: ReadonlyArray<bigint>) => Query
    readonly discard: (names: Names, sequences: ReadonlyArray<bigint>) => Query
  }
  readonly lease: {
    /** The buckets that there are; run again it changes nothing. */
    readonly create: (names: Names, buckets: number) => Query
    /** A relay of its own, with an id that was never used; its lease ends after this many microseconds. */
    readonly register: (names: Names, termMicros: number) => Query
    readonly registered: (raw: unknown) => bigint
    /** Lengthens the lease of a relay that has not run out. */
    readonly renew: (names: Names, relay: bigint, termMicros: number) => Query
    /** The relays and whether their leases run: `id`, `alive` (1 or 0). */
    readonly relays: (names: Names) => Query
    /** The buckets and who owns them: `bucket`, `relay`. */
    readonly owners: (names: Names) => Query
    /** Removes relays whose leases have run out. */
    readonly reap: (names: Names, relays: ReadonlyArray<bigint>) => Query
    /** Takes buckets that are free, or belong to relays that are gone. */
    readonly claim: (
      names: Names,
      relay: bigint,
      buckets: ReadonlyArray<number>,
      gone: ReadonlyArray<bigint>
    ) => Query
    /** Gives buckets back. */
    readonly release: (names: Names, relay: bigint, buckets: ReadonlyArray<number>) => Query
    /** A relay's end, at once. */
    readonly leave: (names: Names, relay: bigint) => Query
    /** Answers a row if the relay is there, and keeps it there until the transaction ends. */
    readonly hold: (names: Names, relay: bigint) => Query
  }
  readonly settings: {
    /** Stores a value unless there is one. */
    readonly remember: (names: Names, name: string, value: string) => Query
  }
  readonly inbox: {
    readonly register: (names: Names, key: InboxKey) => Query
    /** An error that says the key is there already, where that is an error. */
    readonly isDuplicate: (error: SqlError) => boolean
    /** A row if a handler has started with the message. */
    readonly isStarted: (names: Names, message: Omit<InboxKey, "handler">) => Query
    /**
     * Notes a start. What the last one left behind is a death if that one was alone and of another incarnation.
     */
    readonly start: (names: Names, key: InboxKey, start: {
      readonly incarnation: string
      readonly isAlone: boolean
    }) => Query
    /** The deaths before it, from what `start` answered. */
    readonly deaths: (raw: unknown) => number
    readonly forget: (names: Names, key: InboxKey) => Query
    /** Removes the oldest rows that are older than so many microseconds, at most `limit` of each table. */
    readonly purge: (options: {
      readonly names: Names
      readonly retentionMicros: number
      readonly limit: number
      readonly query: (query: Query) => Effect.Effect<ReadonlyArray<object>, StorageError>
      /** Answers how many rows it wrote. */
      readonly write: (query: Query) => Effect.Effect<number, StorageError>
    }) => Effect.Effect<number, StorageError>
  }
  /** How many rows a raw result, or what a text statement answered, says were written. */
  readonly affected: (raw: unknown) => number
  /** Those of some tables that are there. */
  readonly existing: (tables: ReadonlyArray<string>) => Query
  readonly isMissingTable: (error: SqlError) => boolean
  /** A value does not fit its column. */
  readonly isTooLong: (error: SqlError) => boolean
}

export interface Begun {
  /** Stops the statement that is running, where the driver does not when it is interrupted. */
  readonly cancel: Effect.Effect<void>
  /** Ends the connection, so that a transaction that could not be rolled back goes with it. */
  readonly destroy: Effect.Effect<void>
}

interface NewRow {
  readonly id: string
  readonly name: string
  readonly topic: string
  readonly partitionKey: string | null
  readonly bucket: number
  readonly attributes: string
  readonly headers: string
  readonly contentEncoding: string
  readonly correlationId: string
  readonly causationId: string | null
  readonly payload: Uint8Array
}

interface InboxKey {
  readonly consumer: string
  readonly handler: string
  readonly source: string
  readonly messageId: string
}

/**
 * - `rolledBack`: the server had ended the transaction before COMMIT.
 * - `implicit`: a statement had committed what came before it.
 * - `refused`: COMMIT failed.
 * - `unknown`: the connection was lost during COMMIT.
 */
export interface CommitFailure {
  readonly at: "rolledBack" | "implicit" | "refused" | "unknown"
  readonly error: SqlError
}

export interface Names {
  readonly outbox: string
  readonly inbox: string
  readonly inboxStart: string
  readonly settings: string
  readonly relay: string
  readonly lease: string
  readonly migrations: string
}

export const dialectOf = (sql: SqlClient): Effect.Effect<Dialect, StorageError> =>
  sql.onDialectOrElse({
    sqlite: () => Effect.succeed(sqlite),
    mysql: () => Effect.succeed(mysql),
    pg: () => Effect.succeed(postgres),
    orElse: () =>
      Effect.fail(
        new StorageError({
          reason: "Configuration",
          message: "The tables can be kept in MariaDB, MySQL, PostgreSQL and SQLite: give this layer the client of " +
            "@effect/sql-mysql2, @effect/sql-pg or @effect/sql-sqlite-node"
        })
      )
  })

/** Names of tables from a prefix that is an identifier and nothing else. */
export const namesOf = (prefix: string): Effect.Effect<Names, StorageError> =>
  /^[A-Za-z_][A-Za-z0-9_]{0,30}$/.test(prefix)
    ? Effect.succeed({
      outbox: `${prefix}outbox`,
      inbox: `${prefix}inbox`,
      inboxStart: `${prefix}inbox_start`,
      settings: `${prefix}settings`,
      relay: `${prefix}relay`,
      lease: `${prefix}lease`,
      migrations: `${prefix}migrations`
    })
    : Effect.fail(
      new StorageError({
        reason: "Configuration",
        message:
          "The prefix of the tables must be a letter or underscore, followed by at most 30 letters, digits and " +
          "underscores"
      })
    )
