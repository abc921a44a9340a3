/**
 * What is being done, on standard error: one line that is rewritten where there is a terminal, else a line for each step.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

/** The function that says it. Where there is a terminal the line counts the seconds, so that one sees that it lives. */
export const make: Effect.Effect<(text: string) => Effect.Effect<void>, never, Scope.Scope> = Effect.gen(function*() {
  if (process.stderr.isTTY !== true) {
    return (text: string) => Effect.sync(() => process.stderr.write(`${text}\n`))
  }
  let current = ""
  let since = performance.now()
  const show = Effect.sync(() => {
    const seconds = Math.round((performance.now() - since) / 1000)
    const line = `${current}${seconds > 0 ? ` (${seconds} s)` : ""}`.slice(0, (process.stderr.columns ?? 120) - 1)
    process.stderr.write(`\r\x1b[2K${line}`)
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => process.stderr.write("\r\x1b[2K")))
  yield* Effect.forkScoped(Effect.schedule(show, Schedule.spaced("1 second")))
  return (text: string) =>
    Effect.suspend(() => {
      current = text
      since = performance.now()
      return show
    })
})
