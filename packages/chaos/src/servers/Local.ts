/** Servers of a run's own on this machine: programs, ports, folders, processes. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { SettingError } from "../Setting.ts"

export const host = "127.0.0.1"

/** A port that nobody listens on. */
export const freePort = Effect.async<number>((resume) => {
  const server = net.createServer()
  server.listen(0, host, () => {
    const { port } = server.address() as net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Whether nobody listens there. */
export const isFree = (port: number) =>
  Effect.async<boolean>((resume) => {
    const server = net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, host, () => server.close(() => resume(Effect.succeed(true))))
  })

/** A folder that goes with the scope. */
export const folder = (name: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), `effect-cqrs-chaos-${name}-`))),
    (at) => Effect.sync(() => fs.rmSync(at, { recursive: true, force: true, maxRetries: 5 }))
  )

/** A program on the path or in one of these folders. */
export const find = (
  server: string,
  names: ReadonlyArray<string>,
  folders: ReadonlyArray<string>
): Effect.Effect<string, SettingError> => {
  const all = [...folders, ...(process.env.PATH ?? "").split(path.delimiter)]
  const found = all.flatMap((one) => names.map((name) => path.join(one, name))).find((file) => fs.existsSync(file))
  return found === undefined
    ? new SettingError({
      message:
        `${server} is not installed here (there is no ${names[0]!}), and chaos starts and stops a server of its ` +
        "own: install it, or choose another with --database or --broker"
    })
    : Effect.succeed(found)
}

/** Runs a program to its end, and fails with what it said. */
export const run = (
  program: string,
  args: ReadonlyArray<string>,
  options: SpawnOptions = {}
): Effect.Effect<void, SettingError> =>
  Effect.async((resume) => {
    const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] })
    let said = ""
    child.stdout!.on("data", (chunk) => said += String(chunk))
    child.stderr!.on("data", (chunk) => said += String(chunk))
    child.once("error", ({ message }) => resume(new SettingError({ message: `${program}: ${message}` })))
    child.once("close", (code) =>
      resume(
        code === 0 ? Effect.void : new SettingError({ message: `${program} failed with ${code}: ${said.slice(-2000)}` })
      ))
    return Effect.sync(() => child.kill())
  })

/** A program that runs until it is told to end, and can be started again. */
export interface Daemon {
  readonly start: Effect.Effect<void>
  /** Returns when it has ended. After 20 seconds it is killed. */
  readonly stop: (signal: NodeJS.Signals) => Effect.Effect<void>
}

/** Those that run: if this process ends without closing its scopes, they end with it. */
const running = new Set<ChildProcess>()

process.once("exit", () => {
  for (const child of running) signalled(child, "SIGKILL")
})

/** The group: a server may be a script that has started it. */
const signalled = (child: ChildProcess, signal: NodeJS.Signals) => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // it has ended meanwhile
  }
}

/** Ended with the scope. What it says is in a file. */
export const daemon = (
  program: string,
  args: ReadonlyArray<string>,
  options: SpawnOptions & { readonly log: string; readonly ending: NodeJS.Signals }
): Effect.Effect<Daemon, never, Scope.Scope> => {
  let child: ChildProcess | undefined
  const start = Effect.sync(() => {
    const log = fs.openSync(options.log, "a")
    child = spawn(program, args, { ...options, detached: true, stdio: ["ignore", log, log] })
    fs.closeSync(log)
    running.add(child)
    child.once("exit", () => running.delete(child!))
    child.once("error", () => {})
  })
  const stop = (signal: NodeJS.Signals) =>
    Effect.async<void>((resume) => {
      const own = child
      if (own === undefined || own.exitCode !== null || own.signalCode !== null) return resume(Effect.void)
      const timer = setTimeout(() => signalled(own, "SIGKILL"), 20_000)
      own.once("exit", () => {
        clearTimeout(timer)
        resume(Effect.void)
      })
      signalled(own, signal)
    })
  return Effect.acquireRelease(Effect.succeed({ start, stop }), ({ stop }) => stop(options.ending))
}
