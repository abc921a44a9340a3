/**
 * The inbox in a table beside the application's own.
 *
 * @since 0.1.0
 */
import { InboxStorage, purging } from "@effect-cqrs/core/Inbox"
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { keys } from "./internal/keys.ts"
import { answerOf, answerOn } from "./internal/queries.ts"
import { clientOf, connectionFor, outside } from "./internal/routing.ts"
import type { Options as TableOptions } from "./internal/tables.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Pick<TableOptions, "prefix"> {
  /**
   * How long the inbox remembers a message: the window in which it knows a duplicate, at least. It must be longer than the
   * time after which the broker can still hand a message out again (Kafka: the retention of the topic, if offsets may be
   * reset) or somebody can replay or redrive it. Default 7 days; `Duration.infinity` for ever.
   */
  readonly inboxRetention?: Duration.DurationInput | undefined
  /** How often what is older is deleted, in steps of 500. Default 1 minute. */
  readonly inboxPurgeInterval?: Duration.DurationInput | undefined
}

/**
 * The inbox of the program's `SqlClient`: a key is stored by the transaction of the handler it belongs to. Its tables
 * must be there (see `Migrations`).
 *
 * While the layer is there, a fiber deletes keys that are older than the retention, by the database's clock. Each process
 * has one: together they are as good as one.
 *
 * The `SqlClient` is to be the one of the transactor: in a transaction of another client `Inbox.process` fails with the
 * reason `Configuration`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<InboxStorage, StorageError, SqlClient> =>
  Layer.scoped(
    InboxStorage,
    Effect.gen(function*() {
      const sql = (yield* SqlClient).withoutTransforms()
      const dialect = yield* dialectOf(sql)
      const names = yield* namesOf(options?.prefix ?? "cqrs_")
      const statements = dialect.inbox
      const { execute, purge, purged, query, storageError, write } = yield* keys({
        sql,
        dialect,
        names,
        texts: {
          own: "The inbox's",
          missing:
            `The table ${names.inbox} or ${names.inboxStart} is missing or not as it should be: run the migrations`,
          tooLong: `A message does not fit into ${names.inbox}: its id, its source, or the name of its consumer or ` +
            "handler is too long, or holds a character that the database cannot store",
          unavailable: "The inbox's database did not answer, or gave up: see the cause"
        },
        options: {
          retention: options?.inboxRetention ?? Duration.days(7),
          interval: options?.inboxPurgeInterval ?? Duration.minutes(1)
        },
        purge: statements.purge
      })
      const client = clientOf(sql)
      // by itself, the mark would stay when the handler's transaction is rolled back, and the message would be lost
      const inside = <A>(
        run: (connection: Connection | undefined) => Effect.Effect<A, StorageError>
      ): Effect.Effect<A, StorageError> =>
        Effect.withFiberRuntime((fiber) => {
          const connection = connectionFor(client, fiber)
          return connection === "elsewhere" ?
            new StorageError({
              reason: "Configuration",
              message: "The inbox and the open transaction are of two SqlClients: build SqlInboxStorage and the " +
                "Transactor of the handler with the same client"
            }) :
            run(connection)
        })
      return yield* purged(
        InboxStorage.of({
          register: (key) => {
            const query = statements.register(names, key)
            return inside((connection) =>
              // for each message: what @effect/sql puts around a statement is most of its cost
              Effect.matchEffect(connection === undefined ? answerOf(sql, query) : answerOn(connection, query), {
                onSuccess: (answer) => Effect.succeed(statements.isNew(answer)),
                onFailure: (cause) =>
                  statements.isDuplicate(cause) ? Effect.succeed(false) : Effect.fail(storageError(cause))
              })
            )
          },
          // the open transaction is not these statements', and may be one of another database
          isSuspect: (message) =>
            Effect.map(outside(query(statements.isStarted(names, message))), (rows) => rows.length > 0),
          start: (key, start) => Effect.map(outside(write(statements.start(names, key, start))), statements.deaths),
          finish: (key) => inside(() => Effect.asVoid(execute(statements.forget(names, key)))),
          forget: (key) => Effect.asVoid(outside(write(statements.forget(names, key)))),
          purge
        }),
        purging
      )
    })
  )
