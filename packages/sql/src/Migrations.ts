/**
 * The tables of outbox, inbox and idempotency keys, as migrations in a table of their own.
 *
 * @since 0.1.0
 */
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { dialectOf, dialects, namesOf } from "./internal/dialect.ts"
import { checkServer, unanswered } from "./internal/server.ts"
import { verify } from "./internal/tables.ts"
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
    yield* checkServer(sql, dialect)
    const loader: Migrator.Loader = Effect.succeed(
      dialect.migrations(names).map(({ id, name, statements }): Migrator.ResolvedMigration => [
        id,
        name,
        Effect.succeed(Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true }))
      ])
    )
    const failed = (cause: unknown) =>
      dialect.isDenied(cause) ? unanswered(dialect)(cause) : new StorageError({
        reason: "Schema",
        message: `The migrations of ${names.outbox} failed: see the cause. They may be run again`,
        cause
      })
    const migrate = sql.unsafe(dialect.migrationsTable(names.migrations)).pipe(
      Effect.zipRight(Migrator.make({})({ loader, table: dialect.unquoted(names.migrations) })),
      Effect.catchAllDefect((cause) => Effect.fail(failed(cause)))
    )
    const applied = yield* Effect.mapError(
      // inside this transaction, that of the migrator is a savepoint: it would not wait for another program's
      dialect.migratesWhole
        ? whole(sql, dialect)(migrate)
        : Effect.retry(migrate, { schedule: elsewhere, until: dialect.isDenied }),
      (error) => error instanceof StorageError ? error : failed(error)
    )
    if (!dialect.migratesWhole) yield* Effect.retry(verify(sql, dialect, names), elsewhere)
    return applied.map(([id, name]) => `${id}_${name}`)
  })

/**
 * What {@link run} would apply to an empty database, as one text of statements for a team whose database is changed by
 * others: with it a start without `migrate` finds everything in place, and `run` has nothing left to do. Running it
 * again changes nothing.
 *
 * Each statement ends with a semicolon at the end of a line, and they belong into one database and schema: the one that
 * the program's connections use. On PostgreSQL and SQLite they may be run in one transaction.
 *
 * Fails with the reason `Configuration` if the prefix cannot be.
 *
 * @example
 * ```ts
 * import { Migrations } from "@effect-cqrs/sql"
 * import { Console, Effect } from "effect"
 *
 * const print = Effect.flatMap(Migrations.sql({ dialect: "postgres" }), Console.log)
 *
 * await Effect.runPromise(print)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const sql = (
  options: {
    /** `mysql` is MariaDB as well. */
    readonly dialect: "mysql" | "postgres" | "sqlite"
    /** What the names of the tables begin with. Default `cqrs_`. */
    readonly prefix?: string | undefined
  }
): Effect.Effect<string, StorageError> =>
  Effect.map(namesOf(options.prefix ?? "cqrs_"), (names) => {
    const dialect = dialects[options.dialect]
    return [
      dialect.migrationsTable(names.migrations),
      ...dialect.migrations(names).flatMap(({ id, name, statements }) => [
        ...statements,
        `insert into ${names.migrations} (migration_id, name) select ${id}, '${name}' ` +
        `where not exists (select 1 from ${names.migrations} where migration_id = ${id})`
      ])
    ].map((statement) => `${statement};\n`).join("\n")
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Another program is at it: two that create one table at a time get in each other's way, and one is told it is done. */
const elsewhere = Schedule.intersect(Schedule.spaced("200 millis"), Schedule.recurUpTo("10 seconds"))
