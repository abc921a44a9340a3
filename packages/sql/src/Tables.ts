/**
 * What is in the database, for those who look after it.
 *
 * @since 0.1.0
 */
import type { StorageError } from "@effect-cqrs/core/OutboxStorage"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { dialectOf, namesOf, type Query } from "./internal/dialect.ts"
import { complaint, unanswered } from "./internal/server.ts"
import { indexesOf, isBuckets, tablesOf, versionOf } from "./internal/tables.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Inspection {
  readonly server: {
    readonly product: "MariaDB" | "MySQL" | "PostgreSQL" | "SQLite"
    readonly version: string
    /** The sentence about a version that is older than what the statements are written for. */
    readonly complaint: string | undefined
  }
  /** The last migration that was applied, or 0. */
  readonly version: number
  /** The last migration that there is. */
  readonly expected: number
  /** What `Migrations.run` would apply, in order. */
  readonly outstanding: ReadonlyArray<{ readonly name: string; readonly statements: ReadonlyArray<string> }>
  /** All tables that there should be, with the one of the migrations. */
  readonly tables: ReadonlyArray<string>
  readonly missing: {
    readonly tables: ReadonlyArray<string>
    readonly indexes: ReadonlyArray<string>
  }
  /** How many buckets the outbox has; `undefined` before the first program has started with it, or if it is no number. */
  readonly buckets: number | undefined
}

/**
 * Looks at server and tables, and changes nothing. What is missing, older or newer is no error here.
 *
 * @example
 * ```ts
 * import { Tables } from "@effect-cqrs/sql"
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { Effect } from "effect"
 *
 * const { missing, server } = await Effect.runPromise(
 *   Effect.provide(Tables.inspect(), SqliteClient.layer({ filename: ":memory:" }))
 * )
 * console.log(server.product, missing.tables.length) // SQLite 8
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const inspect = (
  options?: {
    /** What the names of the tables begin with. Default `cqrs_`. */
    readonly prefix?: string | undefined
  } | undefined
): Effect.Effect<Inspection, StorageError, SqlClient> =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    const dialect = yield* dialectOf(sql)
    const names = yield* namesOf(options?.prefix ?? "cqrs_")
    const query = <A extends object>([text, params]: Query) =>
      Effect.mapError(sql.unsafe<A>(text, params).withoutTransform, unanswered(dialect))
    const absent = (all: ReadonlyArray<string>, found: ReadonlyArray<{ readonly name: string }>) => {
      const there = new Set(found.map(({ name }) => name.toLowerCase().replace(/^.*\./, "")))
      return all.filter((name) => !there.has(name.toLowerCase()))
    }
    const [server] = yield* query<{ readonly version: string }>([`select ${dialect.server.version} as version`, []])
    const version = String(server?.version)
    const product = dialect.server.productOf(version)
    const own = tablesOf(dialect, names)
    const tables = [names.migrations, ...own]
    const missing = absent(tables, yield* query<{ readonly name: string }>(dialect.existing(tables)))
    const indexes = absent(indexesOf(names), yield* query<{ readonly name: string }>(dialect.indexes(own)))
    const applied = missing.includes(names.migrations)
      ? 0
      : yield* Effect.mapError(versionOf(sql, names), unanswered(dialect))
    const [setting] = missing.includes(names.settings)
      ? []
      : yield* query<{ readonly value: string }>(dialect.settings.read(names, "buckets"))
    const buckets = Number(setting?.value)
    const migrations = dialect.migrations(names)
    return {
      server: { product, version, complaint: complaint(product, version) },
      version: applied,
      expected: migrations.at(-1)!.id,
      outstanding: migrations.filter(({ id }) => id > applied).map(({ id, name, statements }) => ({
        name: `${id}_${name}`,
        statements
      })),
      tables,
      missing: { tables: missing, indexes },
      buckets: isBuckets(buckets) ? buckets : undefined
    }
  })
