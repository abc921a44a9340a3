/** `npm run chaos`: real processes on real servers, faults from a seeded schedule, and a verdict. */
import { Command, Options, ValidationError } from "@effect/cli"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { defaultTeardown } from "@effect/platform/Runtime"
import { Cause, Console, Effect, Exit, Logger, LogLevel, Option, Schema } from "effect"
import { check } from "./Checker.ts"
import * as History from "./History.ts"
import { type Kind, names } from "./Kinds.ts"
import * as Report from "./Report.ts"
import { type Result, run } from "./Run.ts"
import * as Setting from "./Setting.ts"
import * as View from "./View.ts"

/** A promise was broken: the report says which. */
class Unsound extends Schema.TaggedError<Unsound>()("Unsound", {}) {}

const command = Command.make("chaos", {
  minutes: Options.float("minutes").pipe(
    Options.withDescription("How long faults are done; starting and coming to rest take some more"),
    Options.withSchema(Schema.Number.pipe(Schema.positive({ message: () => "--minutes must be above 0" }))),
    Options.withDefault(2)
  ),
  seed: Options.integer("seed").pipe(
    Options.withDescription("Of the faults, and of what the writers do"),
    Options.withDefault(1)
  ),
  database: Options.choice("database", Setting.Database.literals).pipe(
    Options.withDescription("A server of the run's own"),
    Options.withDefault("mariadb" as const)
  ),
  broker: Options.choice("broker", Setting.Broker.literals).pipe(
    Options.withDescription("Likewise"),
    Options.withDefault("kafka" as const)
  ),
  faults: Options.text("faults").pipe(
    Options.withDescription(`The kinds of faults, with commas between them; all unless given: ${names.join(", ")}`),
    Options.optional
  ),
  history: Options.file("history").pipe(
    Options.withDescription("Judge a history that was kept, in place of a run"),
    Options.optional
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the report as one JSON object"))
}, ({ broker, database, faults, history, json, minutes, seed }) =>
  Effect.gen(function*() {
    const asked = Option.match(faults, {
      onNone: () => names,
      onSome: (text) => text.split(",") as ReadonlyArray<Kind>
    })
    const unknown = asked.filter((kind) => !names.includes(kind))
    if (unknown.length > 0) {
      return yield* new Setting.SettingError({
        message: `There is no fault ${unknown.join(", ")}; there are ${names.join(", ")}`
      })
    }
    const result = Option.isSome(history)
      ? yield* judged(history.value)
      : yield* run({ broker, database, kinds: asked, minutes, seed }, yield* View.make)
    yield* Console.log(json ? Report.json(result) : Report.text(result))
    if (!Report.isSound(result)) return yield* new Unsound()
  }).pipe(Effect.scoped))

const judged = (file: string) =>
  Effect.map(History.read(file), (history): Result => ({ history, verdict: check(history), kept: file }))

const cli = Command.run(command, { name: "Chaos", version: "0.0.0" })

/** One sentence of a failure, with what it was caused by. */
const sentence = (failure: unknown): string => {
  const parts: Array<string> = []
  for (let cause = failure; cause instanceof Error && parts.length < 5; cause = cause.cause) {
    const { message } = cause
    if (message !== "" && parts.every((part) => !part.includes(message))) parts.push(message)
  }
  return parts.length === 0 ? String(failure) : parts.join(": ")
}

cli(process.argv).pipe(
  Effect.tapErrorCause((cause) => {
    const failure = Cause.squash(cause)
    const isTold = failure instanceof Unsound || ValidationError.isValidationError(failure)
    return isTold || Cause.isInterruptedOnly(cause) ? Effect.void : Console.error(sentence(failure))
  }),
  Logger.withMinimumLogLevel(LogLevel.None),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    disablePrettyLogger: true,
    // a run that was broken off has proved nothing
    teardown: (exit, onExit) => Exit.isInterrupted(exit) ? onExit(130) : defaultTeardown(exit, onExit)
  })
)
