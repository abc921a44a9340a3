import { type SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Dialect } from "./dialect.ts"

/**
 * Runs statements of the library's own in a transaction on a connection of their own. `sql.withTransaction` would leave
 * the transaction open on its connection if the commit failed. At READ COMMITTED: InnoDB locks what a statement finds then,
 * and no gaps, where an application's inserts would have to wait.
 */
export const whole = (sql: SqlClient, dialect: Dialect) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const connection = yield* restore(Effect.zipRight(dialect.transaction.turn, sql.reserve))
      const rollback = Effect.ignore(dialect.transaction.rollback(connection))
      return yield* restore(dialect.transaction.begin({ connection, isolation: "ReadCommitted", sql })).pipe(
        Effect.zipRight(restore(Effect.provideService(effect, TransactionConnection, [connection, 0]))),
        Effect.zipLeft(
          Effect.catchAll(
            dialect.transaction.commit(connection, { isSealed: false }),
            ({ error: cause }) => new SqlError({ cause, message: "The transaction could not be committed" })
          )
        ),
        // without a transaction it does nothing
        Effect.onError(() => rollback)
      )
    })
  ))
