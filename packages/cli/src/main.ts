#!/usr/bin/env node
/** The program `effect-cqrs`. */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Span from "@effect/cli/HelpDoc/Span"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { readFileSync } from "node:fs"
import { stripVTControlCharacters } from "node:util"
import { commands } from "./commands/all.ts"
import { CliError, endingOf, exitCodes } from "./internal/exitCode.ts"
import { say } from "./internal/output.ts"
import { flags } from "./internal/settings.ts"

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

const root = Command.make("effect-cqrs").pipe(
  Command.withDescription(
    HelpDoc.p(
      "Looks after the outbox of effect-cqrs and its relays, and after the dead letters of outbox and consumers."
    )
  ),
  Command.withSubcommands(commands)
)

const cli = Command.run(root, {
  name: "effect-cqrs",
  version,
  executable: "effect-cqrs",
  summary: Span.text("the outbox and its relays"),
  footer: HelpDoc.blocks([
    HelpDoc.h1("ENVIRONMENT"),
    HelpDoc.p("CQRS_DATABASE_URL, CQRS_BROKER_URL and CQRS_PREFIX stand for --database, --broker and --prefix."),
    HelpDoc.h1("EXIT CODES"),
    HelpDoc.descriptionList(
      Object.values(exitCodes).map(([code, what]) => [Span.text(String(code)), HelpDoc.p(what)] as const) as never
    )
  ])
})

/** Help and complaints are coloured for people only. */
const plain = (stream: NodeJS.WriteStream) => (text: unknown) =>
  void stream.write(`${stream.isTTY ? String(text) : stripVTControlCharacters(String(text))}\n`)

const console_ = Console.setConsole({
  [Console.TypeId]: Console.TypeId,
  log: (text: unknown) => Effect.sync(() => plain(process.stdout)(text)),
  error: (text: unknown) => Effect.sync(() => plain(process.stderr)(text)),
  unsafe: globalThis.console
} as unknown as Console.Console)

// nobody reads on, as behind `| head`: it ends as if it was interrupted
process.stdout.once("error", () => {
  process.stdout.on("error", () => undefined)
  process.kill(process.pid, "SIGINT")
})
process.stderr.on("error", () => undefined)

// the parser takes a number behind a flag for its value: `--json 1` would be `--json=1`, and the argument missing
const args = process.argv.map((arg) => flags.has(arg) ? `${arg === "-y" ? "--yes" : arg}=true` : arg)

/** The parser would name the commands of the root, whatever the word stands behind. */
const checkWords = Effect.suspend(() => {
  const [first, second] = process.argv.slice(2)
  const unknown = (word: string, known: Iterable<string>) =>
    new CliError({
      ending: "Usage",
      message: `There is no command \`effect-cqrs ${word}\`: use one of ${[...known].sort().join(", ")}, or --help`
    })
  if (first === undefined || first.startsWith("-")) return Effect.void

  const all: ReadonlyArray<Command.Command<any, any, any, any>> = commands
  const group = all.find((command) => HashSet.has(Command.getNames(command), first))
  if (group === undefined) return unknown(first, all.flatMap((command) => [...Command.getNames(command)]))
  if (second === undefined || second.startsWith("-")) return Effect.void
  const known = new Set(HashMap.keys(Command.getSubcommands(group)))
  // a command without others has itself
  return known.has(first) || known.has(second) ? Effect.void : unknown(`${first} ${second}`, known)
})

Effect.zipRight(checkWords, Effect.suspend(() => cli(args))).pipe(
  Effect.onExit((exit) => {
    const { sentence } = endingOf(exit)
    return sentence === undefined ? Effect.void : say(sentence)
  }),
  Effect.provide(Layer.mergeAll(
    NodeContext.layer,
    console_,
    CliConfig.layer({ showBuiltIns: true }),
    Logger.replace(Logger.defaultLogger, Logger.prettyLogger({ stderr: true }))
  )),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: (exit, onExit) => onExit(exitCodes[endingOf(exit).ending][0])
  })
)
