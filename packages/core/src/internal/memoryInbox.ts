import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { InboxStorage, Key } from "../Inbox.ts"
import * as Transaction from "../Transaction.ts"
import * as Wake from "../Wake.ts"
import { type OpenTransaction, transactionTag } from "./transaction.ts"

type Service = Context.Tag.Service<InboxStorage>

interface Remembered {
  /** The transaction that registers it, while that is open. */
  readonly holder: unknown
  readonly handledAt: number
}

interface Start {
  readonly message: string
  readonly incarnation: string
  readonly isAlone: boolean
  readonly deaths: number
  readonly startedAt: number
}

const nameOf = ({ consumer, handler, messageId, source }: Key): string =>
  JSON.stringify([consumer, handler, source, messageId])

const messageOf = ({ consumer, messageId, source }: Omit<Key, "handler">): string =>
  JSON.stringify([consumer, source, messageId])

export const makeMemoryInbox = (retention: Duration.Duration): Effect.Effect<Service> =>
  Effect.map(Wake.make, (ended): Service => {
    const keys = new Map<string, Remembered>()
    const starts = new Map<string, Start>()

    const isOld = (time: number, now: number) => time < now - Duration.toMillis(retention)

    /** From the front: a Map keeps the order of insertion, which is that of the times. */
    const removeOld = <A>(from: Map<string, A>, limit: number, isOld: (value: A) => boolean): number => {
      let removed = 0
      for (const [name, value] of from) {
        if (removed >= limit || !isOld(value)) break
        from.delete(name)
        removed += 1
      }
      return removed
    }

    const add = (name: string, { journal }: OpenTransaction, handledAt: number) => {
      keys.set(name, { holder: journal, handledAt })
      const forget = () => void keys.delete(name)
      journal.add({ _tag: "Undo", undo: forget })
      // whoever waits for it would wait for ever; and twice is better than never
      journal.add({ _tag: "Unknown", effect: Effect.zipRight(Effect.sync(forget), ended.signal) })
      const committed = Effect.zipRight(
        Effect.sync(() => keys.set(name, { holder: undefined, handledAt })),
        ended.signal
      )
      return Effect.zipRight(Transaction.afterRollback(ended.signal), Transaction.afterCommit(committed))
    }

    const register = (name: string): ReturnType<Service["register"]> =>
      Effect.flatMap(
        Effect.all([transactionTag, ended.version, Clock.currentTimeMillis]),
        ([open, version, now]) => {
          const found = keys.get(name)
          if (found === undefined) {
            return Effect.as(Effect.uninterruptible(Effect.suspend(() => add(name, open, now))), true)
          }
          return found.holder === undefined || found.holder === open.journal
            ? Effect.succeed(false)
            : Effect.zipRight(ended.waitPast(version), register(name))
        }
      )

    return {
      register: (key) => register(nameOf(key)),
      isSuspect: (message) =>
        Effect.sync(() => {
          const name = messageOf(message)
          return [...starts.values()].some((start) => start.message === name)
        }),
      start: (key, { incarnation, isAlone }) =>
        Effect.map(Clock.currentTimeMillis, (startedAt) => {
          const name = nameOf(key)
          const before = starts.get(name)
          const isDeath = before !== undefined && before.isAlone && before.incarnation !== incarnation
          const deaths = (before?.deaths ?? 0) + (isDeath ? 1 : 0)
          starts.delete(name)
          starts.set(name, { message: messageOf(key), incarnation, isAlone, deaths, startedAt })
          return deaths
        }),
      finish: (key) => Transaction.afterCommit(Effect.sync(() => starts.delete(nameOf(key)))),
      forget: (key) => Effect.sync(() => void starts.delete(nameOf(key))),
      purge: ({ limit }) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now) =>
            removeOld(keys, limit, ({ handledAt, holder }) => holder === undefined && isOld(handledAt, now)) +
            removeOld(starts, limit, ({ startedAt }) => isOld(startedAt, now))
        )
    }
  })
