import { Context, Deferred, Effect, Layer, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { bundled } from "./bundle.ts"

/** The program as a file. */
export class Program extends Context.Tag("test/Program")<Program, string>() {}

export const layerProgram = Layer.scoped(Program, bundled)

export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Options {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A run that goes on. */
export interface Running {
  readonly child: ChildProcess
  readonly ended: Effect.Effect<Run>
  /** What it has said so far, on both. */
  readonly said: () => string
}

/** Starts it without a terminal. It dies with the scope. */
export const start = (
  args: ReadonlyArray<string>,
  { cwd, env }: Options = {}
): Effect.Effect<Running, never, Program | Scope.Scope> =>
  Effect.gen(function*() {
    const file = yield* Program
    const ended = yield* Deferred.make<Run>()
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CQRS_")))
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [file, ...args], {
          cwd,
          env: { ...inherited, NO_COLOR: "1", ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
    child.on("close", (code) => Deferred.unsafeDone(ended, Effect.succeed({ code, stdout, stderr })))
    return { child, ended: Deferred.await(ended), said: () => stdout + stderr }
  })

export const run = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Run, never, Program> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => ended))
