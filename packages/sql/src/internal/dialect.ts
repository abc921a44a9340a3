import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { Isolation } from "@effect-cqrs/core/Transactor"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { mysql } from "./mysql/dialect.ts"
import { postgres } from "./postgres/dialect.ts"
import type { Row } from "./row.ts"
import { sqlite } from "./sqlite/dialect.ts"

/**
 * A statement's text and its parameters. One that is marked as `text` differs each time and is not to be prepared: the
 * server would keep each of them on its connection.
 */
export type Query = readonly [text: string, params: ReadonlyArray<unknown>, mode?: "text"]

/** What one kind of database does in its own way. Everything that differs between databases is in here. */
export interface Dialect {
  readonly server: {
    /** What the server calls its version, as an expression. */
    readonly version: string
    readonly productOf: (version: string) => Product
  }
  readonly transaction: {
    /** Before a connection is asked for: lets others have their turn, where the database does not. */
    readonly turn: Effect.Effect<void>
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
    /**
     * The same as a text, for the round trip of the first statement; `undefined` where that cannot be, or on a connection
     * of which something is still to be asked. It may be run again on a connection where it has.
     */
    readonly opening: (options: {
      readonly connection: Connection
      readonly isolation: Isolation | undefined
    }) => Opening | undefined
    /** Makes sure, before the last statements, that the transaction is still the one that began. */
    readonly seal: (connection: Connection) => Effect.Effect<void, CommitFailure>
    /**
     * Succeeds only if the server has said that everything is stored. Seals first, unless that is done; then runs the
     * flush, in the same round trip.
     */
    readonly commit: (
      connection: Connection,
      options: { readonly isSealed: boolean; readonly flush?: string | undefined }
    ) => Effect.Effect<void, CommitFailure | FlushFailure>
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
  /** The table in which @effect/sql's Migrator remembers what was applied, in the shape it creates it. */
  readonly migrationsTable: (name: string) => string
  /** A name as the database spells it where it stands without quotes. */
  readonly unquoted: (name: string) => string
  readonly append: {
    /** Statements that insert rows, with parameters. */
    readonly statements: (names: Names, rows: ReadonlyArray<Row>) => ReadonlyArray<Query>
    /**
     * One statement that inserts them, with literals that are safe in any session; `undefined` if there is none, or no
     * use for one.
     */
    readonly text: (names: Names, rows: ReadonlyArray<Row>) => string | undefined
    /** Statements, as one text, that take locks one after the other until the transaction ends; empty if there are none. */
    readonly lock: (names: Names, slots: ReadonlyArray<number>) => string
    /** The tables that these locks are in. */
    readonly lockTables: (names: Names) => ReadonlyArray<string>
  }
  readonly outbox: (names: Names, buckets: number) => OutboxStatements
  readonly deadLetters: (names: Names, buckets: number) => DeadLetterStatements
  readonly lease: {
    /** The buckets that there are; run again it changes nothing. */
    readonly create: (names: Names, buckets: number) => Query
    /** A relay of its own, with an id that was never used; its lease ends after this many microseconds. */
    readonly register: (names: Names, termMicros: number) => Query
    readonly registered: (raw: unknown) => bigint
    /** Lengthens the lease of a relay that has not run out. */
    readonly renew: (names: Names, relay: bigint, termMicros: number) => Query
    /** The relays, whether their leases run, for how many microseconds, and what they report: `id`, `alive` (1 or 0),
     * `expiresIn`, `suspended`. */
    readonly relays: (names: Names) => Query
    /** The buckets, who owns them and what speaks against them: `bucket`, `relay`, `deaths`, `suspect`, `suspectDeaths`. */
    readonly owners: (names: Names) => Query
    /** Removes relays whose leases have run out. */
    readonly reap: (names: Names, relays: ReadonlyArray<bigint>) => Query
    /**
     * Takes buckets that are free, or belong to relays that are gone: those died, and that speaks against the bucket and
     * the entry that was suspected.
     */
    readonly claim: (
      names: Names,
      relay: bigint,
      buckets: ReadonlyArray<number>,
      gone: ReadonlyArray<bigint>
    ) => Query
    /** Notes the entry to blame for a death from now on, or that none is, if the relay is there and owns the bucket. */
    readonly suspect: (names: Names, relay: bigint, bucket: number, sequence: bigint | undefined) => Query
    /** Forgets what speaks against buckets of a relay. */
    readonly acquit: (names: Names, relay: bigint, buckets: ReadonlyArray<number>) => Query
    /** Notes what a relay says of itself. */
    readonly report: (names: Names, relay: bigint, suspended: string) => Query
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
    readonly read: (names: Names, name: string) => Query
    /** Adds one to a value that is a number. */
    readonly increment: (names: Names, name: string) => Query
  }
  readonly inbox: {
    readonly register: (names: Names, key: InboxKey) => Query
    /** Whether it was not there, from what `register` answered. */
    readonly isNew: (raw: unknown) => boolean
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
  readonly idempotency: {
    readonly claim: (names: Names, key: IdempotencyKey, fingerprint: string) => Query
    /** An error that says the key is taken, where that is an error. */
    readonly isTaken: (error: SqlError) => boolean
    /** `fingerprint`, `outcome`, `body` behind a key, as they are now, whatever the transaction has read before. */
    readonly stored: (names: Names, key: IdempotencyKey) => Query
    readonly answer: (
      names: Names,
      key: IdempotencyKey,
      answer: { readonly outcome: string; readonly body: string }
    ) => Query
    /** Removes the oldest rows that are older than so many microseconds, at most `limit`. */
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
  /** `name`: the indexes of some tables. */
  readonly indexes: (tables: ReadonlyArray<string>) => Query
  readonly isMissingTable: (error: SqlError) => boolean
  /** The user may not do this, or not come in. */
  readonly isDenied: (error: unknown) => boolean
  /** A value does not fit its column. */
  readonly isTooLong: (error: SqlError) => boolean
}

export type Product = "MariaDB" | "MySQL" | "PostgreSQL" | "SQLite"

export interface Begun {
  /** Stops the statement that is running, where the driver does not when it is interrupted. */
  readonly cancel: Effect.Effect<void>
  /** Ends the connection, so that a transaction that could not be rolled back goes with it. */
  readonly destroy: Effect.Effect<void>
}

/** The beginning of a transaction, before its first statement. */
export interface Opening {
  readonly begun: Begun
  readonly text: string
  /** How many statements the text has: each has an answer of its own. */
  readonly count: number
}

/** Where to read: a bucket, above a sequence, at most so many, without those whose topic and key have one of the hashes. */
export interface HeadsOf {
  readonly bucket: number
  readonly after: bigint | undefined
  readonly limit: number
  readonly except: ReadonlyArray<number>
}

/**
 * Statements of the relay, and of what watches over it. Rows come with the columns of `EntryRow`, in no promised order; whole
 * numbers in text as what they are.
 */
export interface OutboxStatements {
  /** How many ranges one `read` takes. */
  readonly rangesPerRead: number
  /**
   * The first rows of some ranges, at most `limit`, and no more after the one that brings their payloads to `maxBytes`. With
   * `strange` also those that are where no row of this library's is, above a sequence.
   */
  readonly read: (options: {
    readonly from: ReadonlyArray<HeadsOf>
    readonly strange: Pick<HeadsOf, "after" | "limit"> | undefined
    /** Hashes. */
    readonly exceptTopics: ReadonlyArray<number>
    readonly limit: number
    readonly maxBytes: number
  }) => Query
  readonly pending: (sequences: ReadonlyArray<bigint>) => Query
  /** `sequence`, `bucket` (the place), `topic`, `partition_key`, `due`: microseconds from now, below
   * 0 if it is overdue, or null for a dead letter. */
  readonly waiting: (buckets: ReadonlyArray<number>) => Query
  /** `sequence`: the largest, or null. */
  readonly tail: Query
  /**
   * Removes or keeps what was delivered. With a token alone and behind the fence: if its relay (unless it is 0) is gone, or
   * goes before this statement has its turn, nothing is changed. Without, in a transaction that holds the relay's row.
   */
  readonly deliver: (sequences: ReadonlyArray<bigint>, options: {
    readonly keep: boolean
    readonly token: bigint | undefined
  }) => Query
  /** In a transaction that holds the relay's row. */
  readonly defer: (sequences: ReadonlyArray<bigint>, row: {
    readonly attempts: number
    readonly delayMicros: number
    readonly reason: string
  }) => Query
  readonly bury: (sequences: ReadonlyArray<bigint>, row: {
    readonly attempts: number
    readonly policy: "halt" | "skip"
    readonly reason: string
  }) => Query
  /** `sequence`: some that were kept longer ago, the oldest. */
  readonly purgeable: (options: { readonly olderMicros: number; readonly limit: number }) => Query
  readonly purge: (sequences: ReadonlyArray<bigint>) => Query
  /** `count`: how many were kept longer ago. */
  readonly purgeableCount: (olderMicros: number) => Query
  /** `pending`, `dead`, `age` in microseconds. */
  readonly statistics: Query
  /** The first pending rows, with the columns of `PendingRow`, in no promised order. */
  readonly backlog: (where: Where, limit: number) => Query
  /** `topic`, `count`, `age` in microseconds. */
  readonly backlogCounts: Query
}

/** Which rows. */
export interface Where {
  readonly topic: { readonly text: string; readonly hash: number } | undefined
  /** The hash is that of topic and key. */
  readonly key: { readonly text: string; readonly hash: number | undefined } | undefined
  readonly after: bigint | undefined
}

/** Which dead letters; times in microseconds since 1970. */
export interface DeadWhere extends Where {
  readonly since: number | undefined
  readonly until: number | undefined
}

export interface DeadLetterStatements {
  /** How many buckets one `list` takes. */
  readonly bucketsPerList: number
  /** The first rows beside some buckets, with the columns of `DeadRow`, in no promised order. */
  readonly list: (
    where: DeadWhere,
    options: { readonly buckets: ReadonlyArray<number>; readonly limit: number }
  ) => Query
  /** `topic`, `reason`, `count`. */
  readonly counts: (where: DeadWhere) => Query
  readonly redrive: (sequences: ReadonlyArray<bigint>) => Query
  readonly discard: (sequences: ReadonlyArray<bigint>) => Query
}

interface IdempotencyKey {
  readonly scope: string
  readonly key: string
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
 * - `unknown`: the connection was lost when COMMIT may have been reached.
 */
export interface CommitFailure {
  readonly at: "rolledBack" | "implicit" | "refused" | "unknown"
  readonly error: SqlError
}

/** The flush that shared COMMIT's round trip failed, and the transaction is still to be rolled back. */
interface FlushFailure {
  readonly at: "flush"
  readonly error: SqlError
}

export interface Names {
  readonly outbox: string
  readonly inbox: string
  readonly inboxStart: string
  readonly idempotency: string
  readonly settings: string
  readonly relay: string
  readonly lease: string
  readonly keyLock: string
  readonly migrations: string
}

export const dialects = { mysql, postgres, sqlite }

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

export const isPrefix = (prefix: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,30}$/.test(prefix)

export const prefixMustBe = "must be a letter or underscore, followed by at most 30 letters, digits and underscores"

/** Names of tables from a prefix that is an identifier and nothing else. */
export const namesOf = (prefix: string): Effect.Effect<Names, StorageError> =>
  isPrefix(prefix)
    ? Effect.succeed({
      outbox: `${prefix}outbox`,
      inbox: `${prefix}inbox`,
      inboxStart: `${prefix}inbox_start`,
      idempotency: `${prefix}idempotency`,
      settings: `${prefix}settings`,
      relay: `${prefix}relay`,
      lease: `${prefix}lease`,
      keyLock: `${prefix}key_lock`,
      migrations: `${prefix}migrations`
    })
    : Effect.fail(
      new StorageError({
        reason: "Configuration",
        message: `The prefix of the tables ${prefixMustBe}`
      })
    )
