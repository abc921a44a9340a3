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
      title: `type-check ${commands} commands and their handlers, against Schema.TaggedRequest and Map`,
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
    const base = fileURLToPath(new URL("../../../../tsconfig.base.json", import.meta.url))
    const checked = (name: string, source: string): Round => {
      const place = path.join(folder, name.replace(" ", "-"))
      mkdirSync(place)
      writeFileSync(path.join(place, "program.ts"), source)
      writeFileSync(
        path.join(place, "tsconfig.json"),
        JSON.stringify({ extends: base, include: ["program.ts"], compilerOptions: { noEmit: true, plugins: [] } })
      )
      return Effect.map(diagnostics(place), ({ check }) => ({ check }))
    }
    return { commands: checked("commands", withCommands(size)), "by hand": checked("by hand", byHand(size)) }
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const tsc = createRequire(import.meta.url).resolve("typescript/lib/tsc.js")

const diagnostics = (project: string): Effect.Effect<{ readonly check: number }, WrongResult> =>
  Effect.async((resume) => {
    const child = execFile(
      process.execPath,
      [tsc, "--project", project, "--extendedDiagnostics"],
      { maxBuffer: 2 ** 24 },
      (error, stdout) => {
        const check = /^Check time:\s+([\d.]+)s$/m.exec(stdout)?.[1]
        resume(
          error === null && check !== undefined
            ? Effect.succeed({ check: Number(check) })
            : Effect.fail(new WrongResult({ message: `The program does not compile: ${stdout.slice(0, 400)}` }))
        )
      }
    )
    return Effect.sync(() => child.kill())
  })

const each = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join("\n")

const fields = `{ room: Schema.String, seats: Schema.Number, note: Schema.optional(Schema.String) }`

const head = `
import { Effect, Schema } from "effect"
class Full extends Schema.TaggedError<Full>()("Full", { room: Schema.String }) {}
`

/** Each has a handler and is sent once; the program has all the handlers. */
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
export const program: Effect.Effect<number, Full> = Effect.gen(function*() {
  let seats = 0
${each(count, (at) => `  seats += yield* Mediator.send(new Book${at}({ room: "blue", seats: 1 }))`)}
  return seats
}).pipe(Effect.provide(handlers))
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
export const program: Effect.Effect<number, Full> = Effect.gen(function*() {
  let seats = 0
${each(count, (at) => `  seats += yield* book${at}(new Book${at}({ room: "blue", seats: 1 }))`)}
  return seats
})
`
