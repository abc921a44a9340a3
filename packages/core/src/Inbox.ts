/**
 * The inbox: the transactional effects of a handler happen once per message, whatever is redelivered.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { InboxError } from "./internal/inboxError.ts"
import { makeMemoryInbox } from "./internal/memoryInbox.ts"
import { processing } from "./internal/processing.ts"
import { purgeBeside, type PurgeOptions } from "./internal/purging.ts"
import type { StorageError } from "./OutboxStorage.ts"
import type * as Transaction from "./Transaction.ts"
import { Transactor } from "./Transactor.ts"

export {
  /**
   * @since 0.1.0
   * @category errors
   */
  InboxError
}

/**
 * What is remembered: that this handler of this consumer has handled this message of this source.
 *
 * @since 0.1.0
 * @category models
 */
export interface Key {
  readonly consumer: string
  readonly handler: string
  readonly source: string
  readonly messageId: string
}

/**
 * @since 0.1.0
 * @category models
 */
export type Processed<A> = Data.TaggedEnum<{
  /** It ran, and its transaction has committed. */
  Handled: { readonly value: A }
  /** It had run before. */
  Duplicate: {}
}>

/**
 * A start of a handler, noted before it runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Start {
  /**
   * An id of this run of the program, never used again: a start that the same incarnation has left without an outcome is
   * no death, for the process lives.
   */
  readonly incarnation: string
  /** Whether nothing else is in flight that the death of the process could be due to. Only then it counts. */
  readonly isAlone: boolean
}

/**
 * Counts the deaths of the process. One more commit per call.
 *
 * @since 0.1.0
 * @category models
 */
export interface Careful extends Start {
  /** After how many deaths in a row, with it alone in flight, an effect is not run any more. Default 5. */
  readonly deaths?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<Transaction.Options, "retry"> {
  /**
   * Repeats the transaction as a whole, as in {@link Transaction.Options}. Default: up to 5 times, within about a second.
   * Of three transactions that register one key, of which the first is rolled back, MariaDB and MySQL make one a victim
   * at every isolation level. `Schedule.stop` for none.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /** Counts deaths around this call (see {@link process}). */
  readonly careful?: Careful | undefined
}

/**
 * Remembers keys for as long as its retention says: that is the window in which duplicates are known. It has to be longer
 * than the time after which the broker can still hand out a message again, or somebody can replay it.
 *
 * It also notes which handlers are at work, where it is asked to, so that deaths of the process can be counted.
 *
 * @since 0.1.0
 * @category tags
 */
export class InboxStorage extends Context.Tag("@effect-cqrs/core/Inbox/InboxStorage")<InboxStorage, {
  /**
   * Adds a key, inside the open transaction and as part of it; `false` if it is there already. A second transaction
   * with the key waits for the first to end. A key that the storage cannot hold, for it is too long or has a character
   * that the database lacks, is a `StorageError` with the reason `Configuration`.
   */
  readonly register: (
    key: Key
  ) => Effect.Effect<boolean, StorageError | Transaction.TransactionError, Transaction.Transaction>

  /** Whether a handler of this consumer has started with this message and no outcome of it is known. */
  readonly isSuspect: (message: Omit<Key, "handler">) => Effect.Effect<boolean, StorageError>

  /**
   * Notes that a handler starts, by itself and at once: called outside of transactions. Answers how many starts before
   * this one, in a row, were made alone, had no outcome, and were those of another incarnation: so many times the process
   * has died.
   */
  readonly start: (key: Key, start: Start) => Effect.Effect<number, StorageError>

  /** Forgets the starts of a key, inside the open transaction and as part of it: the handler has had an outcome. */
  readonly finish: (
    key: Key
  ) => Effect.Effect<void, StorageError | Transaction.TransactionError, Transaction.Transaction>

  /** Forgets the starts of a key, by itself and at once: called outside of transactions. */
  readonly forget: (key: Key) => Effect.Effect<void, StorageError>

