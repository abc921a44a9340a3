/**
 * `Transaction.run` over a SQL database: statements of the effect and events of the outbox in one transaction.
 *
 * @since 0.1.0
 */
import { OutboxStorage, type StorageError } from "@effect-cqrs/core/OutboxStorage"
import { TransactionError } from "@effect-cqrs/core/Transaction"
import { type Session, Transactor } from "@effect-cqrs/core/Transactor"
import { SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type CommitFailure, type Dialect, dialectOf } from "./internal/dialect.ts"
import { type Fate, guarded } from "./internal/guarded.ts"

/**
 * Transactions of the program's `SqlClient`, whose events go to the outbox storage of the same database.
 *
 * The statements of an effect inside `Transaction.run` join its transaction as they are: sql`…`, `SqlSchema`,
 * `SqlResolver`, `Model`, and `sql.withTransaction`, which is then a savepoint. A transaction that was opened by
 * `sql.withTransaction` itself is refused with the reason `Foreign`: whether its commit succeeds cannot be known there.
 *
 * On SQLite transactions begin as IMMEDIATE ones: one writer at a time, and no surprise half-way.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transactor, StorageError, SqlClient | OutboxStorage> = Layer.effect(
  Transactor,
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const storage = yield* OutboxStorage
    const dialect = yield* dialectOf(sql)

    return Transactor.of({
      isConflict: dialect.transaction.isConflict,
      begin: ({ isolation }) =>
        Effect.gen(function*() {
          const open = yield* Effect.serviceOption(TransactionConnection)
          if (Option.isSome(open) && !ours.has(open.value[0])) {
            return yield* new TransactionError({
              reason: "Foreign",
              message: "A transaction of sql.withTransaction is open here, whose commit this library could not vouch " +
                "for: open it with Transaction.run"
            })
          }
          const connection = yield* Effect.mapError(sql.reserve, unavailable)
          const fate: Fate = { lost: undefined, isOpen: true }
          // whatever happens: the next one would find this transaction open on its connection
          yield* Effect.addFinalizer(() =>
            fate.isOpen ? Effect.ignore(dialect.transaction.rollback(connection)) : Effect.void
          )
          yield* Effect.mapError(dialect.transaction.begin(connection, isolation), unavailable)
          return session(connection, dialect, storage, fate)
        })
    })
  })
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** The connections that this library has put into a context. */
const ours = new WeakSet<Connection>()

const session = (
  connection: Connection,
  dialect: Dialect,
  storage: OutboxStorage["Type"],
  fate: Fate
): Session => {
  const run = (statement: string) =>
    Effect.mapError(
      Effect.suspend(() => Effect.asVoid(connection.executeUnprepared(statement, [], undefined))),
      (error) => fate.lost ?? new TransactionError({ reason: "Savepoint", message: "A savepoint failed", cause: error })
    )
  const ended = Effect.sync(() => fate.isOpen = false)
  const rollback = Effect.matchEffect(dialect.transaction.rollback(connection), {
    // a transaction that is gone cannot be rolled back, and need not be
    onFailure: (error) =>
      fate.lost === undefined ? Effect.logDebug("A transaction could not be rolled back", error) : Effect.void,
    onSuccess: () => ended
  })
  const failed = (error: TransactionError) => Effect.zipRight(rollback, Effect.fail(error))

  return {
    join: (level) => {
      const own = guarded(connection, level, fate, dialect)
      ours.add(own)
      return Effect.provideService(TransactionConnection, [own, level.depth] as const) as <A, E, R>(
        effect: Effect.Effect<A, E, R>
      ) => Effect.Effect<A, E, R>
    },
    savepoint: (name) => run(`SAVEPOINT ${name}`),
    release: (name) => run(`RELEASE SAVEPOINT ${name}`),
    rollbackTo: (name) => run(`ROLLBACK TO SAVEPOINT ${name}`),
    commit: (messages) =>
      Effect.suspend(() => {
        if (fate.lost !== undefined) return failed(fate.lost)
        const flush = messages.length === 0
          ? Effect.void
          : Effect.provideService(storage.append(messages), TransactionConnection, [connection, 0] as const)
        return Effect.matchEffect(flush, {
          onFailure: (error) =>
            failed(new TransactionError({ reason: "OutboxFailed", message: error.message, cause: error })),
          onSuccess: () =>
            Effect.matchEffect(dialect.transaction.commit(connection), {
              onFailure: (failure) => failed(notCommitted(failure)),
              onSuccess: () => Effect.zipRight(ended, messages.length === 0 ? Effect.void : storage.arrivals.signal)
            })
        })
      }),
    rollback
  }
}

const unavailable = (error: SqlError) =>
  new TransactionError({
    reason: "Unavailable",
    message:
      "A transaction could not begin: the database cannot be reached, is locked by another writer, or refused it",
    cause: error
  })

const notCommitted = ({ at, error }: CommitFailure) =>
  at === "guard"
    ? new TransactionError({
      reason: "RolledBack",
      message: "The database had rolled the transaction back before it was committed. Nothing of it is stored",
      cause: error
    })
    : new TransactionError({
      reason: "CommitFailed",
      message: "The database refused to commit the transaction. Nothing of it is stored",
      cause: error
    })
