/** The demonstration as processes: one writes, one relays, one consumes; this one starts them, waits and judges. */
import { Command, type CommandExecutor } from "@effect/platform"
import { Effect, Schema, type Scope, Stream } from "effect"
import { fileURLToPath } from "node:url"
import { type Counts, quiescence, type Report, report } from "./Demo.ts"
import { Ground } from "./Program.ts"
import { type Setting, SettingError } from "./Setting.ts"

export const roles = ["all", "writer", "relay", "consumer"] as const

const CountsOf = Schema.parseJson(Schema.Struct({
  succeeded: Schema.Number,
  refused: Schema.Number,
  rolledBack: Schema.Number,
  malformed: Schema.Number
}))

const main = fileURLToPath(new URL("main.ts", import.meta.url))

/** What the process of a role says when it has come to its end. */
export const conclusion = (counts: Counts): string => Schema.encodeSync(CountsOf)(counts)

const command = (role: typeof roles[number], { broker, database, file, run }: Setting, args: ReadonlyArray<string>) =>
  Command.make(
    process.execPath,
    ...process.execArgv,
    main,
    ...["--role", role, "--run", run, "--database", database, "--broker", broker],
    ...(database === "sqlite" ? ["--file", file] : []),
    ...args
  ).pipe(Command.stderr("inherit"))

/** Fails when the process ends: it is to last as long as its scope, which asks it to end. */
const lasting = (
  role: "relay" | "consumer",
  setting: Setting
): Effect.Effect<Effect.Effect<never, unknown>, unknown, CommandExecutor.CommandExecutor | Scope.Scope> =>
  Effect.map(
    Command.start(command(role, setting, []).pipe(Command.stdout("inherit"))),
    (child) =>
      Effect.flatMap(
        child.exitCode,
        (code) => new SettingError({ message: `The process of the ${role} ended before its time, with ${code}` })
      )
  )

/** `args` tell the writer which commands to handle; it reads what this process would have read. */
export const runProcesses = (
  setting: Setting,
  args: ReadonlyArray<string>
): Effect.Effect<Report, unknown, CommandExecutor.CommandExecutor> =>
  Effect.gen(function*() {
    const relay = yield* lasting("relay", setting)
    const consumer = yield* lasting("consumer", setting)
    const written = Effect.gen(function*() {
      const writer = yield* Command.start(
        command("writer", setting, args).pipe(Command.stdin("inherit"), Command.stdout("pipe"))
      )
      const said = yield* Stream.runFold(Stream.decodeText(writer.stdout), "", (all, text) => all + text)
      const code = yield* writer.exitCode
      if (code !== 0) return yield* new SettingError({ message: `The writer failed with ${code}` })
      const counts = yield* Schema.decode(CountsOf)(said.trim())
      yield* quiescence(Effect.void)
      return counts
    })
    const counts = yield* Effect.raceFirst(written, Effect.raceFirst(relay, consumer))
    return yield* report(counts)
  }).pipe(Effect.scoped, Effect.provide(Ground(setting)))
