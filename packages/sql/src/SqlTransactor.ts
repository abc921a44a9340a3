/**
 * `Transaction.run` over a SQL database: statements of the effect and events of the outbox in one transaction.
 *
 * @since 0.1.0
 */
import { bucketOf, OutboxStorage, type StorageError } from "@effect-cqrs/core/OutboxStorage"
import { TransactionError } from "@effect-cqrs/core/Transaction"
import { type Session, Transactor } from "@effect-cqrs/core/Transactor"
import { SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { type Begun, type CommitFailure, type Dialect, dialectOf } from "./internal/dialect.ts"
import { isDisconnected } from "./internal/errors.ts"
import { flushOf } from "./internal/flush.ts"
import { type Fate, Guarded } from "./internal/guarded.ts"
import { Opened } from "./internal/opening.ts"
import { type Reserved, reserving } from "./internal/reserving.ts"
import { type Client, clientOf, isOurs, joined, openIn } from "./internal/routing.ts"
import { type Restore, Turn } from "./internal/turn.ts"

/**
 * Transactions of the program's `SqlClient`, whose events go to the outbox storage of the same database.
 *
 * The statements of an effect inside `Transaction.run` join its transaction as they are: sql`…`, `SqlSchema`,
 * `SqlResolver`, `Model`, and `sql.withTransaction`, which is then a savepoint. A transaction that was opened by
 * `sql.withTransaction` itself is refused with the reason `Foreign`: whether its commit succeeds cannot be known there.
 *
 * On SQLite transactions begin as IMMEDIATE ones: one writer at a time, and no surprise half-way. On MariaDB and MySQL
 * they run with autocommit off, and a statement that commits implicitly is refused.
 *
 * A statement of another `SqlClient` is no part of the transaction: it runs on that client's own database, in the
 * transaction that is open there further out, or else by itself. Inside a `sql.withTransaction` it is refused with a
 * `SqlError`, since @effect/sql does not tell whose transaction that was to be. A `Statement.withTransformer` inside
 * `Transaction.run` suspends this for its effect, where every client's statements join the open transaction.
 *
 * This is one value, which one build of layers makes once: in a program with two databases use `SqlStorage.layer`, or
 * `Layer.fresh`.
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
    const client = clientOf(sql)

    const reserve = reserving(sql, yield* Effect.runtime<never>())

    const begin = (
      { connection, giveBack }: Reserved,
      { isolation, registers, scope }: Parameters<Transactor["Type"]["begin"]>[0],
      restore: Restore
    ): Effect.Effect<Session, TransactionError> => {
      const fate: Fate = { lost: undefined, isOpen: true, busy: new Turn() }
      // whatever happens: the next one would find this transaction open on its connection
      const end = Effect.suspend(() =>
        fate.isOpen ? Effect.ensuring(Effect.ignore(dialect.transaction.rollback(connection)), giveBack) : giveBack
      )
      const opened = registers === true ? dialect.transaction.opening({ connection, isolation }) : undefined
      return Effect.flatMap(Scope.addFinalizer(scope, end), () =>
        opened === undefined
          ? Effect.mapBoth(restore(dialect.transaction.begin({ connection, isolation, sql })), {
            onFailure: unavailable,
            onSuccess: (begun) => session({ connection, begun, dialect, storage, fate, client })
          })
          : Effect.succeed(session({
            connection: new Opened(connection, opened),
            begun: opened.begun,
            dialect,
            storage,
            fate,
            client
          })))
    }

    return Transactor.of({
      isConflict: dialect.transaction.isConflict,
      begin: (options) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.withFiberRuntime<Session, TransactionError>((fiber) => {
            const open = openIn(fiber.currentContext)
            if (open !== undefined && !isOurs(open[0])) {
              return new TransactionError({
                reason: "Foreign",
                message: "A transaction of sql.withTransaction is open here, whose commit this library could not " +
                  "vouch for: open it with Transaction.run"
              })
            }
            return Effect.zipRight(
              restore(dialect.transaction.turn),
              Effect.matchEffect(reserve(restore), {
                onFailure: (error) => Effect.fail(unavailable(error)),
                onSuccess: (reserved) => begin(reserved, options, restore)
              })
            )
          })
        )
    })
  })
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const session = ({ begun, client, connection, dialect, fate, storage }: {
  readonly connection: Connection
  readonly begun: Begun
  readonly dialect: Dialect
  readonly storage: OutboxStorage["Type"]
  readonly fate: Fate
  readonly client: Client
}): Session => {
  const run = (statement: string) =>
    Effect.mapError(
      Effect.suspend(() => Effect.asVoid(connection.executeUnprepared(statement, [], undefined))),
      (error) => fate.lost ?? new TransactionError({ reason: "Savepoint", message: "A savepoint failed", cause: error })
    )
  const ended = Effect.sync(() => fate.isOpen = false)
  const rollback = Effect.suspend(() =>
    Effect.matchEffect(dialect.transaction.rollback(connection), {
      // a transaction that is gone cannot be rolled back, and need not be
      onFailure: (error) =>
        fate.lost !== undefined || isDisconnected(error) ? ended : Effect.zipRight(
          Effect.logWarning("A transaction could not be rolled back, and its connection is not used again", error),
          Effect.zipRight(begun.destroy, ended)
        ),
      onSuccess: () => ended
    })
  )
  /** Behind a statement that still runs. */
  const { alone } = fate.busy
  const failed = (error: TransactionError) => Effect.zipRight(rollback, Effect.fail(error))

  return {
    join: (level, fiber) =>
      joined({ client, connection: new Guarded(connection, begun, level, fate, dialect), depth: level.depth, fiber }),
    savepoint: (name) => alone(run(`SAVEPOINT ${name}`)),
    release: (name) => alone(run(`RELEASE SAVEPOINT ${name}`)),
    rollbackTo: (name) => alone(run(`ROLLBACK TO SAVEPOINT ${name}`)),
    commit: (messages) =>
      alone(Effect.suspend(() => {
        if (fate.lost !== undefined) return failed(fate.lost)
        const hasEvents = messages.length > 0
        const flush = hasEvents ? flushOf(storage) : undefined
        const text = flush?.text(messages)
        const isSealed = hasEvents && text === undefined
        const commit = Effect.matchEffect(dialect.transaction.commit(connection, { isSealed, flush: text }), {
          onFailure: (failure) =>
            failed(
              failure.at === "flush" ? outboxFailed(flush!.storageError(failure.error)) : notCommitted(failure)
            ),
          onSuccess: () => {
            fate.isOpen = false
            return hasEvents
              ? storage.arrivals.signalFor(messages.map((message) => bucketOf(message, storage.buckets)))
              : Effect.void
          }
        })
        if (!isSealed) return commit
        // first: of a transaction that is gone the events would be stored by themselves
        const sealed = Effect.mapError(dialect.transaction.seal(connection), notCommitted)
        const append = Effect.mapError(
          Effect.provideService(storage.append(messages), TransactionConnection, [connection, 0] as const),
          (error) => dialect.transaction.isAborted(error) ? rolledBack(error) : outboxFailed(error)
        )
        return Effect.matchEffect(Effect.zipRight(sealed, append), { onFailure: failed, onSuccess: () => commit })
      })),
    rollback: alone(rollback)
  }
}

