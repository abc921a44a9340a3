/**
 * What a run prints at its end: a table for people, or the same as one JSON object.
 */
import type { Machine } from "./Machine.ts"
import type { Result } from "./Runner.ts"
import type { Summary } from "./Statistics.ts"
import type { Target } from "./Suite.ts"

export interface Report {
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  /** The database servers, with the settings that decide what a commit costs. */
  readonly servers: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly scale: number
  readonly suites: ReadonlyArray<{ readonly name: string; readonly results: ReadonlyArray<Result> }>
}

/** One object; the figures of each round are in it. */
export const json = (report: Report): string =>
  JSON.stringify({
    ...report,
    suites: report.suites.map(({ name, results }) => ({
      name,
      rows: results.map(({ row, ...found }) => ({ ...row, ...found }))
    }))
  })

export const text = (report: Report): string =>
  [
    ...report.suites.flatMap(({ name, results }) => [`${name}, median (lowest to highest round)`, table(results), ""]),
    ...place(report)
  ].join("\n")

/** Where and how it was measured, sentence by sentence. */
export const place = ({ machine, scale, servers, versions }: Omit<Report, "suites">): ReadonlyArray<string> => {
  const { cores, cpu, load, memoryGiB, system } = machine
  return [
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}`,
    listed(versions),
    ...Object.entries(servers).map(([name, settings]) => `${name}: ${listed(settings)}`),
    ...(load < cores / 4
      ? []
      : [`The machine was busy with something else: its load was ${short(load)} before the run began`]),
    ...(scale === 1
      ? []
      : [`At ${scale} of the full sizes: figures of full runs only are to be compared`])
  ]
}

/** What a table says of each result: row, what, figure, twin, ratio, target, verdict. */
export const cells = (results: ReadonlyArray<Result>): ReadonlyArray<ReadonlyArray<string>> =>
  results.map(({ ratio, reason, row, subject, twin, verdict }) =>
    subject === undefined
      ? [row.id, row.title, "", "", "", targetOf(row.target), `${verdict}: ${reason}`]
      : [
        row.id,
        row.title,
        `${figure(subject)} ${row.unit}`,
        twin === undefined ? "" : figure(twin),
        ratio === undefined ? "" : figure(ratio),
        targetOf(row.target),
        verdict
      ]
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const headings = ["row", "what", "figure", "twin", "ratio", "target", ""]

const table = (results: ReadonlyArray<Result>): string => {
  const lines = [headings, ...cells(results)]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines.map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()).join("\n")
}

const targetOf = (target: Target | undefined): string =>
  target === undefined ? "" : "atLeast" in target ? `>= ${short(target.atLeast)}` : `<= ${short(target.atMost)}`

const figure = ({ high, low, median }: Summary): string => `${short(median)} (${short(low)}..${short(high)})`

const short = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)))

const listed = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values).map(([name, value]) => `${name} ${value}`).join(", ")
