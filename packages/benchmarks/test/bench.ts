/** `npm run bench` as a process. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))
const loader = new URL("../../../scripts/internal/typescript.mjs", import.meta.url).href

export interface Ended {
  readonly pid: number
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs to its end, or until what it has said on standard error makes somebody interrupt it, as Ctrl-C does. */
export const bench = (
  args: ReadonlyArray<string>,
  options?: {
    readonly env?: Readonly<Record<string, string | undefined>>
    readonly interruptOn?: (stderr: string) => boolean
  }
): Effect.Effect<Ended> =>
  Effect.async((resume) => {
    const child = spawn(process.execPath, ["--import", loader, main, ...args], {
      env: { ...process.env, ...options?.env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    let interrupted = false
    child.stdout.on("data", (chunk) => stdout += String(chunk))
    child.stderr.on("data", (chunk) => {
      stderr += String(chunk)
      if (interrupted || options?.interruptOn?.(stderr) !== true) return
      interrupted = true
      child.kill("SIGINT")
    })
    child.once("close", (code) => resume(Effect.succeed({ pid: child.pid!, code, stdout, stderr })))
    return Effect.sync(() => child.kill())
  })
