import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { Options, Transaction } from "../Transaction.ts"
import type { Transactor } from "../Transactor.ts"
import { afterCommit as emissionsAfterCommit } from "./emission.ts"
import { locally } from "./locally.ts"
import { timing } from "./timing.ts"
import {
  endedError,
  openOf,
  OpenTransaction,
  openTransaction,
  TransactionJournal,
  transactionTag
} from "./transaction.ts"
import { isUnknown, TransactionError } from "./transactionError.ts"

/** `Transaction.run` by a transactor: a savepoint inside one of its transactions, else a transaction. */
export const transacting = <A, E, R>(
  transactor: Transactor["Type"],
  effect: Effect.Effect<A, E, R>,
  options: Beginning & Options
): Effect.Effect<A, E | TransactionError, Exclude<R, Transaction>> =>
  Effect.withFiberRuntime<A, E | TransactionError, Exclude<R, Transaction>>((fiber) => {
    const surrounding = openTransaction(fiber)
    const outer = openOf(transactor, fiber)
    if (outer !== undefined) return nested(outer, surrounding, effect)
    const attempt = outermost(transactor, surrounding, effect, options, fiber)
    return options.retry === undefined ? attempt : repeating(transactor, attempt, options.retry)
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type Beginning = Partial<Omit<Parameters<Transactor["Type"]["begin"]>[0], "scope">>

/** Repeats victims by a schedule, which is set going by the first of them: most transactions need none. */
const repeating = <A, E, R>(
  transactor: Transactor["Type"],
  attempt: Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<unknown, unknown>
): Effect.Effect<A, E, R> => {
  const isVictim = (error: unknown): boolean =>
    transactor.isConflict(error) && !(error instanceof TransactionError && error.reason === "OutcomeUnknown")
  return Effect.catchAll(attempt, (first) => {
    if (!isVictim(first)) return Effect.fail(first)
    let isFirst = true
    const next = Effect.suspend(() => {
      if (!isFirst) return attempt
      isFirst = false
      return Effect.fail(first)
    })
    return Effect.retry(next, Schedule.whileInput(schedule, isVictim))
  })
}

const outermost = <A, E, R>(
  transactor: Transactor["Type"],
  surrounding: OpenTransaction | undefined,
  effect: Effect.Effect<A, E, R>,
  options: Beginning,
  fiber: Fiber.RuntimeFiber<any, any>
): Effect.Effect<A, E | TransactionError, Exclude<R, Transaction>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.make(), (scope) => {
      const count = timing(transactor, fiber)
      const end = (exit: Exit.Exit<A, E | TransactionError>, followUp: Effect.Effect<void>) => {
        count(exit)
        return Effect.zipRight(Effect.zipRight(Scope.close(scope, exit), followUp), exit)
      }
      return Effect.matchCauseEffect(
        restore(transactor.begin({ isolation: options.isolation, registers: options.registers, scope })),
        {
          onFailure: (cause) => end(Exit.failCause(cause), Effect.void),
          onSuccess: (session) => {
            const journal = new TransactionJournal()
            const level = new OpenTransaction(transactor, session, journal, 0, undefined, surrounding)
            const undone = (cause: Cause.Cause<E | TransactionError>) => end(Exit.failCause(cause), journal.rolledBack)
            const rollBack = (cause: Cause.Cause<E | TransactionError>) =>
              Effect.matchCauseEffect(session.rollback, {
                onFailure: (also) => undone(Cause.sequential(cause, also)),
                onSuccess: () => undone(cause)
              })
            return Effect.matchCauseEffect(within(level, restore(effect)), {
              onFailure: (cause) => {
                level.end()
                return rollBack(cause)
              },
              onSuccess: (value) => {
                level.end()
                if (level.doomed !== undefined) return rollBack(Cause.fail(level.doomed))
                return Effect.matchCauseEffect(session.commit(journal.messages), {
                  // it has undone everything by itself, or nobody knows what it did
                  onFailure: (cause) => isUnknown(cause) ? end(Exit.failCause(cause), journal.unknown) : undone(cause),
                  onSuccess: () => end(Exit.succeed(value), journal.committed(emissionsAfterCommit))
                })
              }
            })
          }
        }
      )
    })
  )

const within = <A, E, R>(
  level: OpenTransaction,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Transaction>> =>
  Effect.withFiberRuntime<A, E, Exclude<R, Transaction>>((fiber) => {
    const { refs, services } = level.session.join(level, fiber)
    const context = new Map<string, unknown>(fiber.currentContext.unsafeMap)
    context.set(transactionTag.key, level)
    for (const [key, service] of services.unsafeMap) context.set(key, service)
    return locally(
      effect as Effect.Effect<A, E, Exclude<R, Transaction>>,
      [FiberRef.currentContext, Context.unsafeMake(context)],
      ...refs
    )
  })

const besideError = new TransactionError({
  reason: "Savepoint",
  message:
    "A nested run failed while another fiber of the transaction ran statements or added events beside it, which " +
    "its savepoint took along. Nothing is stored: wait for nested runs, or give each fiber one of its own"
})

let savepoints = 0

const nested = <A, E, R>(
  outer: OpenTransaction,
  surrounding: OpenTransaction | undefined,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | TransactionError, Exclude<R, Transaction>> =>
  outer.turn(Effect.uninterruptibleMask((restore) => {
    if (outer.ended()) return Effect.fail(endedError("A transaction was opened inside another"))
    const { journal, session, transactor } = outer
    const name = `cqrs_${++savepoints}`
    const level = new OpenTransaction(transactor, session, journal, outer.depth + 1, outer, surrounding)
    return Effect.zipRight(
      session.savepoint(name),
      Effect.suspend(() => {
        journal.savepoint(name)
        const touched = outer.touched
        return Effect.matchCauseEffect(within(level, restore(effect)), {
          onFailure: (cause) => {
            level.end()
            if (outer.touched !== touched) outer.doom(besideError)
            return session.rollbackTo(name).pipe(
              Effect.tapError((error) => Effect.sync(() => outer.doom(error))),
              Effect.zipRight(Effect.sync(() => journal.rollbackTo(name))),
              Effect.zipRight(Effect.failCause(cause))
            )
          },
          onSuccess: (value) => {
            level.end()
            return session.release(name).pipe(
              // nobody knows whether what it wrote is still there
              Effect.tapError((error) => Effect.sync(() => outer.doom(error))),
              Effect.map(() => {
                journal.release(name)
                return value
              })
            )
          }
        })
      })
    )
  }))
