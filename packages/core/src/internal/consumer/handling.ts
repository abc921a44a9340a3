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
import type { Attempts } from "../attempts.ts"
import { backoffAfter, delayAfter, outage } from "../scheduleDelay.ts"
import type { Bury } from "./burying.ts"
import { redrivenFor } from "./headers.ts"

type Policy = "deadLetter" | "ignore"

export interface Handling {
  readonly mediator: EventMediator.EventMediator
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly bury: Bury
  readonly group: string
  readonly unknown: Policy
  readonly tombstones: Policy
}

const defaultRetry = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(5))

/** All that becomes of one delivery: it succeeds when the message may be settled. */
export const handling = ({ bury, group, mediator, retry = defaultRetry, tombstones, unknown }: Handling) => {
  const handled = (delivery: Delivery, { acquit, attempt }: Attempts): Effect.Effect<void> =>
    Effect.gen(function*() {
      const { message } = delivery
      let only: ReadonlySet<string> | undefined
      let attempts = 0
      let outages = 0
      let suspected: ReadonlyArray<Failed> = []
      const buryAs = (failed: ReadonlyArray<Failed>) =>
        Effect.zipRight(
          bury(delivery, failed.map(reasonOf).join("; "), attempts),
          acquit(suspected.map(({ handler }) => handler))
        )
      while (true) {
        const handled = yield* attempt((around) => mediator.dispatch(message, { only, around }))
        const failures = handled.flatMap(({ exit, handler }): ReadonlyArray<Failed> =>
          Exit.isFailure(exit) ? [{ handler, cause: exit.cause }] : []
        )
        suspected = [...suspected, ...failures.filter(isSuspected)]
        const failed = failures.filter((one) => !isSuspected(one))
        if (failed.length === 0) return suspected.length === 0 ? undefined : yield* buryAs(suspected)
        only = new Set(failed.map(({ handler }) => handler))
        yield* Effect.logWarning(
          `Handlers of ${message.name} failed: ${[...only].join(", ")}`,
          ...failed.map(({ cause }) => cause)
        )
        if (failed.some(({ cause }) => isOutage(cause))) {
          outages += 1
          yield* Effect.flatMap(backoffAfter(outage, outages), Effect.sleep)
          continue
        }
        attempts += 1
        const delay = yield* delayAfter(retry, attempts, failed[0]!.cause)
        if (Option.isNone(delay)) return yield* buryAs([...failed, ...suspected])
        yield* Effect.sleep(delay.value)
      }
    }).pipe(
      Effect.catchAll((error) =>
        error.reason === "UnknownEvent" && unknown === "ignore" ? Effect.void : bury(delivery, error.message, 1)
      )
    )

  return (delivery: Delivery, attemptsOf: (delivery: Delivery) => Attempts): Effect.Effect<void> => {
    const meant = delivery.message.headers[redrivenFor]
    if (meant !== undefined && meant !== group) return Effect.void
    if (delivery.isTombstone) {
      return tombstones === "ignore" ? Effect.void : bury(delivery, delivery.unreadable ?? "It has no body", 1)
    }
    if (delivery.unreadable !== undefined) return bury(delivery, delivery.unreadable, 1)
    return handled(delivery, attemptsOf(delivery))
  }
}

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
