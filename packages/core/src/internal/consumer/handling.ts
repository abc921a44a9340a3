import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Delivery } from "../../Broker.ts"
import type * as EventMediator from "../../EventMediator.ts"
import { InboxError } from "../../Inbox.ts"
import { StorageError } from "../../OutboxStorage.ts"
import { TransactionError } from "../../Transaction.ts"
import type { Attempts, Together } from "../attempts.ts"
import { backoffAfter, delayAfter, outage } from "../scheduleDelay.ts"
import type { Bury } from "./burying.ts"
import type { Counts, DeadReason, IgnoredReason } from "./counting.ts"
import { redrivenFor } from "./headers.ts"

type Policy = "deadLetter" | "ignore"

export interface Handling {
  readonly mediator: EventMediator.EventMediator
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly bury: Bury
  readonly counts: Counts
  readonly group: string
  /** Of the spans of messages. */
  readonly attributes: Readonly<Record<string, unknown>>
  /** The names of the consumer's events. */
  readonly events: ReadonlySet<string>
  readonly unknown: Policy
  readonly tombstones: Policy
}

const defaultRetry = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(5))

/** All that becomes of one delivery: it succeeds when the message may be settled. */
export const handling = (
  { attributes, bury, counts, events, group, mediator, retry = defaultRetry, tombstones, unknown }: Handling
) => {
  const buryAs = (delivery: Delivery, reason: string, attempts: number, why: DeadReason): Effect.Effect<void> =>
    Effect.map(bury(delivery, reason, attempts), () => counts.dead(delivery.message.name, why))

  /** The handlers that failed in the first attempt, again and again. */
  const again = (delivery: Delivery, { acquit, attempt }: Attempts, first: ReadonlyArray<EventMediator.Handled>) =>
    Effect.gen(function*() {
      const { message } = delivery
      let handled = first
      let attempts = 0
      let outages = 0
      let suspected: ReadonlyArray<Failed> = []
      const give = (failed: ReadonlyArray<Failed>) =>
        Effect.zipRight(
          buryAs(
            delivery,
            failed.map(reasonOf).join("; "),
            attempts,
            failed.every(isSuspected) ? "suspected" : "failed"
          ),
          acquit(suspected.map(({ handler }) => handler))
        )
      while (true) {
        const failures = failuresOf(handled)
        suspected = [...suspected, ...failures.filter(isSuspected)]
        const failed = failures.filter((one) => !isSuspected(one))
        if (failed.length === 0) {
          if (suspected.length > 0) return yield* give(suspected)
          return counts.handled(message)
        }
        const only = new Set(failed.map(({ handler }) => handler))
        yield* Effect.logWarning(
          `Handlers of ${message.name} failed: ${[...only].join(", ")}`,
          ...failed.map(({ cause }) => cause)
        )
        if (failed.some(({ cause }) => isOutage(cause))) {
          outages += 1
          yield* Effect.flatMap(backoffAfter(outage, outages), Effect.sleep)
        } else {
          attempts += 1
          const delay = yield* delayAfter(retry, attempts, failed[0]!.cause)
          if (Option.isNone(delay)) return yield* give([...failed, ...suspected])
          yield* Effect.sleep(delay.value)
        }
        counts.retried(message.name)
        handled = yield* attempt((around) => mediator.dispatch(message, { only, around, attributes }))
      }
    })

  const unmarked = unmarkedFor(group)

  const undispatched =
    (delivery: Delivery) => ({ message, reason }: EventMediator.EventMediatorError): Effect.Effect<void> =>
      buryAs(delivery, message, 1, reason === "Undecodable" ? "undecodable" : "unknown")

  /** Why it is settled as it is. */
  const ignoredAs = ({ isTombstone, message, unreadable }: Delivery): IgnoredReason | undefined => {
    if ((message.headers[redrivenFor] ?? group) !== group) return "redriven"
    if (isTombstone) return tombstones === "ignore" ? "tombstone" : undefined
    return unreadable === undefined && unknown === "ignore" && !events.has(message.name) ? "unknown" : undefined
  }

  const single = (given: Delivery, attemptsOf: (delivery: Delivery) => Attempts): Effect.Effect<void> => {
    const delivery = unmarked(given)
    const { message } = delivery
    const ignored = ignoredAs(delivery)
    if (ignored !== undefined) return Effect.sync(() => counts.ignored(message.name, ignored))
    if (delivery.isTombstone) return buryAs(delivery, tombstoneReason, 1, "tombstone")
    if (delivery.unreadable !== undefined) return buryAs(delivery, delivery.unreadable, 1, "unreadable")
    const attempts = attemptsOf(delivery)
    return Effect.matchEffect(attempts.attempt((around) => mediator.dispatch(message, { around, attributes })), {
      onFailure: undispatched(delivery),
      onSuccess: (handled) => {
        for (const { exit } of handled) {
          if (Exit.isFailure(exit)) {
            return Effect.catchAll(again(delivery, attempts, handled), undispatched(delivery))
          }
        }
        counts.handled(message)
        return Effect.void
      }
    })
  }

  /** Handles what is taken in one transaction; fails, with nothing done, if one of them is not simply handled. */
  const together = (deliveries: ReadonlyArray<Delivery>, { run }: Together): Effect.Effect<void, unknown> => {
    const meant = deliveries.filter((delivery) => ignoredAs(delivery) === undefined).map(unmarked)
    const handled = meant.length === 0 ?
      Effect.void :
      run((aroundOf) =>
        Effect.forEach(meant, ({ message }) =>
          Effect.flatMap(
            mediator.dispatch(message, { around: aroundOf(message), attributes }),
            (handled) => handled.every(({ exit }) => Exit.isSuccess(exit)) ? Effect.void : Effect.fail(undone)
          ), { discard: true })
      )
    return Effect.map(handled, () => {
      for (const delivery of deliveries) {
        const ignored = ignoredAs(delivery)
        if (ignored === undefined) counts.handled(delivery.message)
        else counts.ignored(delivery.message.name, ignored)
      }
    })
  }

  /** Whether it may be one of several that are handled together. */
  const isPlain = (delivery: Delivery): boolean =>
    ignoredAs(delivery) !== undefined || (!delivery.isTombstone && delivery.unreadable === undefined)

  return { single, together, isPlain }
}

