/**
 * Idempotency keys in a table beside the application's own.
 *
 * @since 0.1.0
 */
import { IdempotencyStorage, purging, type Stored } from "@effect-cqrs/core/Idempotency"
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { keys } from "./internal/keys.ts"
import { clientOf, isElsewhere } from "./internal/routing.ts"
import type { Options as TableOptions } from "./internal/tables.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Pick<TableOptions, "prefix"> {
  /**
   * How long a key and its answer are kept: the window in which a repetition is known, at least. Longer than clients go on
   * repeating. Default a day; `Duration.infinity` for ever.
   */
  readonly idempotencyRetention?: Duration.DurationInput | undefined
  /** How often what is older is deleted, in steps of 500. Default 1 minute. */
  readonly idempotencyPurgeInterval?: Duration.DurationInput | undefined
}

/**
 * The keys of the program's `SqlClient`: each is stored by the transaction of its command, with the answer. Scope and key
 * are at most 255 bytes each on MariaDB and MySQL. Its table must be there (see `Migrations`).
 *
 * While the layer is there, a fiber deletes keys that are older than the retention, by the database's clock.
 *
 * The `SqlClient` is to be the one of the transactor: in a transaction of another client a command with a key fails with
 * the reason `Unusable`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<IdempotencyStorage, StorageError, SqlClient> =>
  Layer.scoped(
    IdempotencyStorage,
    Effect.gen(function*() {
      const sql = (yield* SqlClient).withoutTransforms()
      const dialect = yield* dialectOf(sql)
      const names = yield* namesOf(options?.prefix ?? "cqrs_")
      const statements = dialect.idempotency
      const { execute, purge, purged, query, storageError } = yield* keys({
        sql,
        dialect,
        names,
        texts: {
          own: "The idempotency keys'",
          missing: `The table ${names.idempotency} is missing or not as it should be: run the migrations`,
          tooLong:
            `An idempotency key does not fit into ${names.idempotency}: it or its scope is too long, or holds a ` +
            "character that the database cannot store",
          unavailable: "The database of the idempotency keys did not answer, or gave up: see the cause"
        },
        options: {
          retention: options?.idempotencyRetention ?? Duration.days(1),
          interval: options?.idempotencyPurgeInterval ?? Duration.minutes(1)
        },
        purge: statements.purge
      })
      const elsewhere = isElsewhere(clientOf(sql))
      // by itself, the key would stay when the command's transaction is rolled back, and the command would be lost
      const inside = <A>(effect: Effect.Effect<A, StorageError>): Effect.Effect<A, StorageError> =>
        Effect.flatMap(elsewhere, (is) =>
          is ?
            new StorageError({
              reason: "Configuration",
              message: "The idempotency keys and the open transaction are of two SqlClients: build " +
                "SqlIdempotencyStorage and the Transactor of the handler with the same client"
            }) :
            effect)
      return yield* purged(
        IdempotencyStorage.of({
          claim: (key, fingerprint) => {
            const [text, params] = statements.claim(names, key, fingerprint)
            return inside(Effect.flatMap(
              Effect.matchEffect(sql.unsafe(text, params).raw, {
                onSuccess: (raw) => Effect.succeed(dialect.affected(raw) === 1),
                onFailure: (cause) =>
                  statements.isTaken(cause) ? Effect.succeed(false) : Effect.fail(storageError(cause))
              }),
              (isNew) =>
                isNew ? Effect.succeed(Option.none()) : Effect.flatMap(
                  query<Row>(statements.stored(names, key)),
                  ([row]) => row === undefined ? Effect.fail(gone) : Effect.succeed(Option.some(storedOf(row)))
                )
            ))
          },
          answer: (key, answer) => inside(Effect.asVoid(execute(statements.answer(names, key, answer)))),
          purge
        }),
        purging
      )
    })
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Row {
  readonly fingerprint: string
  readonly outcome: "success" | "failure" | null
  readonly body: string | null
}

const storedOf = ({ body, fingerprint, outcome }: Row): Stored => ({
  fingerprint,
  answer: outcome === null ? undefined : { outcome, body: body ?? "" }
})

const gone = new StorageError({
  reason: "Unavailable",
  message: "An idempotency key was purged while it was looked at: send the command again"
})
