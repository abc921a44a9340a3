/**
 * The port behind `Transaction.run`: what opens, commits and rolls back a database's transactions.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { TransactionError } from "./internal/transactionError.ts"
import { bucketOf, OutboxStorage, type Outgoing } from "./OutboxStorage.ts"

/**
 * The isolation levels of the SQL standard. Without one, the database's own default.
 *
 * @since 0.1.0
 * @category models
 */
export type Isolation = "ReadUncommitted" | "ReadCommitted" | "RepeatableRead" | "Serializable"

/**
 * What the library remembers of an open transaction (events, hooks), in step with the database's savepoints. A
 * transactor reports each savepoint statement that goes over the connection and was not asked for by the library:
 * what was added after a savepoint vanishes with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Journal {
  readonly savepoint: (name: string) => void
  readonly release: (name: string) => void
  /** Forgets what was added since. `false`: there is no such savepoint, and the transaction must not be committed. */
  readonly rollbackTo: (name: string) => boolean
  /** The events that would be stored if the transaction committed now, in the order of their adding. */
  readonly messages: ReadonlyArray<Outgoing>
}

/**
 * One `Transaction.run`: the outermost has depth 0, one inside it depth 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Level {
  readonly depth: number
  /** After this, a statement that comes through this level is refused: its fiber has outlived the transaction. */
  readonly ended: () => boolean
  /**
   * Called with each statement of this level: one that runs while a run inside is open is undone with that one's savepoint
   * if that one fails, and the transaction cannot be committed then.
   */
  readonly touch: () => void
  readonly journal: Journal
}

/**
 * What a fiber has while the queries of its effect run in a transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Joined {
  /** What its queries find the transaction by, beside the services that it has. */
  readonly services: Context.Context<never>
  readonly refs: ReadonlyArray<readonly [ref: FiberRef.FiberRef<any>, value: unknown]>
}

/**
 * One open transaction, on a connection of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session {
  /** What lets the queries of an effect that this fiber runs join this transaction, at this level. */
  readonly join: (level: Level, fiber: Fiber.RuntimeFiber<any, any>) => Joined
  readonly savepoint: (name: string) => Effect.Effect<void, TransactionError>
  readonly release: (name: string) => Effect.Effect<void, TransactionError>
  readonly rollbackTo: (name: string) => Effect.Effect<void, TransactionError>
  /**
   * Takes the key locks that the messages ask for, stores them in the outbox as the last statement, then commits. Succeeds only if the database has said
   * that everything is stored; fails with nothing stored, or with `OutcomeUnknown`.
   */
  readonly commit: (messages: ReadonlyArray<Outgoing>) => Effect.Effect<void, TransactionError>
  /** Undoes everything. A connection that cannot even do that is not used again. */
  readonly rollback: Effect.Effect<void>
}

/**
 * Opens transactions on one database and stores their events in that database's outbox.
 *
 * @since 0.1.0
 * @category tags
 */
export class Transactor extends Context.Tag("@effect-cqrs/core/Transactor")<Transactor, {
  /** Takes a connection and begins. */
  readonly begin: (options: {
    readonly isolation: Isolation | undefined
    /** The connection goes back as it came when this closes, which happens after `commit` or `rollback`. */
    readonly scope: Scope.Scope
    /**
     * The first statement will be `register` of the inbox: the transaction may begin together with that one, which then
     * fails if it cannot begin. Default: `false`.
     */
    readonly registers?: boolean | undefined
  }) => Effect.Effect<Session, TransactionError>

  /** Whether an error says that the database has chosen this transaction as a victim, so that a repetition may pass. */
  readonly isConflict: (error: unknown) => boolean
}>() {}

/**
 * Transactions without a database: the events of a committed one go to the outbox storage together, those of another
 * nowhere. State of your own joins in through `Transaction.afterRollback`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Transactor, never, OutboxStorage> = Layer.effect(
  Transactor,
  Effect.map(OutboxStorage, (storage) =>
    Transactor.of({
      begin: () =>
        Effect.succeed({
          join: () => ({ services: Context.empty(), refs: [] }),
          savepoint: () => Effect.void,
          release: () => Effect.void,
          rollbackTo: () => Effect.void,
          commit: (messages) =>
            messages.length === 0 ? Effect.void : Effect.zipRight(
              Effect.mapError(storage.append(messages), (error) =>
                new TransactionError({ reason: "OutboxFailed", message: error.message, cause: error })),
              storage.arrivals.signalFor(messages.map((message) =>
                bucketOf(message, storage.buckets)
              ))
            ),
          rollback: Effect.void
        }),
      isConflict: () => false
    }))
)
