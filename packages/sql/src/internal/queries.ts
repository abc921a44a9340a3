import type { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Dialect, Query } from "./dialect.ts"
import { whole } from "./whole.ts"

export type Queries = ReturnType<typeof queries>

/** How statements of a dialect are run: for their rows, or for how many rows they changed. */
export const queries = (sql: SqlClient, dialect: Dialect, storageError: (error: SqlError) => StorageError) => {
  const raw = (query: Query): Effect.Effect<unknown, SqlError> => answerOf(sql, query)
  const own = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
    dialect.writesWhole ? whole(sql, dialect)(effect) : effect
  /** A deadlock's victim, or one that waited for a lock too long: nothing of it was done. */
  const again = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.retry(effect, { while: dialect.transaction.isConflict, schedule: patience })
  const typed = <A, E>(effect: Effect.Effect<A, E | SqlError>): Effect.Effect<A, Exclude<E, SqlError> | StorageError> =>
    Effect.mapError(effect, (error) => error instanceof SqlError ? storageError(error) : error as Exclude<E, SqlError>)
  return {
    query: <A extends object>([text, params, mode]: Query): Effect.Effect<ReadonlyArray<A>, StorageError> => {
      const statement = sql.unsafe<A>(text, params)
      return Effect.mapError(mode === "text" ? statement.unprepared : statement.withoutTransform, storageError)
    },
    /** In the transaction that is open. */
    execute: (query: Query): Effect.Effect<number, StorageError> =>
      Effect.map(Effect.mapError(raw(query), storageError), dialect.affected),
    /** By itself, again if others were in its way; answers what the driver does. */
    write: (query: Query): Effect.Effect<unknown, StorageError> => typed(again(own(raw(query)))),
    /** All of it or nothing, again if others were in its way. */
    together: <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, Exclude<E, SqlError> | StorageError> =>
      typed(again(whole(sql, dialect)(effect)))
  }
}

/** What the driver answers to a statement, on the connection that is open, if one is. */
export const answerOf = (sql: SqlClient, [text, params, mode]: Query): Effect.Effect<unknown, SqlError> => {
  const statement = sql.unsafe(text, params)
  return mode === "text" ? statement.unprepared : statement.raw
}

/** The same on a connection. */
export const answerOn = (connection: Connection, [text, params, mode]: Query): Effect.Effect<unknown, SqlError> =>
  mode === "text" ? connection.executeUnprepared(text, params, undefined) : connection.executeRaw(text, params)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const patience = Schedule.intersect(Schedule.jittered(Schedule.exponential("5 millis")), Schedule.recurs(5))