  /**
   * Deletes the oldest of the keys and starts that are older than the retention, at most `limit` of each; answers how many
   * there were. By itself, in short transactions that hold up no `register` of another key. Several processes may call it
   * at once.
   */
  readonly purge: (options: { readonly limit: number }) => Effect.Effect<number, StorageError>
}>() {}

/**
 * Runs an effect in a transaction, unless its key is there already. The key is stored with what the effect writes: both
 * or neither. If the effect fails nothing is remembered, and it runs again when the message comes again.
 *
 * Only what joins the transaction is protected: an e-mail it sends may be sent twice. A key is remembered for as long
 * as the storage keeps it: that is the window in which duplicates are known.
 *
 * When the database made the transaction a victim it is repeated as a whole, the effect with it. Not so inside another
 * transaction: there it is a savepoint, and what was chosen is all of it.
 *
 * **Deaths.** An effect that kills the process would kill it each time its message comes. With `careful` the start is
 * committed before the effect runs; success, failure, defect and interruption take it back, and what is left is a death.
 * After so many deaths in a row the effect is not run, and an {@link InboxError} says so. Inside another transaction
 * `careful` has no effect: nothing could be committed before.
 *
 * @example
 * ```ts
 * import { Bootstrap, Inbox } from "@effect-cqrs/core"
 * import { Effect } from "effect"
 *
 * const key = { consumer: "billing", handler: "charge", source: "/rooms", messageId: "1" }
 *
 * const twice = Effect.all([
 *   Inbox.process(key, Effect.succeed("charged")),
 *   Inbox.process(key, Effect.succeed("charged"))
 * ])
 *
 * const [first, second] = await Effect.runPromise(Effect.provide(twice, Bootstrap.layerStorageMemory))
 * console.log(first._tag, second._tag) // Handled Duplicate
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const process: {
  <A, E, R>(
    key: Key,
    effect: Effect.Effect<A, E, R>,
    options?: Options & { readonly careful?: undefined }
  ): Effect.Effect<
    Processed<A>,
    E | Transaction.TransactionError | StorageError,
    Exclude<R, Transaction.Transaction> | Transactor | InboxStorage
  >
  <A, E, R>(
    key: Key,
    effect: Effect.Effect<A, E, R>,
    options: Options
  ): Effect.Effect<
    Processed<A>,
    E | Transaction.TransactionError | StorageError | InboxError,
    Exclude<R, Transaction.Transaction> | Transactor | InboxStorage
  >
} = <A, E, R>(key: Key, effect: Effect.Effect<A, E, R>, options?: Options) =>
  Effect.flatMap(
    InboxStorage,
    (storage) =>
      Effect.flatMap(Transactor, (transactor) => processing({ storage, transactor }, key, effect, options ?? {}))
  )

/**
 * Purges a storage beside the program, step by step: at the start, and again after each interval. What goes wrong is
 * logged, and tried again. When the scope closes it ends with the step it is in. For layers that make an
 * {@link InboxStorage}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const purging = (
  storage: Pick<Context.Tag.Service<InboxStorage>, "purge">,
  options?: PurgeOptions | undefined
): Effect.Effect<void, never, Scope.Scope> => purgeBeside("The inbox", storage.purge, options)

/**
 * An inbox inside this process, which forgets everything with it. It keeps keys for 7 days. Beside a transactor of another
 * database a key is forgotten if the outcome of its commit is unknown (`OutcomeUnknown`): its effect runs once more.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<InboxStorage> = Layer.suspend(() => layerMemoryWith({}))

/**
 * As {@link layerMemory}, with a retention of one's own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemoryWith = (options: {
  /** How long keys are kept. Default 7 days. */
  readonly retention?: Duration.DurationInput | undefined
}): Layer.Layer<InboxStorage> =>
  Layer.scoped(
    InboxStorage,
    Effect.suspend(() => {
      const retention = Duration.decode(options.retention ?? Duration.days(7))
      return Effect.tap(
        makeMemoryInbox(retention),
        // seldom: a test that lets a week go by would have to wait for each
        (storage) => purging(storage, { interval: Duration.times(retention, 0.01) })
      )
    })
  )
