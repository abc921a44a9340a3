import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Transaction from "../Transaction.ts"
import * as Wake from "../Wake.ts"
import { type OpenTransaction, transactionTag } from "./transaction.ts"

interface Remembered<A> {
  /** The transaction that registers it, while that is open. */
  readonly holder: unknown
  readonly value: A
  readonly handledAt: number
}

/** Keys that are stored with the transaction that registers them, each with a value. */
export interface MemoryKeys<A> {
  /**
   * Adds a key, and answers what stands there if it is there already. A second transaction with the key waits for the
   * first to end.
   */
  readonly register: (
    name: string,
    value: A
  ) => Effect.Effect<{ readonly value: A } | undefined, Transaction.TransactionError, Transaction.Transaction>
  /** Changes the value of a key that the open transaction has registered. */
  readonly change: (name: string, change: (value: A) => A) => Effect.Effect<void, never, Transaction.Transaction>
  /** Removes the oldest that are older than the retention; answers how many. */
  readonly purge: (limit: number) => Effect.Effect<number>
}

export const makeMemoryKeys = <A>(retention: Duration.Duration): Effect.Effect<MemoryKeys<A>> =>
  Effect.map(Wake.make, (ended): MemoryKeys<A> => {
    const keys = new Map<string, Remembered<A>>()

    const add = (name: string, value: A, { journal }: OpenTransaction, handledAt: number) => {
      keys.set(name, { holder: journal, value, handledAt })
      const forget = () => void keys.delete(name)
      journal.add({ _tag: "Undo", undo: forget })
      // whoever waits for it would wait for ever; and twice is better than never
      journal.add({ _tag: "Unknown", effect: Effect.zipRight(Effect.sync(forget), ended.signal) })
      const committed = Effect.zipRight(
        Effect.sync(() => keys.set(name, { ...keys.get(name)!, holder: undefined })),
        ended.signal
      )
      return Effect.zipRight(Transaction.afterRollback(ended.signal), Transaction.afterCommit(committed))
    }

    const register = (name: string, value: A): ReturnType<MemoryKeys<A>["register"]> =>
      Effect.flatMap(
        Effect.all([transactionTag, ended.version, Clock.currentTimeMillis]),
        ([open, version, now]) => {
          const found = keys.get(name)
          if (found === undefined) {
            return Effect.as(Effect.uninterruptible(Effect.suspend(() => add(name, value, open, now))), undefined)
          }
          return found.holder === undefined || found.holder === open.journal
            ? Effect.succeed({ value: found.value })
            : Effect.zipRight(ended.waitPast(version), register(name, value))
        }
      )

    return {
      register,
      change: (name, change) =>
        Effect.map(transactionTag, ({ journal }) => {
          const before = keys.get(name)
          if (before === undefined) return
          keys.set(name, { ...before, value: change(before.value) })
          journal.add({ _tag: "Undo", undo: () => void (keys.has(name) && keys.set(name, before)) })
        }),
      purge: (limit) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now) =>
            removeOld(keys, limit, ({ handledAt, holder }) => holder === undefined && isOld(retention, handledAt, now))
        )
    }
  })

export const isOld = (retention: Duration.Duration, time: number, now: number): boolean =>
  time < now - Duration.toMillis(retention)

/** From the front: a Map keeps the order of insertion, which is that of the times. */
export const removeOld = <A>(from: Map<string, A>, limit: number, isOld: (value: A) => boolean): number => {
  let removed = 0
  for (const [name, value] of from) {
    if (removed >= limit || !isOld(value)) break
    from.delete(name)
    removed += 1
  }
  return removed
}
