import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { Delivery } from "../Broker.ts"
import { IdGenerator } from "../IdGenerator.ts"
import * as Inbox from "../Inbox.ts"
import type { Message } from "../Message.ts"
import * as Metrics from "../Metrics.ts"
import * as Transaction from "../Transaction.ts"
import { Transactor } from "../Transactor.ts"
import { aloneOf } from "./alone.ts"
import { processing } from "./processing.ts"
import { outage } from "./scheduleDelay.ts"
import { transacting } from "./transacting.ts"
import type { TransactionError } from "./transactionError.ts"

/** Wraps each handler of a message. */
export type Around = (options: {
  readonly handler: string
  readonly effect: Effect.Effect<unknown, unknown>
}) => Effect.Effect<unknown, unknown>

/** How the handlers of one delivery are run. */
export interface Attempts {
  readonly attempt: <A, E>(run: (around: Around | undefined) => Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Forgets the deaths that were counted. */
  readonly acquit: (handlers: ReadonlyArray<string>) => Effect.Effect<void>
}

/** How several deliveries are run in one transaction. */
export interface Together {
  /** Nothing is known that speaks against it. */
  readonly isFit: (deliveries: ReadonlyArray<Delivery>) => boolean
  /** All or nothing: whatever goes wrong, nothing has happened, and a failing handler has to fail `run`. */
  readonly run: <A, E>(
    run: (aroundOf: (message: Message) => Around) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | TransactionError>
}

interface Countdown {
  left: number
}

export const plain: Attempts = { attempt: (run) => run(undefined), acquit: () => Effect.void }

/**
 * Each handler once per message, and careful where there is a reason: with a message that was handed out before, and
 * with the first messages of each partition or channel, for one that has killed a process is among the first to come again.
 */
export const throughInbox = (options: {
  readonly consumer: string
  readonly concurrency: number
  readonly deaths: number
  /** How many messages may be in flight in one place. */
  readonly size: number
}): Effect.Effect<
  { readonly attemptsOf: (delivery: Delivery) => Attempts; readonly together: Together },
  never,
  Transactor | Inbox.InboxStorage | Scope.Scope
> =>
  Effect.gen(function*() {
    const { concurrency, consumer, deaths, size } = options
    const transactor = yield* Transactor
    const storage = yield* Inbox.InboxStorage
    const flight = aloneOf(storage)
    yield* flight.join(concurrency)
    const incarnation = (yield* IdGenerator)(yield* Clock.currentTimeMillis)
    /**
     * More than were unsettled when the process ended. Those that it had handled do not count: with a broker that notes
     * what was settled now and then (Kafka) any number of them comes before one that was unsettled.
     */
    const first = Math.max(32, 4 * concurrency, size * concurrency)
    /** How many are left of them, where it is told apart where they come from. */
    const countdowns = new WeakMap<object, Countdown>()
    const everywhere: Countdown = { left: first }
    const countdownOf = ({ origin }: Delivery): Countdown => {
      if (typeof origin !== "object" || origin === null) return everywhere
      let found = countdowns.get(origin)
      if (found === undefined) countdowns.set(origin, found = { left: first })
      return found
    }

    const keyFor = ({ id, source }: Message, handler: string): Inbox.Key => ({
      consumer,
      handler,
      source,
      messageId: id
    })

    const together: Together = {
      isFit: (deliveries) =>
        deliveries.every((delivery) => delivery.redeliveries === 0 && countdownOf(delivery).left <= 0),
      run: (run) =>
        flight.beside(() =>
          transacting(
            transactor,
            run((message) => ({ effect, handler }) => {
              const key = keyFor(message, handler)
              // no savepoint of its own: if it fails nothing of the others stands, either
              const once = Effect.flatMap(storage.register(key), (isNew): Effect.Effect<unknown, unknown> =>
                isNew
                  ? effect
                  : Transaction.afterCommit(
                    Effect.tagMetrics(Metric.increment(Metrics.duplicates), { consumer, handler })
                  ) as Effect.Effect<unknown, unknown>)
              return once as Effect.Effect<unknown, unknown>
            }),
            { registers: true }
          )
        )
    }

    const attemptsOf = (delivery: Delivery): Attempts => {
      const { message, redeliveries } = delivery
      const keyOf = (handler: string): Inbox.Key => keyFor(message, handler)
      const through = (options: Inbox.Options): Around => ({ effect, handler }) =>
        processing({ storage, transactor }, keyOf(handler), effect, options)
      let runs = 0
      let duplicates = 0
      const careful = (isAlone: boolean): Around => {
        const around = through({ careful: { incarnation, isAlone, deaths } })
        return (one) => {
          runs += 1
          return Effect.map(around(one), (processed) => {
            if ((processed as Inbox.Processed<unknown>)._tag === "Duplicate") duplicates += 1
            return processed
          })
        }
      }
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
      const countdown = countdownOf(delivery)
      let isFirst = countdown.left > 0
      if (isFirst) countdown.left -= 1
      const attempt = isFirst || redeliveries > 0 ? carefully : atEase
      return {
        attempt: isFirst
          ? (run) =>
            Effect.map(attempt(run), (result) => {
              if (isFirst && runs > 0 && runs === duplicates) countdown.left += 1
              isFirst = false
              return result
            })
          : attempt,
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

    return { attemptsOf, together }
  })
