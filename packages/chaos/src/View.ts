/** What is happening, on standard error: a screen where there is a terminal, else a line for each thing. */
import { Effect, type Scope } from "effect"
import type { Progress, View } from "./Run.ts"

/** Without a terminal, how far it is is said this often, in milliseconds. */
const every = 10_000

export const make: Effect.Effect<View, never, Scope.Scope> = Effect.suspend(() =>
  process.stderr.isTTY === true ? screen : Effect.succeed(lines)
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const write = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stderr.write(text))

const time = (millis: number): string =>
  `${Math.floor(millis / 60_000)}:${String(Math.floor(millis / 1000) % 60).padStart(2, "0")}`

const sum = ({ applied, committed, delivered, elapsed, faults, pending }: Progress): string =>
  `${
    time(elapsed)
  }  faults ${faults}  committed ${committed}  pending ${pending}  delivered ${delivered}  applied ${applied}`

let last = -Infinity

const lines: View = {
  say: (text) => write(`${text}\n`),
  show: (progress) =>
    Effect.suspend(() => {
      if (progress.elapsed - last < every) return Effect.void
      last = progress.elapsed
      return write(`${sum(progress)}\n`)
    })
}

/** The last things that happened stay above what is rewritten. */
const screen: Effect.Effect<View, never, Scope.Scope> = Effect.gen(function*() {
  let height = 0
  const clear = () => height === 0 ? "" : `\u001b[${height}A\u001b[J`
  const put = (above: string, rows: ReadonlyArray<string>) => {
    const width = (process.stderr.columns ?? 120) - 1
    const text = `${clear()}${above}${rows.map((row) => `${row.slice(0, width)}\n`).join("")}`
    height = rows.length
    return write(text)
  }
  let rows: ReadonlyArray<string> = []
  yield* Effect.addFinalizer(() => put("", []))
  return {
    say: (text) => Effect.suspend(() => put(`${text}\n`, rows)),
    show: (progress) =>
      Effect.suspend(() => {
        rows = [
          "",
          sum(progress),
          progress.fleet.slots.map((slot) => {
            const state = slot.isStopped() ? "stopped" : slot.isReady() ? "up" : slot.isAlive() ? "starts" : "down"
            const more = slot.role === "relay" ? `, ${slot.buckets().length} buckets` : ""
            return `${slot.name} ${state}${more}`
          }).join("  |  "),
          ...progress.now.map((what) => `  ${what}`)
        ]
        return put("", rows)
      })
  }
})
