/**
 * Runs a measurement: its contenders in turn, round by round, and each row's figures from the same rounds.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Run } from "./Run.ts"
import { type Summary, summary } from "./Statistics.ts"
import type { Figures, Measurement, Row, Source, Target } from "./Suite.ts"

type Verdict = "pass" | "miss" | "reported" | "skipped" | "failed"

export interface Result {
  readonly row: Row
  readonly verdict: Verdict
  readonly subject?: Summary | undefined
  readonly twin?: Summary | undefined
  /** Subject over twin, each pair from one round. */
  readonly ratio?: Summary | undefined
  /** Why it was skipped, or what went wrong. */
  readonly reason?: string | undefined
}

/** The rows asked for of a measurement, in their order. A failure is a result: the other measurements go on. */
export const measure = (
  measurement: Measurement,
  rows: ReadonlyArray<Row>,
  options: { readonly rounds: number | undefined }
): Effect.Effect<ReadonlyArray<Result>, never, Run> =>
  Effect.gen(function*() {
    const missing = measurement.needs.filter((name) => (process.env[name] ?? "") === "")
    if (missing.length > 0) {
      const reason = `${missing.join(" and ")} not set`
      return rows.map((row): Result => ({ row, verdict: "skipped", reason }))
    }
    const { quick, status } = yield* Run
    const counted = options.rounds ?? measurement.rounds[quick ? "quick" : "full"]
    const sources = rows.flatMap(({ subject, twin }) => twin === undefined ? [subject] : [subject, twin])
    const asked = [...new Set(sources.map(({ contender }) => contender))]
    const found = new Map<string, Array<Figures>>(asked.map((name) => [name, []]))

    const round = (number: number, contenders: Readonly<Record<string, Effect.Effect<Figures, unknown, Run>>>) =>
      // another one begins each round: none is always the one that comes after the same other
      Effect.forEach(asked.map((_, at) => asked[(at + number) % asked.length]!), (name) =>
        Effect.gen(function*() {
          const label = number === 0 ? "warm-up" : `round ${number} of ${counted}`
          yield* status(`${measurement.name}: ${label}, ${name}`)
          const contender = contenders[name]
          if (contender === undefined) {
            return yield* Effect.dieMessage(`${measurement.name} has no contender ${name}`)
          }
          const figures = yield* contender
          const missing = sources.filter(({ contender, figure }) => contender === name && !(figure in figures))
          if (missing.length > 0) {
            return yield* Effect.dieMessage(`${measurement.name}: ${name} has found no ${missing[0]!.figure}`)
          }
          yield* status(`${measurement.name}: ${label}, ${name}: ${said(figures)}`)
          if (number > 0) found.get(name)!.push(figures)
        }), { discard: true })

    const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
      yield* status(`${measurement.name}: prepares`)
      const contenders = yield* measurement.contenders
      for (let number = measurement.warmUp === false ? 1 : 0; number <= counted; number++) {
        yield* round(number, contenders)
      }
    })))
    if (Exit.isFailure(exit)) {
      if (Cause.isInterrupted(exit.cause)) return yield* Effect.interrupt
      const reason = sentence(Cause.squash(exit.cause))
      yield* status(`${measurement.name}: failed: ${reason}`)
      return rows.map((row): Result => ({ row, verdict: "failed", reason }))
    }
    return rows.map((row) => resultOf(row, found))
  })

/** One sentence of a failure or a defect, with what it was caused by. */
export const sentence = (failure: unknown): string => {
  const parts: Array<string> = []
  let cause = failure
  while (cause instanceof Error && parts.length < 5) {
    const { message } = cause
    if (message !== "" && parts.every((part) => !part.includes(message))) parts.push(message)
    cause = cause.cause
  }
  return parts.length === 0 ? String(failure) : parts.join(": ")
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const said = (figures: Figures): string =>
  Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`).join(", ")

const resultOf = (row: Row, found: ReadonlyMap<string, ReadonlyArray<Figures>>): Result => {
  const values = (source: Source) => found.get(source.contender)!.map((figures) => figures[source.figure]!)
  const mine = values(row.subject)
  const subject = summary(mine)
  if (row.twin === undefined) return { row, subject, verdict: verdictOf(subject.median, row.target) }
  const theirs = values(row.twin)
  const ratio = summary(mine.map((value, at) => value / theirs[at]!))
  return { row, subject, twin: summary(theirs), ratio, verdict: verdictOf(ratio.median, row.target) }
}

const verdictOf = (value: number, target: Target | undefined): Verdict => {
  if (target === undefined) return "reported"
  return ("atLeast" in target ? value >= target.atLeast : value <= target.atMost) ? "pass" : "miss"
}
