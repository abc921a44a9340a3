import { Effect, Schema, type Scope } from "effect"
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { Command, Report } from "./protocol.ts"

const encode = Schema.encodeSync(Report)

const decode = Schema.decodeSync(Command)

/** Says something to the process that has started this one. Written before it returns, whatever comes next. */
export const say = (report: Report): void => {
  writeSync(1, `${encode(report)}\n`)
}

/** Hands over what the parent says. When there is nobody any more to say anything, this process ends. */
export const listen = (handle: (command: Command) => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() =>
      createInterface({ input: process.stdin })
        .on("line", (line) => handle(decode(line)))
        .on("close", () => process.exit(1))
    ),
    (lines) =>
      Effect.sync(() => {
        lines.removeAllListeners("close").close()
        process.stdin.destroy()
      })
  ))
