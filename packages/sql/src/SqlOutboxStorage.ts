/**
 * The outbox in a table beside the application's own.
 *
 * @since 0.1.0
 */
import { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Wake from "@effect-cqrs/core/Wake"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { deadLetters, revision } from "./internal/deadLetters.ts"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { makeFlush, withFlush } from "./internal/flush.ts"
import { queries } from "./internal/queries.ts"
import { reading } from "./internal/reading.ts"
import { settling } from "./internal/settling.ts"
import { bucketsOf, type Options, verify } from "./internal/tables.ts"

/**
 * The outbox of the program's `SqlClient`. Its tables must be there (see `Migrations`): the layer fails with a sentence
 * that names what is missing, or with the bucket count that is stored if another one is asked for.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options | undefined): Layer.Layer<OutboxStorage, StorageError, SqlClient> =>
  Layer.effect(OutboxStorage, make(options ?? {}))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const make = (options: Options) =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    const dialect = yield* dialectOf(sql)
    const names = yield* namesOf(options.prefix ?? "cqrs_")
    yield* verify(sql, dialect, names)
    const buckets = yield* bucketsOf(sql, dialect, names, options.buckets)
    const arrivals = yield* Wake.make
    const statements = dialect.outbox(names, buckets)

    const storageError = (error: SqlError): StorageError =>
      dialect.isMissingTable(error)
        ? new StorageError({
          reason: "Schema",
          message: `The table ${names.outbox} is missing or not as it should be: run the migrations`,
          cause: error
        })
        : dialect.isTooLong(error)
        ? new StorageError({
          reason: "Configuration",
          message:
            `An event does not fit into ${names.outbox}: its name, topic, key or one of its ids is too long, it holds a ` +
            "character that the database cannot store, or its payload is more than the server takes at a time " +
            "(max_allowed_packet of MariaDB and MySQL)",
          cause: error
        })
        : new StorageError({ reason: "Unavailable", message: "The outbox's database did not answer", cause: error })

    const run = queries(sql, dialect, storageError)
    // not written where it is there already: who only looks may have no right to
    const [known] = yield* run.query(dialect.settings.read(names, revision))
    if (known === undefined) yield* run.write(dialect.settings.remember(names, revision, "0"))

    const flush = makeFlush({ sql, dialect, names, buckets, execute: run.execute, storageError })

    return withFlush(flush, {
      buckets,
      arrivals,
      append: flush.append,
      ...reading(statements, buckets, run),
      ...settling(dialect, names, statements, run),
      ...deadLetters(dialect, names, buckets, dialect.deadLetters(names, buckets), run, arrivals.signal)
    })
  })
