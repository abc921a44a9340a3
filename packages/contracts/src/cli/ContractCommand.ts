/**
 * The command `contract` of a command line: documents of a contract, and the check of a change.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { pathToFileURL } from "node:url"
import * as AsyncApi from "../AsyncApi.ts"
import * as Compatibility from "../Compatibility.ts"
import { type Contract, isContract } from "../Contract.ts"
import * as Flow from "../Flow.ts"
import * as JsonSchemas from "../JsonSchemas.ts"

/**
 * - `Unreadable`: the contract, or the document to compare with, is not there or is none.
 * - `Breaking`: the change breaks something. The report has been printed.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContractCommandError
  extends Schema.TaggedError<ContractCommandError>("@effect-cqrs/contracts/ContractCommandError")(
    "ContractCommandError",
    {
      reason: Schema.Literal("Unreadable", "Breaking"),
      message: Schema.String
    }
  )
{}

/**
 * The contract that a module exports, by `path` or `path#export` from the working directory. TypeScript is read where the
 * runtime reads it: Node from 22.18, or under `tsx`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (
  place: string
): Effect.Effect<Contract, ContractCommandError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const at = place.lastIndexOf("#")
    const [file, name] = at === -1 ? [place, "default"] : [place.slice(0, at), place.slice(at + 1)]
    const path = paths.resolve(file)
    if (!(yield* Effect.orElseSucceed(files.exists(path), () => false))) {
      return yield* unreadable(`There is no file ${file}: give the module that exports the contract`)
    }
    const module = yield* Effect.tryPromise({
      try: (): Promise<Readonly<Record<string, unknown>>> => import(pathToFileURL(path).href),
      catch: (thrown) =>
        unreadable(
          /\.[cm]?ts$/.test(file) &&
            (thrown as { readonly code?: unknown } | null)?.code === "ERR_UNKNOWN_FILE_EXTENSION"
            ? `${file} is TypeScript, which this Node does not read: use Node 22.18 or later, run under tsx, or compile it`
            : `${file} cannot be loaded: ${thrown instanceof Error ? thrown.message : String(thrown)}`
        )
    })
    const found = module[name]
    if (isContract(found)) return found
    const others = Object.keys(module).filter((one) => isContract(module[one]))
    return yield* unreadable(
      `${file} exports no contract as ${name}: ${
        others.length === 0
          ? "export what Contract.make makes"
          : `use ${others.map((one) => `${file}#${one}`).join(" or ")}`
      }`
    )
  })

const contract = Options.text("contract").pipe(
  Options.withDescription("The module that exports the contract: contract.js, or contract.js#rooms")
)

const asyncapi = Command.make("asyncapi", {
  contract,
  broker: Options.choice("broker", ["kafka", "amqp"] as const).pipe(
    Options.withDescription("Whose bindings and header names the document has; amqp is RabbitMQ")
  ),
  server: Options.keyValueMap("server").pipe(
    Options.withDescription("Servers, as name=host:port"),
    Options.optional
  )
}, ({ broker, contract, server }) =>
  Effect.flatMap(load(contract), (loaded) =>
    Effect.flatMap(
      AsyncApi.make(loaded, {
        broker,
        servers: Option.match(server, {
          onNone: () => undefined,
          onSome: (hosts) => Object.fromEntries(HashMap.toEntries(hosts).map(([name, host]) => [name, { host }]))
        })
      }),
      printed
    ))).pipe(Command.withDescription("Prints the AsyncAPI 3 document, as JSON"))

const schemas = Command.make("schemas", {
  contract,
  event: Options.text("event").pipe(
    Options.withDescription("Only the JSON Schema of this event's payload"),
    Options.optional
  )
}, ({ contract, event }) =>
  Effect.gen(function*() {
    const document = yield* Effect.flatMap(load(contract), JsonSchemas.make)
    if (Option.isNone(event)) return yield* printed(document)
    const found = Object.hasOwn(document.events, event.value) ? document.events[event.value] : undefined
    if (found === undefined) {
      return yield* unreadable(
        `The contract has no event ${event.value}: it has ${Object.keys(document.events).join(", ") || "none"}`
      )
    }
    yield* printed({ $schema: "http://json-schema.org/draft-07/schema#", title: event.value, ...found.payload })
  })).pipe(
    Command.withDescription(
      "Prints the contract as one JSON document with all schemas: keep it, and check changes against it"
    )
  )

const flow = Command.make(
  "flow",
  {
    contract,
    text: Options.boolean("text").pipe(Options.withDescription("Lines of text in place of a diagram"))
  },
  ({ contract, text }) =>
    Effect.flatMap(load(contract), (loaded) => Console.log((text ? Flow.text(loaded) : Flow.mermaid(loaded)).trimEnd()))
).pipe(
  Command.withDescription("Prints what leads to what, as a Mermaid flow chart")
)

const check = Command.make("check", {
  contract,
  against: Options.text("against").pipe(
    Options.withDescription("What `contract schemas` has printed before: a file, or /dev/stdin")
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the findings as one JSON array")),
  markdown: Options.boolean("markdown").pipe(
    Options.withDescription("Print the findings as Markdown, for a pull request")
  )
}, ({ against, contract, json, markdown }) =>
  Effect.gen(function*() {
    const before = yield* kept(against)
    const after = yield* Effect.flatMap(load(contract), JsonSchemas.make)
    const findings = Compatibility.compare(before, after)
    if (json) yield* printed(findings)
    else yield* Console.log((markdown ? Compatibility.markdown(findings) : Compatibility.text(findings)).trimEnd())
    const breaking = findings.filter(Compatibility.isBreaking).length
    if (breaking > 0) {
      return yield* new ContractCommandError({
        reason: "Breaking",
        message: `The contract breaks what was promised, in ${breaking} ${breaking === 1 ? "place" : "places"}`
      })
    }
  })).pipe(
    Command.withDescription(
      "Compares the contract with an older one, and fails if the change breaks consumers or producers"
    )
  )

/**
 * `contract asyncapi`, `schemas`, `flow` and `check`. What they make goes to the console; failures are typed, and the exit
 * code is that of whoever runs the command: `Breaking` is one that a pull request should see.
 *
 * @since 0.1.0
 * @category constructors
 */
export const command = Command.make("contract").pipe(
  Command.withDescription("What the program announces and reads: as documents, and what a change of it breaks"),
  Command.withSubcommands([asyncapi, schemas, flow, check])
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const unreadable = (message: string) => new ContractCommandError({ reason: "Unreadable", message })

const printed = (value: unknown): Effect.Effect<void> => Console.log(JSON.stringify(value, undefined, 2))

const kept = (file: string): Effect.Effect<JsonSchemas.Document, ContractCommandError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const text = yield* Effect.mapError(
      files.readFileString(file),
      () => unreadable(`There is no file ${file} to read`)
    )
    return yield* Effect.mapError(
      Schema.decode(Schema.parseJson(JsonSchemas.Document))(text),
      () => unreadable(`${file} is not what \`contract schemas\` prints: keep its output, and compare with that`)
    )
  })
