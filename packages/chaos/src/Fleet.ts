/** The processes of a run: each reaches its servers through proxies of its own, and has a successor when it ends. */
import { Proxy } from "@effect-cqrs/testing"
import { Effect, Schedule, Schema, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import path from "node:path"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import { bundle } from "../../../scripts/internal/bundle.mjs"
import { eventually, type TooLate } from "./Eventually.ts"
import { Assignment, channel, type Command, Command as CommandSchema, Report, type Role, variable } from "./Protocol.ts"
import * as Local from "./servers/Local.ts"
import type { BrokerServer, DatabaseServer } from "./servers/Server.ts"
import { type Broker, type Database, fleet, timing } from "./Setting.ts"

/** A place for a process, and who is in it. */
export interface Slot {
  readonly name: string
  readonly role: Role
  readonly database: Proxy.Proxy
  readonly broker: Proxy.Proxy
  /** How many processes it has had. */
  readonly generation: () => number
  /** Whether the process that is there has said that it is ready. */
  readonly isReady: () => boolean
  readonly isAlive: () => boolean
  readonly isStopped: () => boolean
  readonly pid: () => number | undefined
  /** The buckets that a relay last said to have. */
  readonly buckets: () => ReadonlyArray<number>
  readonly written: () => Extract<Report, { readonly _tag: "Written" }> | undefined
  /** Does nothing to a process that has ended. */
  readonly signal: (signal: NodeJS.Signals) => void
  readonly tell: (command: Command) => void
}

export interface Fleet {
  readonly slots: ReadonlyArray<Slot>
  readonly slot: (name: string) => Slot
  /** Those that ended without having been ended. */
  readonly exits: ReadonlyArray<{ readonly process: string; readonly how: string; readonly at: number }>
  /** Waits until all are at work. */
  readonly ready: Effect.Effect<void, TooLate>
  /** Ends the writers, with what they have under way. */
  readonly rest: Effect.Effect<void, TooLate>
}

interface Options {
  readonly database: DatabaseServer & { readonly kind: Database }
  readonly broker: BrokerServer & { readonly kind: Broker }
  readonly seed: number
  /** For what the processes log. */
  readonly folder: string
  readonly onExit: (process: string, how: string) => void
}

export const make = (options: Options): Effect.Effect<Fleet, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const program = yield* bundled
    const exits: Array<Fleet["exits"][number]> = []
    const places = Object.entries(fleet).flatMap(([role, count]) =>
      Array.from({ length: count }, (_, n) => ({ role: role as Role, number: n + 1 }))
    )
    const slots = yield* Effect.forEach(places, (place) =>
      slotOf(program, place, {
        ...options,
        onExit: (name, how) => {
          exits.push({ process: name, how, at: Date.now() })
          options.onExit(name, how)
        }
      }))
    const all = (what: string, is: (slot: Slot) => boolean, within: number) =>
      eventually(what, Effect.sync(() => slots.every(is)), within)
    return {
      slots,
      slot: (name) => slots.find((one) => one.name === name)!,
      exits,
      ready: all("all processes are ready", (slot) => slot.isReady(), 60_000),
      rest: Effect.suspend(() => {
        const writers = slots.filter(({ role }) => role === "writer")
        for (const writer of writers) writer.tell({ _tag: "Stop" })
        return all("the writers end", (slot) => slot.role !== "writer" || !slot.isAlive(), 60_000)
      })
    }
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const encodeAssignment = Schema.encodeSync(Assignment)
const encodeCommand = Schema.encodeSync(CommandSchema)
const decodeReport = Schema.decodeSync(Report)

/** The processes as one file: they start all the time, and from their sources it takes them four times as long. */
const bundled = Effect.flatMap(Local.folder("program"), (folder) => {
  const outfile = path.join(folder, "worker.mjs")
  return Effect.as(
    Effect.tryPromise(() => bundle({ entry: fileURLToPath(new URL("programs/worker.ts", import.meta.url)), outfile })),
    outfile
  )
})

/** Those that run: if this process ends without closing its scopes, they end with it. */
const running = new Set<ChildProcess>()

process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

const slotOf = (
  program: string,
  { number, role }: { readonly role: Role; readonly number: number },
  { broker, database, folder, onExit, seed }: Options
) =>
  Effect.gen(function*() {
    const name = `${role} ${number}`
    const toDatabase = yield* Proxy.make({ host: Local.host, port: database.port })
    const toBroker = yield* Proxy.make({ host: Local.host, port: broker.port })
    const log = fs.openSync(path.join(folder, `${role}-${number}.log`), "a")
    let child: ChildProcess | undefined
    let generation = 0
    let isReady = false
    let isStopped = false
    let isEnding = false
    let wasEnded = false
    let buckets: ReadonlyArray<number> = []
    let written: Extract<Report, { readonly _tag: "Written" }> | undefined

    /** Runs a process to its end. */
    const one = Effect.async<void>((resume) => {
      generation++
      isReady = isStopped = wasEnded = false
      fs.writeSync(log, `--- process ${generation} ---\n`)
      const own = child = spawn(process.execPath, [program], {
        env: {
          ...process.env,
          [variable]: encodeAssignment({
            role,
            slot: number,
            seed: seed * 1_000_003 + number * 1_009 + generation,
            database: { kind: database.kind, url: database.urlAt(toDatabase.port) },
            broker: { kind: broker.kind, host: toBroker.host, port: toBroker.port }
          })
        },
        stdio: ["pipe", log, log, "pipe"]
      })
      running.add(own)
      own.stdin!.on("error", () => {})
      createInterface({ input: own.stdio[channel] as Readable }).on("line", (line) => {
        const report = decodeReport(line)
        if (report._tag === "Ready") isReady = true
        if (report._tag === "Holding") buckets = report.buckets
        if (report._tag === "Written") written = report
      })
      own.once("exit", (code, signal) => {
        running.delete(own)
        isReady = false
        buckets = []
        if (!wasEnded && !isEnding) onExit(name, signal ?? `exit code ${code}`)
        resume(Effect.void)
      })
    })
    const lives = Effect.repeat(Effect.suspend(() => isEnding ? Effect.void : one), {
      until: () => isEnding,
      schedule: Schedule.spaced(timing.restart)
    })
    yield* Effect.forkScoped(lives)
    yield* Effect.addFinalizer(() =>
      Effect.async<void>((resume) => {
        isEnding = true
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
    )
    const slot: Slot = {
      name,
      role,
      database: toDatabase,
      broker: toBroker,
      generation: () => generation,
      isReady: () => isReady,
      isAlive: () => child !== undefined && child.exitCode === null && child.signalCode === null,
      isStopped: () => isStopped,
      pid: () => child?.pid,
      buckets: () => buckets,
      written: () => written,
      signal: (signal) => {
        if (signal === "SIGKILL" || signal === "SIGTERM") wasEnded = true
        if (signal === "SIGSTOP") isStopped = true
        if (signal === "SIGCONT") isStopped = false
        child?.kill(signal)
      },
      tell: (command) => {
        if (command._tag === "Stop") isEnding = true
        child?.stdin?.write(`${encodeCommand(command)}\n`)
      }
    }
    return slot
  })
