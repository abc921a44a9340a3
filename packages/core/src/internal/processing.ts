import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type { InboxStorage, Key, Options, Processed, Start } from "../Inbox.ts"
import * as Metrics from "../Metrics.ts"
import type { StorageError } from "../OutboxStorage.ts"
import type { Transaction } from "../Transaction.ts"
import type { Transactor } from "../Transactor.ts"
import { InboxError } from "./inboxError.ts"
import { transacting } from "./transacting.ts"
import { openOf } from "./transaction.ts"
import type { TransactionError } from "./transactionError.ts"
import { victims } from "./victims.ts"

/** `Inbox.process` by a storage and a transactor. */
export const processing = <A, E, R>(
  { storage, transactor }: { readonly storage: InboxStorage["Type"]; readonly transactor: Transactor["Type"] },
  key: Key,
  effect: Effect.Effect<A, E, R>,
  options: Options
): Effect.Effect<
  Processed<A>,
  E | TransactionError | StorageError | InboxError,
  Exclude<R, Transaction>
> =>
  Effect.withFiberRuntime((fiber) => {
    const careful = openOf(transactor, fiber) === undefined ? options.careful : undefined
    const once = (deaths: number) =>
      transacting(
        transactor,
        Effect.flatMap(storage.register(key), (isNew): Effect.Effect<
          Processed<A>,
          E | StorageError | TransactionError | InboxError,
          R | Transaction
        > => {
          const outcome: Effect.Effect<Processed<A>, E | InboxError, R> = !isNew
            ? Effect.succeed({ _tag: "Duplicate" })
            : careful !== undefined && deaths >= (careful.deaths ?? defaultDeaths)
            ? Effect.fail(suspected(deaths))
            : Effect.map(effect, (value) => ({ _tag: "Handled", value }))
          return careful === undefined ? outcome : Effect.zipLeft(outcome, storage.finish(key))
        }),
        { isolation: options.isolation, retry: options.retry ?? victims, registers: true }
      )
    const run = careful === undefined ? once(0) : Effect.tapError(
      counted(storage, key, careful, once),
      (error) => isSuspected(error) ? increment(Metrics.suspected, key) : Effect.void
    )
    return Effect.flatMap(
      run,
      (processed): Effect.Effect<Processed<A>> =>
        processed._tag === "Duplicate"
          ? Effect.as(increment(Metrics.duplicates, key), processed)
          : Effect.succeed(processed)
    )
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const defaultDeaths = 5

const suspected = (deaths: number) =>
  new InboxError({
    reason: "Suspected",
    message: `The process died ${deaths} times in a row while it was the only message in flight, and it was not ` +
      "handled again: find out why, then redrive it"
  })

const isSuspected = (error: unknown): boolean => error instanceof InboxError

const increment = (metric: Metric.Metric.Counter<number>, { consumer, handler }: Key): Effect.Effect<void> =>
  Effect.tagMetrics(Metric.increment(metric), { consumer, handler })

/** Notes a start, and takes it back if there is an outcome that the transaction could not take back with it. */
const counted = <A, E, R>(
  storage: InboxStorage["Type"],
  key: Key,
  start: Start,
  once: (deaths: number) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | StorageError, R> => {
  // a database that does not answer now leaves a start behind which, of this incarnation, counts as no death
  const forget = storage.forget(key).pipe(
    Effect.interruptible,
    Effect.timeoutOption("5 seconds"),
    Effect.catchAllCause((cause) => Effect.logWarning("A handler's start could not be taken back", cause))
  )
  return Effect.flatMap(
    Effect.onInterrupt(storage.start(key, start), () => forget),
    (deaths) =>
      Effect.onExit(
        once(deaths),
        (exit) =>
          Exit.isSuccess(exit) || Option.exists(Cause.failureOption(exit.cause), isSuspected) ? Effect.void : forget
      )
  )
}
