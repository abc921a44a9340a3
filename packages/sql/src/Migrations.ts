/**
 * The tables of outbox and inbox, as migrations in a table of their own.
 *
 * @since 0.1.0
 */
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { whole } from "./internal/whole.ts"

/**
 * Applies what is missing, and answers with the names of what it applied. What it applied is remembered in the table
 * `migrations` behind the prefix, apart from the application's own migrations. Safe to call at each start: programs that
 * start at the same time apply a migration once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (
  options?: {
    /** What the names of the tables begin with. Default `cqrs_`. */
    readonly prefix?: string | undefined
  } | undefined
): Effect.Effect<ReadonlyArray<string>, StorageError, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const dialect = yield* dialectOf(sql)
    const names = yield* namesOf(options?.prefix ?? "cqrs_")
    const loader: Migrator.Loader = Effect.succeed(
      dialect.migrations(names).map(({ id, name, statements }): Migrator.ResolvedMigration => [
        id,
        name,
        Effect.succeed(Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true }))
      ])
    )
    const failed = (cause: unknown) =>
      new StorageError({
        reason: "Schema",
        message: `The migrations of ${names.outbox} failed and were undone: see the cause`,
        cause
      })
    // inside this transaction, that of the migrator is a savepoint: it would not wait for another program's
    const applied = yield* whole(sql, dialect)(Migrator.make({})({ loader, table: names.migrations })).pipe(
      Effect.mapError(failed),
      Effect.catchAllDefect((cause) => Effect.fail(failed(cause)))
    )
    return applied.map(([id, name]) => `${id}_${name}`)
  })
