import { Effect } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/meeting-rooms/main.ts", import.meta.url))

export interface Ended {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

/** `npm run demo` as a process. */
export const demo = (...args: ReadonlyArray<string>) =>
  Effect.async<Ended>((resume) => {
    const child = execFile(process.execPath, ["--import", "tsx", main, ...args], (error, stdout, stderr) => {
      resume(Effect.succeed({ code: error?.code ?? 0, stdout, stderr }))
    })
    return Effect.sync(() => child.kill())
  })
