import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as MetricLabel from "effect/MetricLabel"
import * as Metrics from "../Metrics.ts"
import type { Transactor } from "../Transactor.ts"
import { clockOf } from "./handling.ts"
import { isUnknown, TransactionError } from "./transactionError.ts"

/** Notes how a transaction that begins now has ended, and how long it took. */
export const timing = (transactor: Transactor["Type"], fiber: Fiber.RuntimeFiber<any, any>) => {
  const clock = clockOf(fiber)
  const began = clock.unsafeCurrentTimeNanos()
  return (exit: Exit.Exit<unknown, unknown>): void =>
    Metrics.transactions.unsafeUpdate(
      Number(clock.unsafeCurrentTimeNanos() - began) / 1e9,
      outcomes[outcomeOf(transactor, exit)]
    )
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const outcomeOf = (
  transactor: Transactor["Type"],
  exit: Exit.Exit<unknown, unknown>
): keyof typeof outcomes => {
  if (Exit.isSuccess(exit)) return "committed"
  if (isUnknown(exit.cause)) return "unknown"
  const failures = Cause.failures(exit.cause)
  if (Chunk.some(failures, transactor.isConflict)) return "conflict"
  return Chunk.some(failures, (error) => error instanceof TransactionError) ? "failed" : "rolled-back"
}

const labelled = (outcome: string) => [MetricLabel.make("outcome", outcome)]

const outcomes = {
  committed: labelled("committed"),
  "rolled-back": labelled("rolled-back"),
  conflict: labelled("conflict"),
  unknown: labelled("unknown"),
  failed: labelled("failed")
}
