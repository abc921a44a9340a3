/**
 * The pages of `docs/benchmarks`, made of what runs have found; kept beside them as it was found.
 */
import * as Chart from "./Chart.ts"
import * as Report from "./Report.ts"
import type { Suite } from "./Suite.ts"

/** A run of a whole suite. */
export interface Kept extends Omit<Report.Report, "suites"> {
  readonly suite: Pick<Suite, "name" | "title" | "charts">
  /** What was typed. */
  readonly command: string
  /** As `2026-11-25`. */
  readonly date: string
  readonly results: Report.Report["suites"][number]["results"]
}

/** Files by name, with the run itself as `NAME.json`. */
export type Files = ReadonlyMap<string, string>

export const filesOf = (runs: ReadonlyArray<Kept>): Files => {
  const sorted = [...runs].sort((a, b) => a.suite.name < b.suite.name ? -1 : 1)
  return new Map([
    ["README.md", overview(sorted)],
    ...sorted.flatMap((run) => [
      [`${run.suite.name}.json`, `${JSON.stringify(run, null, 1)}\n`] as const,
      [`${run.suite.name}.md`, page(run)] as const,
      ...drawings(run).map(({ file, svg }) => [file, svg] as const)
    ])
  ])
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const drawings = ({ results, suite }: Kept) => [
  ...results.some(({ ratio, row }) => ratio !== undefined && row.point === undefined)
    ? [{
      file: `${suite.name}.svg`,
      title: `${suite.title}: against the twins`,
      svg: Chart.ratios(suite.title, results)
    }]
    : [],
  ...(suite.charts ?? []).filter(({ id }) =>
    results.some(({ row, subject }) => row.point?.chart === id && subject !== undefined)
  ).map((chart) => ({
    file: `${suite.name}-${chart.id}.svg`,
    title: chart.title,
    svg: Chart.growth(chart, results)
  }))
]

const overview = (runs: ReadonlyArray<Kept>): string =>
  [
    "# Benchmarks",
    "",
    "Each row has a twin that was measured in the same run, in turn with it: the raw driver or client that does the same " +
    "work by hand, or a library for the same job. What counts is the ratio of the two: the machines are noisy. A round " +
    "whose work was not done as it should be, with something lost, repeated or out of order, is no result.",
    "",
    "These pages are made of kept runs, by `npm run bench -- SUITE --save`. What missed its target, and why, stands in " +
    "[misses](misses.md).",
    "",
    "| suite | what | ratio | target | |",
    "| --- | --- | --- | --- | --- |",
    ...runs.flatMap((run) =>
      Report.cells(run.results)
        .filter((_, index) => run.results[index]!.row.target !== undefined)
        .map(([id, , figure, , ratio, target, verdict]) =>
          row([
            `[${run.suite.name}](${run.suite.name}.md)`,
            id!,
            ratio === "" ? figure! : ratio!,
            target!,
            marked(verdict!)
          ])
        )
    ),
    ""
  ].join("\n")

const page = (run: Kept): string =>
  [
    `# ${run.suite.title}`,
    "",
    `\`${run.command}\`, ${run.date}. ${Report.place(run).join(". ")}.`,
    "",
    ...drawings(run).flatMap(({ file, title }) => [`![${title}](${file})`, ""]),
    "Medians of the rounds, with the lowest and the highest.",
    "",
    row(["row", "what", "figure", "twin", "ratio", "target", ""]),
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...Report.cells(run.results).map((cells) =>
      row([...cells.slice(0, -1).map((cell) => cell.trim()), marked(cells[cells.length - 1]!)])
    ),
    "",
    "[All suites](README.md)",
    ""
  ].join("\n")

const row = (cells: ReadonlyArray<string>): string =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`

const marked = (verdict: string): string => verdict === "miss" ? "**miss**" : verdict
