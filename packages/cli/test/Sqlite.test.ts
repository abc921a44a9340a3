import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { cases } from "./support/cases.ts"
import { layerProgram, run } from "./support/program.ts"

const fresh = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(tmpdir(), "effect-cqrs-cli-sqlite-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => {
    const filename = path.join(folder, "app.db")
    // an empty file is an empty database
    writeFileSync(filename, "")
    return { url: `sqlite:${filename}`, client: SqliteClient.layer({ filename }) }
  }
)

describe("effect-cqrs on SQLite", () => {
  layer(layerProgram, { timeout: 60_000, excludeTestServices: true })((it) => {
    cases(it, fresh)

    it.effect("a file that cannot be opened is said with what to look at", () =>
      Effect.gen(function*() {
        const { code, stderr } = yield* run(["migrate", "plan", "--database", `sqlite:${tmpdir()}`])
        assert.strictEqual(code, 3)
        assert.match(stderr, /^The database sqlite:\S+ cannot be used: .+ It has to be a file, in a folder that exists/)
        assert.notInclude(stderr, "server")
      }))
  })
})
