import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Dialect, Names, Query } from "./dialect.ts"
import { checkServer, unanswered } from "./server.ts"
import { whole } from "./whole.ts"

export interface Options {
  /** What the names of the tables begin with. Default `cqrs_`. */
  readonly prefix?: string | undefined
  /**
   * How many buckets the outbox has: the most relays that can share its work. Stored with the first start (default 64);
   * a start with another number is refused.
   */
  readonly buckets?: number | undefined
}

export const maxBuckets = 4096

export const isBuckets = (buckets: number): boolean =>
  Number.isSafeInteger(buckets) && buckets > 0 && buckets <= maxBuckets

/** A lease is renewed three times in its term: a shorter one would be lost to any pause. */
export const isLease = (lease: Duration.Duration): boolean => Duration.toMillis(lease) >= 100

/** All tables but that of the migrations. */
export const tablesOf = (dialect: Dialect, names: Names): ReadonlyArray<string> => [
  names.outbox,
  names.inbox,
  names.inboxStart,
  names.idempotency,
  names.settings,
  names.relay,
  names.lease,
  ...dialect.append.lockTables(names)
]

export const indexesOf = (
  names: Names
): ReadonlyArray<string> => [`${names.outbox}_bucket`, `${names.inbox}_handled_at`, `${names.idempotency}_claimed_at`]

/** The last migration that was applied, or 0. */
export const versionOf = (sql: SqlClient, names: Names): Effect.Effect<number, SqlError> =>
  Effect.map(
    sql.unsafe<{ readonly id: number | null }>(`select max(migration_id) as id from ${names.migrations}`)
      .withoutTransform,
    ([row]) => Number(row?.id ?? 0)
  )

const query = <A extends object>(sql: SqlClient, dialect: Dialect, [text, params]: Query) =>
  Effect.mapError(sql.unsafe<A>(text, params).withoutTransform, unanswered(dialect))

/** Checks that the server is new enough, and that the tables are there and of this version. */
export const verify = (sql: SqlClient, dialect: Dialect, names: Names): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const check = (tables: ReadonlyArray<string>) =>
      Effect.flatMap(query<{ readonly name: string }>(sql, dialect, dialect.existing(tables)), (found) => {
        const missing = tables.filter((table) => !found.some(({ name }) => name === table))
        const [noun, verb] = missing.length === 1 ? ["table", "is"] : ["tables", "are"]
        return missing.length === 0 ? Effect.void : new StorageError({
          reason: "Schema",
          message: `The ${noun} ${missing.join(", ")} ${verb} missing: run the migrations of @effect-cqrs/sql ` +
            "(Migrations.run), or check the prefix"
        })
      })

    yield* checkServer(sql, dialect)
    const expected = dialect.migrations(names).at(-1)!
    yield* check([names.migrations])
    const version = yield* Effect.mapError(versionOf(sql, names), unanswered(dialect))
    if (version !== expected.id) {
      return yield* new StorageError({
        reason: "Schema",
        message: version < expected.id
          ? `The tables ${names.outbox} and ${names.inbox} are of version ${version}, this program needs ${expected.id}: ` +
            "run the migrations of @effect-cqrs/sql (Migrations.run)"
          : `The tables ${names.outbox} and ${names.inbox} are of version ${version}, newer than this program's ` +
            `${expected.id}: update @effect-cqrs/sql`
      })
    }
    yield* check(tablesOf(dialect, names))
  })

/** The number of buckets that is stored; the first to ask stores the one it wants. */
export const bucketsOf = (
  sql: SqlClient,
  dialect: Dialect,
  names: Names,
  wanted: number | undefined
): Effect.Effect<number, StorageError> =>
  Effect.gen(function*() {
    if (wanted !== undefined && !isBuckets(wanted)) {
      return yield* new StorageError({
        reason: "Configuration",
        message: `The outbox cannot have ${wanted} buckets: choose a whole number from 1 to ${maxBuckets}`
      })
    }
    const stored = query<{ readonly value: string }>(sql, dialect, [
      `select value from ${names.settings} where name = 'buckets'`,
      []
    ])
    const [text, params] = dialect.settings.remember(names, "buckets", String(wanted ?? 64))
    const remember = Effect.mapError(whole(sql, dialect)(sql.unsafe(text, params).raw), unanswered(dialect))
    const [setting] = yield* Effect.flatMap(stored, (rows) =>
      rows.length > 0 ? Effect.succeed(rows) : Effect.zipRight(remember, stored))
    const buckets = Number(setting?.value)
    if (!isBuckets(buckets)) {
      return yield* new StorageError({
        reason: "Corrupt",
        message: `The table ${names.settings} says that the outbox has ${JSON.stringify(setting?.value)} buckets: ` +
          "restore the number it was created with"
      })
    }
    if (wanted !== undefined && wanted !== buckets) {
      return yield* new StorageError({
        reason: "Configuration",
        message:
          `The outbox ${names.outbox} was created with ${buckets} buckets and ${wanted} are asked for: the number ` +
          `decides where a key's events are, so ask for ${buckets}, or for none`
      })
    }
    return buckets
  })
