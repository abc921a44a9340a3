/**
 * The inbox in a table beside the application's own.
 *
 * @since 0.1.0
 */
import { InboxStorage } from "@effect-cqrs/core/Inbox"
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { type Options, verify } from "./internal/tables.ts"

/**
 * The inbox of the program's `SqlClient`: a key is stored by the transaction of the handler it belongs to. Its table
 * must be there (see `Migrations`).
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Pick<Options, "prefix"> | undefined
): Layer.Layer<InboxStorage, StorageError, SqlClient> =>
  Layer.effect(
    InboxStorage,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const dialect = yield* dialectOf(sql)
      const names = yield* namesOf(options?.prefix ?? "cqrs_")
      yield* verify(sql, dialect, names)
      return InboxStorage.of({
        register: (key) => {
          const [text, params] = dialect.inbox.register(names, key)
          return Effect.matchEffect(sql.unsafe(text, params).raw, {
            onSuccess: (raw) => Effect.succeed(dialect.affected(raw) === 1),
            onFailure: (cause) =>
              dialect.inbox.isDuplicate(cause) ? Effect.succeed(false) : Effect.fail(
                new StorageError({
                  reason: dialect.isMissingTable(cause) ? "Schema" : "Unavailable",
                  message: `The message could not be registered in ${names.inbox}`,
                  cause
                })
              )
          })
        }
      })
    })
  )
