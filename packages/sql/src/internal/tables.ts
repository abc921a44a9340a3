import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Dialect, Names } from "./dialect.ts"

export interface Options {
  /** What the names of the tables begin with. Default `cqrs_`. */
  readonly prefix?: string | undefined
  /**
   * How many buckets the outbox has: the most relays that can share its work. Stored with the first start (default 64);
   * a start with another number is refused.
   */
  readonly buckets?: number | undefined
}

/** Checks that the tables are there and of this version; answers with the number of buckets that is stored. */
export const verify = (
  sql: SqlClient,
  dialect: Dialect,
  names: Names,
  options: Options
): Effect.Effect<number, StorageError> =>
  Effect.gen(function*() {
    const wanted = options.buckets
    if (wanted !== undefined && !(Number.isSafeInteger(wanted) && wanted > 0 && wanted <= 4096)) {
      return yield* new StorageError({
        reason: "Configuration",
        message: `The outbox cannot have ${wanted} buckets: choose a whole number from 1 to 4096`
      })
    }
    const expected = dialect.migrations(names).at(-1)!
    const missing = (cause: SqlError) =>
      dialect.isMissingTable(cause)
        ? new StorageError({
          reason: "Schema",
          message:
            `The table ${names.migrations} is missing: run the migrations of @effect-cqrs/sql (Migrations.run), ` +
            "or check the prefix",
          cause
        })
        : new StorageError({ reason: "Unavailable", message: "The database did not answer", cause })

    const [applied] = yield* Effect.mapError(
      sql.unsafe<{ readonly id: number | null }>(`select max(migration_id) as id from ${names.migrations}`)
        .withoutTransform,
      missing
    )
    const version = applied?.id ?? 0
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
    yield* Effect.mapError(
      sql.unsafe(dialect.outbox.remember(names), ["buckets", String(wanted ?? 64)]).raw,
      missing
    )
    const [stored] = yield* Effect.mapError(
      sql.unsafe<{ readonly value: string }>(`select value from ${names.settings} where name = 'buckets'`)
        .withoutTransform,
      missing
    )
    const buckets = Number(stored?.value)
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
