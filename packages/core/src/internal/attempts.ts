import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Delivery } from "../Broker.ts"
import { IdGenerator } from "../IdGenerator.ts"
import * as Inbox from "../Inbox.ts"
import { Transactor } from "../Transactor.ts"
import { aloneOf } from "./alone.ts"
import { outage } from "./scheduleDelay.ts"

/** Wraps each handler of a message. */
type Around = (options: {
  readonly handler: string
  readonly effect: Effect.Effect<unknown, unknown>
}) => Effect.Effect<unknown, unknown>

/** How the handlers of one delivery are run. */
export interface Attempts {
  readonly attempt: <A, E>(run: (around: Around | undefined) => Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Forgets the deaths that were counted. */
  readonly acquit: (handlers: ReadonlyArray<string>) => Effect.Effect<void>
}

export const plain: Attempts = { attempt: (run) => run(undefined), acquit: () => Effect.void }

/**
 * Each handler once per message, and careful where there is a reason: with a message that was handed out before, and
 * with the first messages of a start, for one that has killed the process is among the first to come again.
 */
export const throughInbox = (options: {
  readonly consumer: string
  readonly concurrency: number
  readonly deaths: number
}): Effect.Effect<(delivery: Delivery) => Attempts, never, Transactor | Inbox.InboxStorage | Scope.Scope> =>
  Effect.gen(function*() {
    const { concurrency, consumer, deaths } = options
    const transactor = yield* Transactor
    const storage = yield* Inbox.InboxStorage
    const flight = aloneOf(storage)
    yield* flight.join(concurrency)
    const incarnation = (yield* IdGenerator)(yield* Clock.currentTimeMillis)
    /** More than were unsettled when the process ended. */
    let first = Math.max(32, 4 * concurrency)

    return ({ message, redeliveries }) => {
      const keyOf = (handler: string): Inbox.Key => ({
        consumer,
        handler,
        source: message.source,
        messageId: message.id
      })
      const through = (options: Inbox.Options): Around => ({ effect, handler }) =>
        Inbox.process(keyOf(handler), effect, options).pipe(
          Effect.provideService(Transactor, transactor),
          Effect.provideService(Inbox.InboxStorage, storage)
        )
      const careful = (isAlone: boolean) => through({ careful: { incarnation, isAlone, deaths } })
      const isSuspect = Effect.orDie(Effect.retry(
        Effect.tapError(
          storage.isSuspect({ consumer, source: message.source, messageId: message.id }),
          (error) => Effect.logWarning(`The inbox of ${consumer} cannot be read, and a message is held`, error)
        ),
        outage
      ))
      const atEase: Attempts["attempt"] = (run) => flight.beside(() => run(through({})))
      const carefully: Attempts["attempt"] = <A, E>(run: (around: Around) => Effect.Effect<A, E>) =>
        Effect.flatMap(isSuspect, (suspect): Effect.Effect<A, E> =>
          suspect
            ? flight.alone(Effect.suspend(() => run(careful(true))))
            : flight.beside((isAlone) => run(careful(isAlone))))
      const isFirst = first > 0
      if (isFirst) first -= 1
      return {
        attempt: isFirst || redeliveries > 0 ? carefully : atEase,
        acquit: (handlers) =>
          Effect.forEach(
            handlers,
            (handler) => Effect.retry(storage.forget(keyOf(handler)), { schedule: outage, times: 10 }),
            { discard: true }
          ).pipe(
            Effect.catchAll((error) => Effect.logWarning("The deaths of a dead letter could not be forgotten", error))
          )
      }
    }
  })
