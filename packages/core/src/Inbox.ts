/**
 * The inbox: the transactional effects of a handler happen once per message, whatever is redelivered.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type OpenTransaction, transactionTag } from "./internal/transaction.ts"
import type { StorageError } from "./OutboxStorage.ts"
import * as Transaction from "./Transaction.ts"
import type { Transactor } from "./Transactor.ts"
import * as Wake from "./Wake.ts"

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
 * Remembers keys.
 *
 * @since 0.1.0
 * @category tags
 */
export class InboxStorage extends Context.Tag("@effect-cqrs/core/Inbox/InboxStorage")<InboxStorage, {
  /**
   * Adds a key, inside the open transaction and as part of it; `false` if it is there already. A second transaction
   * with the key waits for the first to end.
   */
  readonly register: (
    key: Key
  ) => Effect.Effect<boolean, StorageError | Transaction.TransactionError, Transaction.Transaction>
}>() {}

/**
 * Runs an effect in a transaction, unless its key is there already. The key is stored with what the effect writes: both
 * or neither. If the effect fails nothing is remembered, and it runs again when the message comes again.
 *
 * Only what joins the transaction is protected: an e-mail it sends may be sent twice. A key is remembered for as long
 * as the storage keeps it: that is the window in which duplicates are known.
 *
 * @since 0.1.0
 * @category combinators
 */
export const process = <A, E, R>(
  key: Key,
  effect: Effect.Effect<A, E, R>,
  options?: Transaction.Options | undefined
): Effect.Effect<
  Processed<A>,
  E | Transaction.TransactionError | StorageError,
  Exclude<R, Transaction.Transaction> | Transactor | InboxStorage
> =>
  Transaction.run(
    Effect.flatMap(InboxStorage, (storage) =>
      Effect.flatMap(storage.register(key), (isNew): Effect.Effect<Processed<A>, E, R> =>
        isNew
          ? Effect.map(effect, (value) => ({ _tag: "Handled", value }))
          : Effect.succeed({ _tag: "Duplicate" }))),
    options
  )

/**
 * An inbox inside this process, which forgets everything with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<InboxStorage> = Layer.effect(
  InboxStorage,
  Effect.map(Wake.make, (ended) => {
    /** Keys with the transaction that registers them, while it is open. */
    const keys = new Map<string, unknown>()
    return {
      register: (key) => {
        const name = JSON.stringify([key.consumer, key.handler, key.source, key.messageId])
        const add = ({ journal }: OpenTransaction) => {
          keys.set(name, journal)
          journal.add({ _tag: "Undo", undo: () => keys.delete(name) })
          const committed = Effect.zipRight(Effect.sync(() => keys.set(name, undefined)), ended.signal)
          return Effect.zipRight(Transaction.afterRollback(ended.signal), Transaction.afterCommit(committed))
        }
        const attempt: ReturnType<Context.Tag.Service<InboxStorage>["register"]> = Effect.flatMap(
          Effect.zip(transactionTag, ended.version),
          ([open, version]) => {
            if (!keys.has(name)) return Effect.as(Effect.uninterruptible(add(open)), true)
            const holder = keys.get(name)
            return holder === undefined || holder === open.journal
              ? Effect.succeed(false)
              : Effect.zipRight(ended.waitPast(version), attempt)
          }
        )
        return attempt
      }
    }
  })
)
