import { SqliteClient } from "@effect/sql-sqlite-node"
import { describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { cases } from "./support/cases.ts"
import { layerProgram } from "./support/program.ts"

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
  layer(layerProgram, { timeout: 60_000, excludeTestServices: true })((it) => cases(it, fresh))
})