const unavailable = (error: SqlError) =>
  new TransactionError({
    reason: "Unavailable",
    message:
      "A transaction could not begin: the database cannot be reached, is locked by another writer, or refused it",
    cause: error
  })

const outboxFailed = (error: StorageError) =>
  new TransactionError({ reason: "OutboxFailed", message: error.message, cause: error })

const rolledBack = (cause: unknown) =>
  new TransactionError({
    reason: "RolledBack",
    message: "The database had rolled the transaction back before it was committed. Nothing of it is stored",
    cause
  })

const notCommitted = ({ at, error }: CommitFailure): TransactionError => {
  switch (at) {
    case "rolledBack":
      return rolledBack(error)
    case "implicit":
      return new TransactionError({
        reason: "ImplicitCommit",
        message:
          "The transaction was over before it was committed: a statement in it has committed what came before. " +
          "What came after is not stored, nor are its events. Keep such statements out of Transaction.run",
        cause: error
      })
    case "refused":
      return new TransactionError({
        reason: "CommitFailed",
        message: "The database refused to commit the transaction. Nothing of it is stored",
        cause: error
      })
    case "unknown":
      return new TransactionError({
        reason: "OutcomeUnknown",
        message:
          "The connection was lost during COMMIT: the transaction is stored, or it is not. Look before you repeat it",
        cause: error
      })
  }
}
