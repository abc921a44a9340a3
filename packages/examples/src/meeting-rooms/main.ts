/** `npm run demo`: the meeting rooms on embedded SQLite and the memory broker, in one process. */
import { Command, Options, ValidationError } from "@effect/cli"
import { FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime, NodeStream } from "@effect/platform-node"
import { Cause, Console, Effect, Layer, Logger, Option, Ref, Schedule, Schema } from "effect"
import { fileURLToPath } from "node:url"
import { type Counts, isSound, type Report, run } from "./Demo.ts"
import { abridged, fromLines, generate } from "./Input.ts"
import { Program } from "./Program.ts"

class Unsound extends Schema.TaggedError<Unsound>()("Unsound", {}) {}

class BadOptions extends Schema.TaggedError<BadOptions>()("BadOptions", { message: Schema.String }) {}

const positive = (name: string) =>
  Options.integer(name).pipe(
    Options.withSchema(Schema.Int.pipe(Schema.positive({ message: () => `--${name} must be a whole number above 0` })))
  )

const command = Command.make("demo", {
  input: Options.text("input").pipe(
    Options.withDescription("A file with one command per line, as JSON; - for standard input"),
    Options.optional
  ),
  commands: positive("commands").pipe(
    Options.withDescription("Generate this many commands instead of reading them"),
    Options.optional
  ),
  rooms: positive("rooms").pipe(Options.withDescription("Rooms of the generator"), Options.withDefault(200)),
  seed: Options.integer("seed").pipe(Options.withDescription("Seed of the generator"), Options.withDefault(1)),
  database: Options.text("database").pipe(
    Options.withDescription("A SQLite file to keep; a temporary one unless given"),
    Options.optional
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the report as one JSON object"))
}, (options) =>
  Effect.gen(function*() {
    if (Option.isSome(options.input) && Option.isSome(options.commands)) {
      return yield* new BadOptions({ message: "Give either --input or --commands: commands are read or generated" })
    }
    const files = yield* FileSystem.FileSystem
    const file = Option.getOrElse(options.input, () => fileURLToPath(new URL("commands.ndjson", import.meta.url)))
    if (Option.isNone(options.commands) && file !== "-" && !(yield* files.exists(file))) {
      return yield* new BadOptions({
        message: `There is no file ${file}: give --input a file with one command per line`
      })
    }
    if (Option.isNone(options.commands) && file !== "-" && (yield* files.stat(file)).type === "Directory") {
      return yield* new BadOptions({ message: `${file} is a directory: give --input a file with one command per line` })
    }
    const orders = Option.isSome(options.commands)
      ? generate({ commands: options.commands.value, rooms: options.rooms, seed: options.seed })
      : fromLines(file === "-" ? NodeStream.stdin : files.stream(file))
    const database = Option.isSome(options.database)
      ? options.database.value
      : `${yield* files.makeTempDirectoryScoped({ prefix: "meeting-rooms-" })}/rooms.db`

    const counts = yield* Ref.make<Counts>({ succeeded: 0, refused: 0, rolledBack: 0, malformed: 0 })
    const report = yield* run(orders, {
      counts,
      onMalformed: ({ line, reason }) => Console.error(`line ${line} is skipped: ${reason}`)
    }).pipe(
      Effect.provide(Program(database)),
      withProgress(counts, Option.getOrUndefined(options.commands))
    )
    yield* Console.log(options.json ? JSON.stringify(report) : render(report))
    if (!isSound(report)) return yield* new Unsound()
  }).pipe(Effect.scoped))

/** A line on standard error: rewritten where there is a terminal, every two seconds where there is none. */
const withProgress =
  (counts: Ref.Ref<Counts>, total: number | undefined) => <A, E, R>(effect: Effect.Effect<A, E, R>) => {
    const terminal = process.stderr.isTTY
    const line = Effect.map(counts, ({ malformed, refused, rolledBack, succeeded }) => {
      const done = succeeded + refused + rolledBack
      const share = total === undefined ? `${done}` : `${done}/${total}`
      return `${share} commands: ${succeeded} done, ${refused} refused, ${rolledBack} rolled back, ${malformed} malformed`
    })
    const show = Effect.flatMap(
      line,
      (text) => Effect.sync(() => process.stderr.write(terminal ? `\r\x1b[2K${text}` : `${text}\n`))
    )
    return Effect.scoped(Effect.zipRight(
      Effect.forkScoped(Effect.schedule(show, Schedule.spaced(terminal ? "100 millis" : "2 seconds"))),
      Effect.zipLeft(effect, terminal ? Effect.sync(() => process.stderr.write("\r\x1b[2K")) : Effect.void)
    ))
  }

const render = (report: Report): string => {
  const rows: ReadonlyArray<readonly [string, string | number]> = [
    ["commands handled", report.succeeded],
    ["commands refused", report.refused],
    ["transactions rolled back", report.rolledBack],
    ["malformed lines skipped", report.malformed],
    ["events committed", report.eventsCommitted],
    ["events delivered", report.eventsDelivered],
    ["  duplicated", report.duplicates],
    ["  lost", report.lost],
    ["  from rolled-back transactions", report.phantom],
    ["  out of order", report.outOfOrder],
    ["commit to consumer, p50", `${report.latencyMs.p50} ms`],
    ["commit to consumer, p95", `${report.latencyMs.p95} ms`],
    ["commit to consumer, p99", `${report.latencyMs.p99} ms`]
  ]
  return rows.map(([name, value]) => `${name.padEnd(34)}${String(value).padStart(12)}`).join("\n")
}

const cli = Command.run(command, { name: "Meeting rooms", version: "0.1.0" })

/** One sentence of a failure or a defect, with what it was caused by. */
const sentence = (failure: unknown): string => {
  const parts: Array<string> = []
  let cause = failure
  while (cause instanceof Error && parts.length < 5) {
    const { message } = cause
    if (message !== "" && parts.every((part) => !part.includes(message))) parts.push(message)
    cause = cause.cause
  }
  const text = parts.length === 0 ? String(failure) : parts.join(": ")
  return abridged(failure instanceof BadOptions ? text : `The demo cannot go on: ${text}`)
}

cli(process.argv).pipe(
  Effect.tapErrorCause((cause) => {
    const failure = Cause.squash(cause)
    // what has said so itself: the report, and the command line's parser
    const isTold = failure instanceof Unsound || ValidationError.isValidationError(failure)
    return isTold || Cause.isInterruptedOnly(cause) ? Effect.void : Console.error(sentence(failure))
  }),
  Effect.provide(
    Layer.mergeAll(NodeContext.layer, Logger.replace(Logger.defaultLogger, Logger.prettyLogger({ stderr: true })))
  ),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
