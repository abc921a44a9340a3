/** `npm run demo`: the meeting rooms, by default on embedded SQLite and the memory broker in one process. */
import { Command, Options, ValidationError } from "@effect/cli"
import { FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime, NodeStream } from "@effect/platform-node"
import { Cause, Console, Effect, Layer, Logger, Option, Ref, Schedule, Schema } from "effect"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { tidied } from "./Brokers.ts"
import { type Counts, isSound, type Report, run, write } from "./Demo.ts"
import { abridged, fromLines, generate, type Malformed } from "./Input.ts"
import { conclusion, roles, runProcesses } from "./Processes.ts"
import { Consumers, Program, RelayProcess, Writer } from "./Program.ts"
import { brokers, databases, prepared, type Setting, SettingError } from "./Setting.ts"

class Unsound extends Schema.TaggedError<Unsound>()("Unsound", {}) {}

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
  database: Options.choice("database", databases).pipe(
    Options.withDescription("Where the rooms are kept"),
    Options.withDefault("sqlite" as const)
  ),
  broker: Options.choice("broker", brokers).pipe(
    Options.withDescription("What brings the events to their consumers"),
    Options.withDefault("memory" as const)
  ),
  file: Options.text("file").pipe(
    Options.withDescription("A SQLite file to keep; a temporary one unless given"),
    Options.optional
  ),
  processes: Options.boolean("processes").pipe(
    Options.withDescription("Writer, relay and consumer as processes of their own")
  ),
  role: Options.choice("role", roles).pipe(
    Options.withDescription("What this process does in a --run that another has begun"),
    Options.withDefault("all" as const)
  ),
  run: Options.text("run").pipe(
    Options.withDescription("The name of the run, which its database and topics carry; one that is new unless given"),
    Options.withSchema(Schema.String.pipe(
      Schema.pattern(/^[a-z][a-z0-9_]{0,31}$/, {
        message: () => "--run must be a lower-case letter, and up to 31 letters, digits or underscores after it"
      })
    )),
    Options.optional
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the report as one JSON object"))
}, (options) =>
  Effect.gen(function*() {
    const { broker, database, role } = options
    const refuse = (message: string) => new SettingError({ message })
    if (Option.isSome(options.input) && Option.isSome(options.commands)) {
      return yield* refuse("Give either --input or --commands: commands are read or generated")
    }
    if (Option.isSome(options.file) && database !== "sqlite") {
      return yield* refuse(`--file is SQLite's, and the database is ${database}: leave one of them out`)
    }
    if (broker === "memory" && (options.processes || role !== "all")) {
      return yield* refuse("The memory broker lives in one process: give --broker rabbitmq or kafka with --processes")
    }
    if (role !== "all" && (options.processes || Option.isNone(options.run))) {
      return yield* refuse("--role joins a run that another process has begun: give its --run, and no --processes")
    }
    const files = yield* FileSystem.FileSystem
    const input = Option.getOrElse(options.input, () => fileURLToPath(new URL("commands.ndjson", import.meta.url)))
    if (Option.isNone(options.commands) && input !== "-" && !(yield* files.exists(input))) {
      return yield* refuse(`There is no file ${input}: give --input a file with one command per line`)
    }
    if (Option.isNone(options.commands) && input !== "-" && (yield* files.stat(input)).type === "Directory") {
      return yield* refuse(`${input} is a directory: give --input a file with one command per line`)
    }
    const setting: Setting = {
      database,
      broker,
      run: Option.getOrElse(options.run, () => `demo_${randomBytes(4).toString("hex")}`),
      file: Option.isSome(options.file) || database !== "sqlite"
        ? Option.getOrElse(options.file, () => "")
        : `${yield* files.makeTempDirectoryScoped({ prefix: "meeting-rooms-" })}/rooms.db`
    }
    if (role === "relay") return yield* Layer.launch(RelayProcess(setting))
    if (role === "consumer") return yield* Layer.launch(Consumers(setting))

    const counts = yield* Ref.make<Counts>({ succeeded: 0, refused: 0, rolledBack: 0, malformed: 0 })
    const orders = Option.isSome(options.commands)
      ? generate({ commands: options.commands.value, rooms: options.rooms, seed: options.seed })
      : fromLines(input === "-" ? NodeStream.stdin : files.stream(input))
    const telling = {
      counts,
      onMalformed: ({ line, reason }: Malformed) => Console.error(`line ${line} is skipped: ${reason}`)
    }
    const showing = withProgress(counts, Option.getOrUndefined(options.commands))
    if (role === "writer") {
      yield* showing(Effect.provide(write(orders, telling), Writer(setting)))
      return yield* Console.log(conclusion(yield* counts))
    }

    yield* prepared(setting)
    yield* tidied(setting)
    const report = yield* options.processes
      ? runProcesses(setting, [
        ...Option.match(options.commands, {
          onNone: () => ["--input", input],
          onSome: (commands) => ["--commands", `${commands}`]
        }),
        ...["--rooms", `${options.rooms}`, "--seed", `${options.seed}`]
      ])
      : showing(Effect.provide(run(orders, telling), Program(setting)))
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
  return abridged(failure instanceof SettingError ? text : `The demo cannot go on: ${text}`)
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
  NodeRuntime.runMain({ disableErrorReporting: true, disablePrettyLogger: true })
)
