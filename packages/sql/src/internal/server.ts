import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Dialect, Product } from "./dialect.ts"

/** The first versions that have all that the statements use. */
const oldest: Record<Product, ReadonlyArray<number>> = {
  MariaDB: [10, 6],
  MySQL: [8, 0, 22],
  PostgreSQL: [13],
  SQLite: [3, 38]
}

/** The numbers at the front of a version: `5.5.5-` is what MariaDB says there to clients that know none above 5. */
const numbersOf = (version: string): ReadonlyArray<number> =>
  /\d+(?:\.\d+)*/.exec(version.replace(/^5\.5\.5-(?=\d)/, ""))?.[0].split(".").map(Number) ?? []

/** The sentence about a version that is too old. A number that a version does not say is not held against it. */
export const complaint = (product: Product, version: string): string | undefined => {
  const found = numbersOf(version)
  const needed = oldest[product]
  const at = needed.findIndex((number, index) => found[index] !== number)
  return at < 0 || (found[at] ?? Infinity) > needed[at]!
    ? undefined
    : `The database is ${product} ${version}, and this library needs ${product} ${needed.join(".")} or later`
}

/** What a start makes of a statement that has failed. */
export const unanswered = (dialect: Dialect) => (cause: unknown): StorageError =>
  dialect.isDenied(cause)
    ? new StorageError({
      reason: "Configuration",
      message:
        "The database refused the program's user: check the user, the database, and what the user may do there " +
        "(create tables for the migrations, else read and write their rows)",
      cause
    })
    : new StorageError({ reason: "Unavailable", message: "The database did not answer", cause })

/** Checks that the server is not older than what the statements are written for. */
export const checkServer = (sql: SqlClient, dialect: Dialect): Effect.Effect<void, StorageError> =>
  sql.unsafe<{ readonly version: string }>(`select ${dialect.server.version} as version`).withoutTransform.pipe(
    Effect.mapError(unanswered(dialect)),
    Effect.flatMap(([row]) => {
      const version = String(row?.version)
      const message = complaint(dialect.server.productOf(version), version)
      return message === undefined ? Effect.void : new StorageError({ reason: "Configuration", message })
    })
  )
