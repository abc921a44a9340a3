/**
 * A relay in a process of its own, with a broker that takes everything at once.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Database } from "../Database.ts"
import type { Fault } from "../Run.ts"

/** What the process is told, one at a time; each is answered once it is done. */
export type Request =
  | {
    readonly _tag: "Start"
    readonly versions: number | undefined
    readonly fault: Fault | undefined
    /** Whether others are at work, too. */
    readonly among: boolean
  }
  /** Waits until so many were published since the start. */
  | { readonly _tag: "Await"; readonly published: number }
  /** How many were published since the start. */
  | { readonly _tag: "Count" }
  /** Ends the relay, and checks what it has published: so many, if that is known, and in order. */
  | { readonly _tag: "Stop"; readonly published: number | undefined }

/** Memory is resident memory, in MiB. */
export type Answer =
  | { readonly _tag: "Started"; readonly memory: number }
  /** `behind`: how many were missing when it was asked. */
  | { readonly _tag: "Reached"; readonly behind: number }
  | { readonly _tag: "Counted"; readonly published: number }
  /** `settles`: how long each settlement took, in milliseconds. */
  | { readonly _tag: "Stopped"; readonly settles: ReadonlyArray<number>; readonly memoryPeak: number }
  | { readonly _tag: "Failed"; readonly message: string }

/** The environment that tells the process where to work. */
export const environment = { server: "EFFECT_CQRS_BENCH_SERVER", url: "EFFECT_CQRS_BENCH_URL" }

export class RelayProcessError extends Schema.TaggedError<RelayProcessError>()("RelayProcessError", {
  message: Schema.String
}) {}

type AnswerOf<Tag extends Answer["_tag"]> = Effect.Effect<Extract<Answer, { readonly _tag: Tag }>, RelayProcessError>

export interface RelayProcess {
  readonly start: (
    options: { readonly versions?: number; readonly fault: Fault | undefined; readonly among?: boolean }
  ) => AnswerOf<"Started">
  readonly reach: (published: number) => AnswerOf<"Reached">
  readonly count: AnswerOf<"Counted">
  readonly stop: (published?: number) => AnswerOf<"Stopped">
}

/** Starts the process, without a relay yet; it ends with the scope. */
export const make = (database: Database): Effect.Effect<RelayProcess, RelayProcessError, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        fork(fileURLToPath(new URL("../programs/relay.ts", import.meta.url)), {
          execArgv: [...process.execArgv, "--expose-gc"],
          stdio: ["ignore", "inherit", "inherit", "ipc"],
          env: {
            ...process.env,
            [environment.server]: database.server.id,
            [environment.url]: Redacted.value(database.url)
          }
        })
      ),
      end
    )
    const ask = <Tag extends Answer["_tag"]>(request: Request, tag: Tag): AnswerOf<Tag> =>
      Effect.flatMap(answerTo(child, request), (answer) =>
        answer._tag === tag
          ? Effect.succeed(answer as Extract<Answer, { readonly _tag: Tag }>)
          : new RelayProcessError({
            message: answer._tag === "Failed" ? answer.message : `It has answered ${answer._tag}`
          }))
    return {
      start: ({ among = false, fault, versions }) => ask({ _tag: "Start", versions, fault, among }, "Started"),
      reach: (published) => ask({ _tag: "Await", published }, "Reached"),
      count: ask({ _tag: "Count" }, "Counted"),
      stop: (published) => ask({ _tag: "Stop", published }, "Stopped")
    }
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const end = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

const answerTo = (child: ChildProcess, request: Request): Effect.Effect<Answer, RelayProcessError> =>
  Effect.async((resume) => {
    const onMessage = (answer: unknown) => {
      forget()
      resume(Effect.succeed(answer as Answer))
    }
    const onExit = (code: number | null, signal: string | null) => {
      forget()
      resume(new RelayProcessError({ message: `The relay's process has ended with ${code ?? signal}` }))
    }
    const forget = () => {
      child.off("message", onMessage)
      child.off("exit", onExit)
    }
    if (child.exitCode !== null || child.signalCode !== null) return onExit(child.exitCode, child.signalCode)
    child.on("message", onMessage)
    child.on("exit", onExit)
    child.send(request)
    return Effect.sync(forget)
  })
