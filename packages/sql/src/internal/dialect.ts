import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { Isolation } from "@effect-cqrs/core/Transactor"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { sqlite } from "./sqlite.ts"

/** What one kind of database does in its own way. Everything that differs between databases is in here. */
export interface Dialect {
  readonly transaction: {
    /**
     * Begins on a fresh connection, with a savepoint as a guard: a transaction that the server has rolled back by itself
     * has lost it, so that `commit` notices. May be interrupted; `rollback` is called whatever came of it.
     */
    readonly begin: (
      connection: Connection,
      isolation: Isolation | undefined
    ) => Effect.Effect<void, SqlError>
    /** Fails at the guard (`guard`) or at COMMIT (`commit`). */
    readonly commit: (connection: Connection) => Effect.Effect<void, CommitFailure>
    readonly rollback: (connection: Connection) => Effect.Effect<void, SqlError>
    /** Asked after a statement has failed: whether the server took the whole transaction with it. */
    readonly isLost: (connection: Connection) => Effect.Effect<boolean>
    readonly isConflict: (error: unknown) => boolean
  }
  /** Creates the tables; one entry per version, each a list of statements. */
  readonly migrations: (names: Names) => ReadonlyArray<{
    readonly id: number
    readonly name: string
    readonly statements: ReadonlyArray<string>
  }>
  readonly outbox: OutboxStatements
  readonly inbox: {
    /** Parameters: consumer, handler, source, message id. */
    readonly register: (names: Names) => string
    /** How many rows a raw result says were written. */
    readonly written: (raw: unknown) => number
  }
  /** Those of some tables that are there. Parameter: names as a JSON array. */
  readonly existing: string
  readonly isMissingTable: (error: SqlError) => boolean
}

export interface CommitFailure {
  readonly at: "guard" | "commit"
  readonly error: SqlError
}

export interface Names {
  readonly outbox: string
  readonly inbox: string
  readonly settings: string
  readonly migrations: string
}

interface OutboxStatements {
  /** Parameters: id, name, topic, partition key, bucket, attributes, headers, encoding, correlation, causation, payload. */
  readonly insert: (names: Names) => string
  /**
   * The sequences and payload sizes that may be read now, in order. Parameters: buckets as a JSON array, topics to leave
   * out as a JSON array, limit.
   */
  readonly heads: (names: Names) => string
  /** Whole rows, in order. Parameter: sequences as a JSON array. */
  readonly rows: (names: Names) => string
  /** Parameter: sequences as a JSON array. */
  readonly remove: (names: Names) => string
  /** Parameters: attempts, delay in microseconds, reason, sequence. */
  readonly defer: (names: Names) => string
  /** Parameters: attempts, policy, reason, sequence. */
  readonly bury: (names: Names) => string
  readonly statistics: (names: Names) => string
  /** Parameters: topic or NULL (twice), limit. */
  readonly dead: (names: Names) => string
  /** Parameter: sequences as a JSON array. */
  readonly redrive: (names: Names) => string
  /** Parameter: sequences as a JSON array. */
  readonly discard: (names: Names) => string
  /** Parameters: name, value. */
  readonly remember: (names: Names) => string
  readonly affected: (raw: unknown) => number
}

export const dialectOf = (sql: SqlClient): Effect.Effect<Dialect, StorageError> =>
  sql.onDialectOrElse({
    sqlite: () => Effect.succeed(sqlite),
    orElse: () =>
      Effect.fail(
        new StorageError({
          reason: "Configuration",
          message: "This version stores its tables in SQLite only: give it the client of @effect/sql-sqlite-node"
        })
      )
  })

/** Names of tables from a prefix that is an identifier and nothing else. */
export const namesOf = (prefix: string): Effect.Effect<Names, StorageError> =>
  /^[A-Za-z_][A-Za-z0-9_]{0,30}$/.test(prefix)
    ? Effect.succeed({
      outbox: `${prefix}outbox`,
      inbox: `${prefix}inbox`,
      settings: `${prefix}settings`,
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
