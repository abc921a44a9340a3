/**
 * The tables of outbox and inbox, as migrations in a table of their own.
 *
 * @since 0.1.0
 */
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { versionOf } from "./internal/tables.ts"

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
    const others = new StorageError({
      reason: "Unavailable",
      message: `Another program has been applying the migrations of ${names.outbox} for a while: try again`
    })
    const failed = (cause: unknown) =>
      new StorageError({
        reason: "Schema",
        message: `The migrations of ${names.outbox} failed and were undone: see the cause`,
        cause
      })
    const expected = dialect.migrations(names).at(-1)!.id
    const applied = yield* Migrator.make({})({ loader, table: names.migrations }).pipe(
      Effect.mapError(failed),
      Effect.catchAllDefect((cause) => Effect.fail(failed(cause))),
      // the migrator answers as if there were nothing to do while another program is at it
      Effect.tap(() =>
        Effect.flatMap(Effect.mapError(versionOf(sql, names), failed), (version) =>
          version < expected ? Effect.fail(others) : Effect.void)
      ),
      Effect.retry(Schedule.whileInput(
        patience,
        (error: StorageError) =>
          error === others || dialect.transaction.isConflict(error)
      ))
    )
    return applied.map(([id, name]) => `${id}_${name}`)
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const patience = Schedule.intersect(Schedule.spaced("20 millis"), Schedule.recurUpTo("10 seconds"))
