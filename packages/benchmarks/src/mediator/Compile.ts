/**
 * What the compiler needs for a program with many commands, beside one of bare schemas and handlers by hand.
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { Run, WrongResult } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"

const commands = 300

export const compile: Measurement = {
  name: "compile",
  needs: [],
  rounds: { full: 5, quick: 1 },
  warmUp: false,
  rows: [
    {
      id: "compile/schema",
      title: `type-check ${commands} commands and their handlers, against Schema.TaggedRequest`,
      unit: "s",
      subject: { contender: "commands", figure: "check" },
      twin: { contender: "by hand", figure: "check" },
      target: { atMost: 1.2 }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const size = count(commands)
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => {
        // inside the package: that is where its dependencies are found
        const cache = fileURLToPath(new URL("../../node_modules/.cache", import.meta.url))
        mkdirSync(cache, { recursive: true })
        return mkdtempSync(path.join(cache, "compile-"))
      }),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    yield* built
    const base = fileURLToPath(new URL("tsconfig.base.json", root))
    const core = fileURLToPath(new URL("packages/core/dist/index.d.ts", root))
    const checked = (name: string, source: string): Round => {
      const place = path.join(folder, name.replace(" ", "-"))
      mkdirSync(place)
      writeFileSync(path.join(place, "program.ts"), source)
      writeFileSync(
        path.join(place, "tsconfig.json"),
        JSON.stringify({
          extends: base,
          include: ["program.ts"],
          // the declarations, as whoever installs the package has them
          compilerOptions: { noEmit: true, plugins: [], paths: { "@effect-cqrs/core": [core] } }
        })
      )
      return Effect.map(diagnostics(place), ({ check }) => ({ check }))
    }
    return { commands: checked("commands", withCommands(size)), "by hand": checked("by hand", byHand(size)) }
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const root = new URL("../../../../", import.meta.url)

const tsc = createRequire(import.meta.url).resolve("typescript/lib/tsc.js")

const built = Effect.suspend(() => node(fileURLToPath(new URL("scripts/build.mjs", root))))

const diagnostics = (project: string): Effect.Effect<{ readonly check: number }, WrongResult> =>
  Effect.flatMap(node(tsc, "--project", project, "--extendedDiagnostics"), (output) => {
    const check = /^Check time:\s+([\d.]+)s$/m.exec(output)?.[1]
    return check === undefined
      ? Effect.fail(new WrongResult({ message: "The compiler did not say how long it checked" }))
      : Effect.succeed({ check: Number(check) })
  })

const node = (...args: ReadonlyArray<string>): Effect.Effect<string, WrongResult> =>
  Effect.async((resume) => {
    const child = execFile(process.execPath, args, { maxBuffer: 2 ** 24 }, (error, stdout) =>
      resume(
        error === null
          ? Effect.succeed(stdout)
          : Effect.fail(new WrongResult({ message: `It does not compile: ${stdout.slice(0, 400)}` }))
      ))
    return Effect.sync(() => child.kill())
  })

const each = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join("\n")

const fields = `{ room: Schema.String, seats: Schema.Number, note: Schema.optional(Schema.String) }`

const head = `
import { Effect, Schema } from "effect"
class Full extends Schema.TaggedError<Full>()("Full", { room: Schema.String }) {}
`

/** Each has a handler and one who sends it; the program has them all. */
const withCommands = (count: number): string => `
import { Command, Handler, Mediator } from "@effect-cqrs/core"
import { Layer } from "effect"
${head}
${
  each(count, (at) => `
class Book${at} extends Command.make<Book${at}>()("Book${at}", {
  payload: ${fields}, success: Schema.Number, failure: Full
}) {}
const Book${at}Handler = Handler.layer(Book${at}, (command) => command.seats > 4
  ? Effect.fail(new Full({ room: command.room }))
  : Effect.succeed(command.seats))
`)
}
const handlers = Layer.mergeAll(${each(count, (at) => `Book${at}Handler,`)})
${
  each(count, (at) => `
const send${at} = (room: string) => Effect.gen(function*() {
  const seats = yield* Mediator.send(new Book${at}({ room, seats: 1 }))
  return seats + 1
})`)
}
export const program: Effect.Effect<void, Full> = Effect.all([
${each(count, (at) => `send${at}("blue"),`)}
], { discard: true }).pipe(Effect.provide(handlers))
`

const byHand = (count: number): string => `
${head}
${
  each(count, (at) => `
class Book${at} extends Schema.TaggedRequest<Book${at}>()("Book${at}", {
  payload: ${fields}, success: Schema.Number, failure: Full
}) {}
const book${at} = (command: Book${at}): Effect.Effect<number, Full> => command.seats > 4
  ? Effect.fail(new Full({ room: command.room }))
  : Effect.succeed(command.seats)
`)
}
${
  each(count, (at) => `
const send${at} = (room: string) => Effect.gen(function*() {
  const seats = yield* book${at}(new Book${at}({ room, seats: 1 }))
  return seats + 1
})`)
}
export const program: Effect.Effect<void, Full> = Effect.all([
${each(count, (at) => `send${at}("blue"),`)}
], { discard: true })
`
