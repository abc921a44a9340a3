/**
 * What a suite found, drawn: how each row compares with its twin, and how figures grow.
 */
import type { Result } from "./Runner.ts"
import type { Chart } from "./Suite.ts"

/** The rows that have a twin: a mark at their ratio with its spread, on a logarithmic axis with the twin at 1. */
export const ratios = (title: string, results: ReadonlyArray<Result>): string => {
  const compared = results.filter((result) => result.ratio !== undefined && result.row.point === undefined)
  const values = compared.flatMap(({ ratio, row }) => [ratio!.low, ratio!.high, targetOf(row.target) ?? 1, 1])
  const scale = logarithmic(Math.min(...values, 0.5), Math.max(...values, 2), left, width - right)
  const bottom = top + compared.length * lineHeight
  return svg(width, bottom + 44, title, [
    ...ticks(scale).flatMap((value) => [
      line(scale.at(value), top, scale.at(value), bottom, value === 1 ? "#666" : "#ddd"),
      text(scale.at(value), bottom + 16, short(value), "middle", "#555")
    ]),
    text(scale.at(1), bottom + 34, "1 = the twin", "middle", "#555"),
    ...targetMark(width - right + 12, bottom + 30, true),
    text(width - right + 30, bottom + 34, "target", "start", "#555"),
    ...compared.flatMap(({ ratio, row, verdict }, index) => {
      const y = top + index * lineHeight + lineHeight / 2
      const target = targetOf(row.target)
      const color = colors[verdict]
      return [
        text(left - 12, y + 4, row.id, "end", "#222"),
        line(scale.at(ratio!.low), y, scale.at(ratio!.high), y, color, 2),
        `<circle cx="${round(scale.at(ratio!.median))}" cy="${y}" r="5" fill="${color}"/>`,
        ...target === undefined ? [] : targetMark(scale.at(target), y, "atLeast" in row.target!),
        text(width - right + 12, y + 4, `${short(ratio!.median)} ${verdict}`, "start", color)
      ]
    })
  ])
}

/** One line over what grows. */
export const growth = ({ id, title, x }: Chart, results: ReadonlyArray<Result>): string => {
  const points = results.filter(({ row, subject }) => row.point?.chart === id && subject !== undefined)
  const xs = points.map(({ row }) => row.point!.x)
  const most = above(Math.max(...points.map(({ subject }) => subject!.high)))
  const across = logarithmic(Math.min(...xs), Math.max(...xs), 80, 600)
  const bottom = 300
  const up = (value: number) => bottom - value / most * (bottom - top - 10)
  const at = points.map(({ row, subject }) => [across.at(row.point!.x), up(subject!.median)] as const)
  return svg(640, bottom + 50, `${title}, ${points[0]?.row.unit ?? ""}`, [
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((part) => [
      line(80, up(most * part), 600, up(most * part), part === 0 ? "#666" : "#ddd"),
      text(72, up(most * part) + 4, short(most * part), "end", "#555")
    ]),
    text(340, bottom + 40, x, "middle", "#555"),
    `<polyline fill="none" stroke="#2563eb" stroke-width="2" points="${
      at.map(([px, py]) => `${round(px)},${round(py)}`).join(" ")
    }"/>`,
    ...points.flatMap(({ row, subject }, index) => {
      const [px, py] = at[index]!
      return [
        line(px, up(subject!.low), px, up(subject!.high), "#2563eb", 2),
        `<circle cx="${round(px)}" cy="${round(py)}" r="4" fill="#2563eb"/>`,
        text(px, bottom + 18, row.point!.x.toLocaleString("en"), "middle", "#555"),
        text(px, up(subject!.high) - 8, short(subject!.median), "middle", "#222")
      ]
    })
  ])
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const width = 900
const left = 250
const right = 150
const top = 48
const lineHeight = 26

const colors = { pass: "#15803d", miss: "#b91c1c", reported: "#2563eb", skipped: "#888", failed: "#b91c1c" }

interface Scale {
  readonly from: number
  readonly to: number
  readonly at: (value: number) => number
}

const logarithmic = (from: number, to: number, start: number, end: number): Scale => ({
  from,
  to,
  at: (value) => from === to ? (start + end) / 2 : start + Math.log(value / from) / Math.log(to / from) * (end - start)
})

/** The next number that is 1, 2, 4 or 8 with zeros. */
const above = (value: number): number => {
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 4, 8].find((digit) => digit * power >= value) ?? 10) * power
}

const ticks = ({ from, to }: Scale): ReadonlyArray<number> => {
  const all: Array<number> = []
  for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power++) {
    for (const digit of [1, 2, 5]) all.push(digit * 10 ** power)
  }
  const inside = all.filter((value) => value >= from && value <= to)
  // over many decades whole ones are enough
  return inside.length <= 10
    ? inside
    : inside.filter((value) => Number.isInteger(Math.round(Math.log10(value) * 1e9) / 1e9))
}

/** A bar that opens towards what passes. */
const targetMark = (x: number, y: number, isAtLeast: boolean): ReadonlyArray<string> => [
  line(x, y - 8, x, y + 8, "#222", 2),
  line(x, y - 8, x + (isAtLeast ? 6 : -6), y - 8, "#222", 2),
  line(x, y + 8, x + (isAtLeast ? 6 : -6), y + 8, "#222", 2)
]

const targetOf = (target: Result["row"]["target"]): number | undefined =>
  target === undefined ? undefined : "atLeast" in target ? target.atLeast : target.atMost

const short = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(2)))

const round = (value: number): number => Math.round(value * 10) / 10

const escaped = (value: string): string =>
  value.replace(/[&<>]/g, (one) => one === "&" ? "&amp;" : one === "<" ? "&lt;" : "&gt;")

const text = (x: number, y: number, value: string, anchor: "start" | "middle" | "end", color: string): string =>
  `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${color}">${escaped(value)}</text>`

const line = (x1: number, y1: number, x2: number, y2: number, color: string, thick = 1): string =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${
    round(y2)
  }" stroke="${color}" stroke-width="${thick}"/>`

const svg = (width: number, height: number, title: string, body: ReadonlyArray<string>): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    "font-family=\"system-ui, sans-serif\" font-size=\"13\">",
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="16" y="24" font-size="16" font-weight="600" fill="#222">${escaped(title)}</text>`,
    ...body,
    "</svg>",
    ""
  ].join("\n")
