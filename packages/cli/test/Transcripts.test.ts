import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { fill, layerStorage } from "./support/outbox.ts"
import { layerProgram, run } from "./support/program.ts"

const guide = fileURLToPath(new URL("../../../docs/guides/cli.md", import.meta.url))

/** Writes what is printed into the guide, in place of comparing the two. */
const isWriting = process.env.EFFECT_CQRS_WRITE_TRANSCRIPTS === "1"

/** The commands and the marks of a guide's blocks, with what stands below each. */
const stepsOf = (text: string) => {
  const steps: Array<{ readonly command: string; readonly at: number; readonly printed: ReadonlyArray<string> }> = []
  let inside = false
  text.split("\n").forEach((line, at, lines) => {
    if (line.startsWith("```")) inside = line === "```console"
    else if (line === "<!-- the story: events -->") steps.push({ command: line, at, printed: [] })
    else if (inside && line.startsWith("$ ")) {
      const rest = lines.slice(at + 1)
      const end = rest.findIndex((next) => next.startsWith("$ ") || next.startsWith("```"))
      steps.push({ command: line.slice(2), at, printed: rest.slice(0, end).join("\n").trimEnd().split("\n") })
    }
  })
  return steps
}

/** Words of a command line; quotes keep spaces. */
const wordsOf = (command: string): ReadonlyArray<string> =>
  Array.from(command.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain!)

/** What differs from run to run, and the columns that it moves. */
const steady = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.map((line) =>
    line.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
      .replace(/\b\d+ (min|ms|s|h)\b( \d+ (min|s))?/g, "AGE")
      .replace(/"(oldestAgeMillis|dueMillis)":\d+(\.\d+)?/g, "\"$1\":0")
      .replace(/SQLite \d+\.\d+\.\d+/, "SQLite VERSION")
      .replace(/ {2,}/g, "  ")
  )

const events = [
  { key: "blue", dead: "MESSAGE_TOO_LARGE: the record is larger than the topic takes" },
  { key: "blue" },
  { key: "red", dead: "MESSAGE_TOO_LARGE: the record is larger than the topic takes" },
  { key: "green", topic: "openings", dead: "a header begins with the prefix of the protocol" },
  { key: "pink", deferred: "MESSAGE_TOO_LARGE: the record is larger than the topic takes" },
  { key: "white" }
]

describe("docs/guides/cli.md", () => {
  layer(layerProgram, { timeout: 120_000, excludeTestServices: true })((it) => {
    it.effect("prints what the program prints", () =>
      Effect.scoped(Effect.gen(function*() {
        const cwd = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(path.join(tmpdir(), "effect-cqrs-cli-guide-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
        )
        const client = SqliteClient.layer({ filename: path.join(cwd, "app.db"), disableWAL: true })
        const text = readFileSync(guide, "utf8")
        const lines = text.split("\n")
        const steps = stepsOf(text)
        assert.isAbove(steps.length, 10)
        let moved = 0
        for (const { at, command, printed } of steps) {
          if (command.startsWith("<!--")) {
            yield* Effect.provide(fill(events), layerStorage(client))
            continue
          }
          const [name, ...args] = wordsOf(command)
          assert.strictEqual(name, "effect-cqrs")
          // the first migration makes the file
          if (args[0] === "migrate" && args[1] === "plan") writeFileSync(path.join(cwd, "app.db"), "")
          const { stderr, stdout } = yield* run(args, { cwd, env: { CQRS_DATABASE_URL: "sqlite:app.db" } })
          const actual = `${stdout}${stderr}`.trimEnd().split("\n")
          if (isWriting) {
            const old = printed.length === 1 && printed[0] === "" ? 0 : printed.length
            lines.splice(at + 1 + moved, old, ...actual)
            moved += actual.length - old
          } else assert.deepStrictEqual(steady(printed), steady(actual), `$ ${command}`)
        }
        if (isWriting) writeFileSync(guide, lines.join("\n"))
      })), 120_000)
  })
})
