import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { InboxStorage, Key } from "../Inbox.ts"
import * as Transaction from "../Transaction.ts"
import { isOld, makeMemoryKeys, removeOld } from "./memoryKeys.ts"

type Service = Context.Tag.Service<InboxStorage>

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
  Effect.map(makeMemoryKeys<void>(retention), (keys): Service => {
    const starts = new Map<string, Start>()

    return {
      register: (key) => Effect.map(keys.register(nameOf(key), undefined), (found) => found === undefined),
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
        Effect.zipWith(
          keys.purge(limit),
          Clock.currentTimeMillis,
          (removed, now) => removed + removeOld(starts, limit, ({ startedAt }) => isOld(retention, startedAt, now))
        )
    }
  })
