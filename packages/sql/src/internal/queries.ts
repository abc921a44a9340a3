import type { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Dialect, Query } from "./dialect.ts"
import { whole } from "./whole.ts"

/** How statements of a dialect are run: for their rows, or for how many rows they changed. */
export const queries = (sql: SqlClient, dialect: Dialect, storageError: (error: SqlError) => StorageError) => {
  const raw = ([text, params, mode]: Query): Effect.Effect<unknown, SqlError> => {
    const statement = sql.unsafe(text, params)
    return mode === "text" ? statement.unprepared : statement.raw
  }
  const own = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
    dialect.writesWhole ? whole(sql, dialect)(effect) : effect
  return {
    query: <A extends object>([text, params, mode]: Query): Effect.Effect<ReadonlyArray<A>, StorageError> => {
      const statement = sql.unsafe<A>(text, params)
      return Effect.mapError(mode === "text" ? statement.unprepared : statement.withoutTransform, storageError)
    },
    /** In the transaction that is open. */
    execute: (query: Query): Effect.Effect<number, StorageError> =>
      Effect.map(Effect.mapError(raw(query), storageError), dialect.affected),
    /** By itself; answers what the driver does. */
    write: (query: Query): Effect.Effect<unknown, StorageError> => Effect.mapError(own(raw(query)), storageError)
  }
}
