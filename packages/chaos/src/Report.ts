/** What came out of a run. */
import { grace, type Recovery, type Rule, rules, takeoverLimit, type Verdict } from "./Checker.ts"
import type { Result } from "./Run.ts"

/** `recoveryMs`: the middle one, the 95th of a hundred, and the longest, of all faults. */
interface Figures extends Omit<Verdict, "violations" | "recoveries" | "takeovers"> {
  readonly faults: number
  readonly recoveryMs: { readonly p50: number; readonly p95: number; readonly max: number }
}

export const isSound = ({ verdict }: Result): boolean => verdict.violations.length === 0

const figuresOf = ({ history: { faults }, verdict }: Result): Figures => {
  const { recoveries, takeovers: _takeovers, violations: _violations, ...counts } = verdict
  return {
    faults: faults.filter(({ refused }) => refused === undefined).length,
    ...counts,
    recoveryMs: quantiles(recoveries)
  }
}

export const json = (result: Result): string =>
  JSON.stringify({
    ...result.history.asked,
    ...figuresOf(result),
    violations: result.verdict.violations,
    ...(result.kept === undefined ? {} : { history: result.kept })
  })

export const text = (result: Result): string => {
  const { history: { asked, faults }, kept, verdict } = result
  const figures = figuresOf(result)
  const broken = [...new Set(verdict.violations.map(({ rule }) => rule))]
  return [
    `${asked.database} and ${asked.broker}, ${asked.minutes} minutes, seed ${asked.seed}`,
    "",
    table([
      ["fault", "times", "recovery p50", "longest"],
      ...[...new Set(verdict.recoveries.map(({ kind }) => kind))].sort().map((kind) => {
        const of = verdict.recoveries.filter((one) => one.kind === kind)
        const { max, p50 } = quantiles(of)
        return [kind, String(of.length), seconds(p50), seconds(max)]
      })
    ]),
    "",
    `${figures.faults} faults; ${figures.committed} events committed, ${figures.delivered} delivered; ` +
    `${figures.duplicates} delivered again, ${figures.unexplained} of them without a reason; ` +
    `${figures.deadLetters} dead letters`,
    `${verdict.takeovers.length} takeovers judged, the longest ${seconds(Math.max(0, ...verdict.takeovers))} (at most ${
      seconds(takeoverLimit)
    }); a fault explains duplicates up to ${seconds(grace)} after it`,
    ...faults.filter(({ refused }) => refused !== undefined).map(({ kind, number, refused }) =>
      `fault ${number}, ${kind}, could not be done: ${refused}`
    ),
    "",
    ...(Object.entries(rules) as ReadonlyArray<readonly [Rule, string]>).map(([rule, asked]) =>
      `${broken.includes(rule) ? "BROKEN" : "kept  "}  ${rule}: ${asked}`
    ),
    ...broken.flatMap((rule) => {
      const all = verdict.violations.filter((one) => one.rule === rule)
      return [
        "",
        `${rule}, ${all.length} times:`,
        ...all.slice(0, few).map(({ message }) => `  ${message}`),
        ...(all.length > few ? [`  and ${all.length - few} more`] : [])
      ]
    }),
    ...(kept === undefined ? [] : [
      "",
      `The history is in ${kept}, with what the processes logged beside it.`,
      `The same faults again: npm run chaos -- --seed ${asked.seed} --minutes ${asked.minutes} ` +
      `--database ${asked.database} --broker ${asked.broker}`
    ])
  ].join("\n")
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Of one rule's violations in the text. */
const few = 10

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

const quantiles = (recoveries: ReadonlyArray<Recovery>): Figures["recoveryMs"] => {
  const sorted = recoveries.map(({ millis }) => millis).sort((a, b) => a - b)
  const at = (part: number) => Math.round(sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0)
  return { p50: at(0.5), p95: at(0.95), max: at(1) }
}

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("  ")
  ).join("\n")
}
