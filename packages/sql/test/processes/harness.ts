import { Cause, Duration, Effect, Schema, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { Assignment, assignmentVariable, Command, Report, type Role, type Target } from "./protocol.ts"

const encodeAssignment = Schema.encodeSync(Assignment)
const encodeCommand = Schema.encodeSync(Command)
const decodeReport = Schema.decodeSync(Report)

/** How long anything may take that a test waits for, on a machine that has much else to do. */
const patience = Duration.seconds(30)

export interface End {
  readonly code: number | null
  readonly signal: string | null
}

/** A process that a test has started. */
export interface Child {
  readonly name: string
  readonly reports: ReadonlyArray<Report>
  /** What it has logged. */
  readonly log: () => string
  readonly tell: (command: Command) => Effect.Effect<void>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** How it has ended; `undefined` as long as it runs. */
  readonly end: () => End | undefined
}

/** Those that run: if this process ends without closing its scopes, they end with it. */
const running = new Set<ChildProcess>()

process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** Starts a process, which is killed with the scope if it is still there. */
export const start = (program: string, target: Target, role: Role): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const process = spawn(globalThis.process.execPath, [program], {
          env: { ...globalThis.process.env, [assignmentVariable]: encodeAssignment({ target, role }) },
          stdio: ["pipe", "pipe", "pipe"]
        })
        running.add(process)
        const closed = new Promise<void>((resolve) => process.once("close", () => resolve()))
        return { closed, process, child: childOf(role.name, process) }
      }),
      ({ closed, process }) =>
        Effect.zipRight(
          // a process that is stopped does not see any other signal
          Effect.sync(() => process.kill("SIGKILL")),
          Effect.promise(() => closed)
        )
    ),
    ({ child }) => child
  )

const childOf = (name: string, process: ReturnType<typeof spawn>): Child => {
  const reports: Array<Report> = []
  const logged: Array<string> = []
  let end: End | undefined
  createInterface({ input: process.stdout! }).on("line", (line) => reports.push(decodeReport(line)))
  process.stderr!.setEncoding("utf8").on("data", (text: string) => logged.push(text))
  // it may end while it is being told something
  process.stdin!.on("error", () => {})
  process.once("exit", (code, signal) => {
    running.delete(process)
    end = { code, signal }
  })
  return {
    name,
    reports,
    log: () => logged.join(""),
    tell: (command) => Effect.sync(() => process.stdin!.write(`${encodeCommand(command)}\n`)),
    signal: (signal) => Effect.sync(() => process.kill(signal)),
    end: () => end
  }
}

/** Looks again and again until there is something, and fails with a sentence if there is nothing in time. */
export const eventually = <A, E, R>(
  what: string,
  look: Effect.Effect<A | undefined, E, R>,
  within: Duration.DurationInput = patience
): Effect.Effect<A, E | Cause.TimeoutException, R> => {
  const attempt: Effect.Effect<A, E, R> = Effect.flatMap(
    look,
    (found) => found === undefined ? Effect.delay(Effect.suspend(() => attempt), "50 millis") : Effect.succeed(found)
  )
  return Effect.timeoutFail(attempt, {
    duration: within,
    onTimeout: () => new Cause.TimeoutException(`not within ${Duration.format(Duration.decode(within))}: ${what}`)
  })
}

type ReportOf<Tag extends Report["_tag"]> = Extract<Report, { readonly _tag: Tag }>

/** The last report of its kind for which something holds. Fails with the log of a process that ends before it. */
export const heard = <Tag extends Report["_tag"]>(
  child: Child,
  tag: Tag,
  holds: (report: ReportOf<Tag>) => boolean = () => true
): Effect.Effect<ReportOf<Tag>, Cause.TimeoutException> =>
  eventually(
    `${child.name} says ${tag}`,
    Effect.suspend(() => {
      const last = child.reports.filter((report): report is ReportOf<Tag> => report._tag === tag).at(-1)
      if (last !== undefined && holds(last)) return Effect.succeed(last)
      return child.end() === undefined
        ? Effect.succeed(undefined)
        : Effect.dieMessage(
          `${child.name} ended (${JSON.stringify(child.end())}) before it said ${tag}: ${child.log()}`
        )
    })
  ).pipe(Effect.mapError(({ message }) => new Cause.TimeoutException(`${message}. It logged: ${child.log()}`)))

/** How a process has ended. */
export const ended = (child: Child): Effect.Effect<End, Cause.TimeoutException> =>
  eventually(`${child.name} ends`, Effect.sync(child.end))
