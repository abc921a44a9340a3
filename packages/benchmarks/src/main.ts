/**
 * `npm run bench [-- suite…]`: measures, shows on standard error what it is doing, and ends with a table.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { defaultTeardown } from "@effect/platform/Runtime"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { readdirSync } from "node:fs"
import * as Database from "./Database.ts"
import { machine, versions } from "./Machine.ts"
import * as Progress from "./Progress.ts"
import * as Report from "./Report.ts"
import { Fault, Run } from "./Run.ts"
import { measure, sentence } from "./Runner.ts"
import * as Saved from "./Saved.ts"
import type { Row, Suite } from "./Suite.ts"

class BadOptions extends Schema.TaggedError<BadOptions>()("BadOptions", { message: Schema.String }) {}

/** A row failed: the report says which, and why. */
class Failed extends Schema.TaggedError<Failed>()("Failed", {}) {}

const quickScale = 0.15

const positive = (name: string, schema: Schema.Schema<number, number>) =>
  Options.float(name).pipe(Options.withSchema(schema), Options.optional)

const command = Command.make("bench", {
  suites: Args.text({ name: "suite" }).pipe(Args.withDescription("The suites to run; all unless given"), Args.repeated),
  only: Options.text("only").pipe(
    Options.withDescription("A row, as the table names it, or the part before or after its slash; may be repeated"),
    Options.repeated
  ),
  quick: Options.boolean("quick").pipe(Options.withDescription(`Sizes and times of ${quickScale}, and fewer rounds`)),
  scale: positive("scale", Schema.Number.pipe(Schema.positive())).pipe(
    Options.withDescription("Sizes and times, as a part of those of a full run")
  ),
  rounds: positive("rounds", Schema.Int.pipe(Schema.positive())).pipe(
    Options.withDescription("Rounds that count, instead of each measurement's own")
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the report as one JSON object")),
  save: Options.boolean("save").pipe(
    Options.withDescription("Keep the results of whole suites, and draw them, in docs/benchmarks")
  ),
  fault: Options.choice("fault", Fault.literals).pipe(
    Options.withDescription("Make the work go wrong, to see that it is noticed"),
    Options.optional
  )
}, (options) =>
  Effect.gen(function*() {
    if (options.save && (options.only.length > 0 || Option.isSome(options.fault))) {
      return yield* new BadOptions({
        message: "What is kept is whole suites as they are: --save goes without --only and --fault"
      })
    }
    const suites = yield* chosen(yield* all, options.suites, options.only)
    const before = yield* machine
    const scale = Option.getOrElse(options.scale, () => options.quick ? quickScale : 1)
    const reports = yield* Effect.forEach(suites, ({ rowsOf, suite }) =>
      Effect.map(
        Effect.forEach(suite.measurements, (measurement) => {
          const rows = measurement.rows.filter(rowsOf)
          return rows.length === 0
            ? Effect.succeed([])
            : measure(measurement, rows, { rounds: Option.getOrUndefined(options.rounds) })
        }),
        (results) => ({ name: suite.name, results: results.flat() })
      )).pipe(
        Effect.provideServiceEffect(
          Run,
          Effect.map(Progress.make, (status) =>
            Run.of({
              quick: options.quick,
              count: (full) => Math.max(1, Math.round(full * scale)),
              millis: (full) => full * scale,
              fault: Option.getOrUndefined(options.fault),
              status
            }))
        ),
        Effect.scoped
      )
    const report: Report.Report = {
      machine: before,
      versions: yield* versions([...new Set(suites.flatMap(({ suite }) => suite.packages))]),
      servers: yield* Database.settings,
      scale,
      suites: reports
    }
    yield* Console.log(options.json ? Report.json(report) : Report.text(report))
    if (options.save) yield* Saved.save(suites.map(({ suite }) => suite), report)
    if (reports.some(({ results }) => results.some(({ verdict }) => verdict === "failed"))) return yield* new Failed()
  }))

/** Each file of the folder is a suite. */
const all: Effect.Effect<ReadonlyArray<Suite>> = Effect.promise(() =>
  Promise.all(
    readdirSync(new URL("suites", import.meta.url)).sort().map(async (file) =>
      (await import(new URL(`suites/${file}`, import.meta.url).href)).suite as Suite
    )
  )
)

const chosen = (suites: ReadonlyArray<Suite>, names: ReadonlyArray<string>, only: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const unknown = names.filter((name) => suites.every((suite) => suite.name !== name))
    if (unknown.length > 0) {
      return yield* new BadOptions({
        message: `There is no suite ${unknown.join(", ")}; there are ${suites.map(({ name }) => name).join(", ")}`
      })
    }
    const picked = suites.filter(({ name }) => names.length === 0 || names.includes(name))
    const rows = picked.flatMap(({ measurements }) => measurements.flatMap((measurement) => measurement.rows))
    const isMeant = (name: string) => ({ id }: Row) => id === name || id.split("/").includes(name)
    const unmet = only.filter((name) => !rows.some(isMeant(name)))
    if (unmet.length > 0) {
      return yield* new BadOptions({
        message: `There is no row ${unmet.join(", ")}; there are ${rows.map(({ id }) => id).join(", ")}`
      })
    }
    return picked.map((suite) => ({
      suite,
      rowsOf: (row: Row) => only.length === 0 || only.some((name) => isMeant(name)(row))
    }))
  })

const cli = Command.run(command, { name: "Benchmarks", version: "0.0.0" })

cli(process.argv).pipe(
  Effect.tapErrorCause((cause) => {
    const failure = Cause.squash(cause)
    const isTold = failure instanceof Failed || ValidationError.isValidationError(failure)
    return isTold || Cause.isInterruptedOnly(cause) ? Effect.void : Console.error(sentence(failure))
  }),
  Logger.withMinimumLogLevel(LogLevel.Error),
  Effect.provide(
    Layer.mergeAll(NodeContext.layer, Logger.replace(Logger.defaultLogger, Logger.prettyLogger({ stderr: true })))
  ),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // it would write to standard output, beside the one below
    disablePrettyLogger: true,
    // a run that was broken off has measured nothing
    teardown: (exit, onExit) => Exit.isInterrupted(exit) ? onExit(130) : defaultTeardown(exit, onExit)
  })
)
