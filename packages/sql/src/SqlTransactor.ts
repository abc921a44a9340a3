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
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { type Begun, type CommitFailure, type Dialect, dialectOf } from "./internal/dialect.ts"
import { isDisconnected } from "./internal/errors.ts"
import { flushOf } from "./internal/flush.ts"
import { type Fate, guarded } from "./internal/guarded.ts"
import { type Client, clientOf, isOurs, joined } from "./internal/routing.ts"

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

    return Transactor.of({
      isConflict: dialect.transaction.isConflict,
      begin: ({ isolation }) =>
        Effect.gen(function*() {
          const open = yield* Effect.serviceOption(TransactionConnection)
          if (Option.isSome(open) && !isOurs(open.value[0])) {
            return yield* new TransactionError({
              reason: "Foreign",
              message: "A transaction of sql.withTransaction is open here, whose commit this library could not vouch " +
                "for: open it with Transaction.run"
            })
          }
          yield* dialect.transaction.turn
          const connection = yield* Effect.mapError(reserve(sql), unavailable)
          const fate: Fate = { lost: undefined, isOpen: true, busy: Effect.unsafeMakeSemaphore(1) }
          // whatever happens: the next one would find this transaction open on its connection
          yield* finallyDo(
            Effect.suspend(() => fate.isOpen ? Effect.ignore(dialect.transaction.rollback(connection)) : Effect.void)
          )
          const begun = yield* Effect.mapError(dialect.transaction.begin({ connection, isolation, sql }), unavailable)
          return session(connection, begun, dialect, storage, fate, client)
        })
    })
  })
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const session = (
  connection: Connection,
  begun: Begun,
  dialect: Dialect,
  storage: OutboxStorage["Type"],
  fate: Fate,
  client: Client
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
      fate.lost !== undefined || isDisconnected(error) ? ended : Effect.zipRight(
        Effect.logWarning("A transaction could not be rolled back, and its connection is not used again", error),
        Effect.zipRight(begun.destroy, ended)
      ),
    onSuccess: () => ended
  })
  /** Behind a statement that still runs. */
  const alone = fate.busy.withPermits(1)
  const failed = (error: TransactionError) => Effect.zipRight(rollback, Effect.fail(error))

  return {
    join: (level) =>
      joined({ client, connection: guarded({ connection, begun, level, fate, dialect }), depth: level.depth }),
    savepoint: (name) => alone(run(`SAVEPOINT ${name}`)),
    release: (name) => alone(run(`RELEASE SAVEPOINT ${name}`)),
    rollbackTo: (name) => alone(run(`ROLLBACK TO SAVEPOINT ${name}`)),
    commit: (messages) => {
      const hasEvents = messages.length > 0
      return alone(Effect.suspend(() => {
        if (fate.lost !== undefined) return failed(fate.lost)
        const flush = hasEvents ? flushOf(storage) : undefined
        const text = flush?.text(messages)
        const isSealed = hasEvents && text === undefined
        const before = !isSealed ? Effect.void : Effect.zipRight(
          // first: of a transaction that is gone the events would be stored by themselves
          Effect.mapError(dialect.transaction.seal(connection), notCommitted),
          Effect.mapError(
            Effect.provideService(storage.append(messages), TransactionConnection, [connection, 0] as const),
            (error) => dialect.transaction.isAborted(error) ? rolledBack(error) : outboxFailed(error)
          )
        )
        const commit = Effect.mapError(
          dialect.transaction.commit(connection, { isSealed, flush: text }),
          (failure) => failure.at === "flush" ? outboxFailed(flush!.storageError(failure.error)) : notCommitted(failure)
        )
        return Effect.catchAll(Effect.zipRight(before, commit), failed).pipe(
          Effect.zipRight(ended),
          Effect.zipRight(
            hasEvents
              ? storage.arrivals.signalFor(messages.map((message) => bucketOf(message, storage.buckets)))
              : Effect.void
          )
        )
      }))
    },
    rollback: alone(rollback)
  }
}

/** As `Effect.addFinalizer`, which also puts the fiber refs of now in place of those of then: 10 µs each time. */
const finallyDo = (effect: Effect.Effect<unknown>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => Scope.addFinalizer(scope, effect))

/**
 * A connection of the pool. Interrupted while it waits for one, it lets go at once; the driver may still be given one for
 * it then, which goes straight back (@effect/sql-pg would keep it).
 */
const reserve = (sql: SqlClient): Effect.Effect<Connection, SqlError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.make(), (own) => {
      // in a fiber of its own, as it was acquired: in this one, each transaction would leave a trace in its fiber refs,
      // and a fiber that runs many would become slow
      const close = Effect.flatMap(Effect.forkDaemon(Scope.close(own, Exit.void)), Fiber.await)
      return Effect.flatMap(
        Effect.forkDaemon(Effect.interruptible(Scope.extend(sql.reserve, own))),
        (waiting) =>
          restore(Effect.flatten(Fiber.await(waiting))).pipe(
            Effect.tap(() => finallyDo(close)),
            Effect.onError(() => Effect.forkDaemon(Effect.zipRight(Fiber.await(waiting), close)))
          )
      )
    })
  )

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
