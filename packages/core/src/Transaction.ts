/**
 * Transactions: domain writes and events, stored together or not at all.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import { withoutTransaction } from "./internal/services.ts"
import { transacting } from "./internal/transacting.ts"
import { endedError, transactionTag } from "./internal/transaction.ts"
import { TransactionError } from "./internal/transactionError.ts"
import * as Middleware from "./Middleware.ts"
import { type Isolation, Transactor } from "./Transactor.ts"

export {
  /**
   * @since 0.1.0
   * @category errors
   */
  TransactionError
}

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~@effect-cqrs/core/Transaction"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * The capability to announce events: an open transaction. Only {@link run} provides it, and the {@link Transactional}
 * middleware, which is made of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transaction {
  readonly [TypeId]: TypeId
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The isolation level of an outermost transaction; the database's default unless given. Ignored when nested. */
  readonly isolation?: Isolation | undefined
  /**
   * Repeats an outermost transaction as a whole when the database made it the victim of a deadlock or a serialization
   * failure. Each attempt begins with nothing added. Not repeated unless given, and never when nested, nor when the
   * outcome of the commit is unknown.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
}

/**
 * Runs an effect in a transaction: committed if it succeeds, rolled back if it fails, dies or is interrupted.
 *
 * - **Together.** The effect's SQL statements and the events given to `Outbox.add` are stored together, or neither is.
 *   It succeeds only when the database has confirmed the commit; any other end is a {@link TransactionError}.
 * - **Nested.** A `run` inside a `run` of the same database is a savepoint: what it wrote and added vanishes if it
 *   fails. Several at once inside one transaction take turns. Statements of another fiber beside a nested run that fails
 *   are undone with its savepoint: then the whole transaction fails with the reason `Savepoint`, and nothing is stored.
 * - **Interruption.** It is interruptible until the commit begins, which may wait for the key locks of its events. A fiber that outlives the transaction gets errors.
 * - **After the commit** the hooks of {@link afterCommit} run and emitted events are dispatched, in the order they were
 *   added, before `run` returns; this part is not interruptible.
 *
 * @example
 * ```ts
 * import { Event, Outbox, OutboxStorage, Transaction, Transactor } from "@effect-cqrs/core"
 * import { Effect, Layer, Schema } from "effect"
 *
 * class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
 *   topic: "rooms",
 *   payload: { roomId: Schema.String }
 * }) {}
 *
 * const close = Transaction.run(Effect.gen(function*() {
 *   // domain writes go here
 *   yield* Outbox.add(new RoomClosed({ roomId: "blue" }))
 * }))
 *
 * const Memory = Layer.provideMerge(Transactor.layerMemory, OutboxStorage.layerMemory())
 * Effect.runSync(close.pipe(Effect.provide(Memory)))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: Options | undefined
): Effect.Effect<A, E | TransactionError, Exclude<R, Transaction> | Transactor> =>
  Effect.flatMap(Transactor, (transactor) => transacting(transactor, effect, options ?? {}))

/**
 * Runs an effect once the outermost transaction has committed, and not at all if it is rolled back, or the savepoint
 * this was called in. In order, uninterruptible; one that dies is logged, and changes nothing else.
 *
 * @since 0.1.0
 * @category combinators
 */
export const afterCommit = <R>(
  effect: Effect.Effect<unknown, never, R> & OutsideOfIt<R>
): Effect.Effect<void, TransactionError, Transaction | R> => hook("AfterCommit", effect)

/**
 * Runs an effect if the transaction is rolled back, or the savepoint this was called in; in reverse order, once the
 * outermost transaction has ended either way. For state that is not in the database. If the outcome of the commit is unknown, neither this nor {@link afterCommit} runs.
 *
 * @since 0.1.0
 * @category combinators
 */
export const afterRollback = <R>(
  effect: Effect.Effect<unknown, never, R> & OutsideOfIt<R>
): Effect.Effect<void, TransactionError, Transaction | R> => hook("AfterRollback", effect)

/**
 * The middleware that runs the handler of a command in {@link run}: the handler may ask for a {@link Transaction}, and
 * `send` may fail with a {@link TransactionError}.
 *
 * @since 0.1.0
 * @category tags
 */
export class Transactional extends Middleware.make<Transactional>()("Transactional", {
  provides: transactionTag as Context.Tag<Transaction, unknown> as Context.Tag<Transaction, Sealed>,
  failure: TransactionError,
  kinds: ["command"]
}) {
  /** With the options of {@link run}. The transactor is the one the layer is built with. */
  static layerWith(options: Options): Layer.Layer<Transactional, never, Transactor> {
    return Middleware.layer(
      Transactional,
      Effect.map(
        Transactor,
        (transactor): Middleware.Wrap<Transaction, TransactionError> => (next) =>
          unsafeCoerce(Effect.provideService(run(next, options), Transactor, transactor))
      )
    )
  }

  static readonly layer: Layer.Layer<Transactional, never, Transactor> = Transactional.layerWith({})
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** A hook runs when the transaction is over: what it would add to it is lost. */
type OutsideOfIt<R> = Transaction extends R
  ? "A hook runs after the transaction and asks for Transaction: open one of its own in it, with Transaction.run"
  : unknown

declare const sealed: unique symbol

/** What is behind the tag is nobody's to read or to make up. */
interface Sealed {
  readonly [sealed]: never
}

const hook = <R>(
  tag: "AfterCommit" | "AfterRollback",
  effect: Effect.Effect<unknown, never, R>
): Effect.Effect<void, TransactionError, Transaction | R> =>
  Effect.contextWithEffect((context: Context.Context<R>) =>
    Effect.flatMap(transactionTag, (open) =>
      Effect.suspend(() => {
        if (open.ended()) return Effect.fail(endedError("A hook was added"))
        // it runs when the transaction is over, and may open another
        const own = withoutTransaction(context)
        open.journal.add({ _tag: tag, effect: Effect.mapInputContext(effect, () => own) })
        open.touch()
        return Effect.void
      }))
  )