/** What a handler makes of a redriven message, with its headers, is for all groups. One for another group is as it was. */
const unmarkedFor = (group: string) => (delivery: Delivery): Delivery => {
  const { message } = delivery
  if (message.headers[redrivenFor] !== group) return delivery
  const { [redrivenFor]: _group, ...headers } = message.headers
  return { ...delivery, message: { ...message, headers } }
}

/** Not an error: why a batch is rolled back. */
const undone = "one of a batch was not handled"

const tombstoneReason = "It has no body: a tombstone. If its topic is compacted, let the consumer ignore tombstones"

const failuresOf = (handled: ReadonlyArray<EventMediator.Handled>): ReadonlyArray<Failed> =>
  handled.flatMap(({ exit, handler }) => Exit.isFailure(exit) ? [{ handler, cause: exit.cause }] : [])

interface Failed {
  readonly handler: string
  readonly cause: Cause.Cause<unknown>
}

const isSuspected = ({ cause }: Failed): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error instanceof InboxError)

/** The sentence of a suspicion is the library's own. */
const reasonOf = (failed: Failed): string =>
  `${failed.handler}: ${
    isSuspected(failed) ? (Cause.squash(failed.cause) as InboxError).message : nameOf(failed.cause)
  }`

/** The database could not be reached, or lacks a table: no fault of the message, nor of its handler. */
const isOutage = (cause: Cause.Cause<unknown>): boolean =>
  Chunk.some(
    Cause.failures(cause),
    (error) =>
      (error instanceof TransactionError && (error.reason === "Unavailable" || error.reason === "OutcomeUnknown")) ||
      (error instanceof StorageError && (error.reason === "Unavailable" || error.reason === "Schema"))
  )

/** The name of a failure, not its text: dead letters are stored, and a text may carry what the payload carried. */
const nameOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  if (typeof error === "object" && error !== null) {
    if ("_tag" in error && typeof error._tag === "string") return error._tag
    if (error instanceof Error) return error.name
  }
  return "an untagged failure"
}
