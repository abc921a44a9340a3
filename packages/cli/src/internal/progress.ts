/** How far it is, on standard error, where there is a terminal. */
import * as Effect from "effect/Effect"
import { grouped } from "./output.ts"

export interface Progress {
  readonly show: (progress: { readonly done: number }) => Effect.Effect<void>
  /** How many are done, as was shown last. */
  readonly done: () => number
  readonly clear: Effect.Effect<void>
}

const width = 30

/** A bar, drawn when something is done. */
export const bar = (total: number): Effect.Effect<Progress> =>
  Effect.sync(() => {
    let done = 0
    const isShown = process.stderr.isTTY === true
    const write = (text: string) => Effect.sync(() => void process.stderr.write(text))
    return {
      clear: isShown ? write("\r\u001b[2K") : Effect.void,
      done: () => done,
      show: (progress) =>
        Effect.suspend(() => {
          done = progress.done
          return isShown ? write(`\r\u001b[2K${line(done, total)}`) : Effect.void
        }).pipe(
          // embedded SQLite never waits: signals and timers have their turn here
          Effect.zipLeft(Effect.sleep(0))
        )
    }
  })

/** While it goes on, more may have come than there were. */
export const line = (done: number, total: number): string => {
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const full = Math.floor(share * width)
  return `[${"#".repeat(full)}${"-".repeat(width - full)}] ${String(Math.floor(share * 100)).padStart(3)} %  ` +
    `${grouped(done)} of ${grouped(Math.max(done, total))}`
}
