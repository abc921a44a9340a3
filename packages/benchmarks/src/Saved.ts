/**
 * The runs that are kept, and the pages that are made of them: see `Pages`.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { filesOf, type Kept } from "./Pages.ts"
import type { Report } from "./Report.ts"
import type { Suite } from "./Suite.ts"

/** Where the pages are. */
export const folder = fileURLToPath(new URL("../../../docs/benchmarks", import.meta.url))

/** The runs that are kept so far. */
export const kept: Effect.Effect<ReadonlyArray<Kept>, unknown, FileSystem.FileSystem> = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const names = (yield* files.exists(folder)) ? yield* files.readDirectory(folder) : []
  return yield* Effect.forEach(
    names.filter((name) => name.endsWith(".json")),
    (name) => Effect.map(files.readFileString(`${folder}/${name}`), (text) => JSON.parse(text) as Kept)
  )
})

/** Keeps the results of these suites in the place of what was kept of them, and makes all pages anew. */
export const save = (
  suites: ReadonlyArray<Suite>,
  { suites: reports, ...place }: Report
): Effect.Effect<void, unknown, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const now = yield* Clock.currentTimeMillis
    const command = ["npm run bench --", ...process.argv.slice(2)].join(" ")
    const runs = suites.map(({ charts, name, title }, at): Kept => ({
      suite: {
        name,
        title,
        ...(charts === undefined ? {} : { charts: charts.map(({ id, title, x }) => ({ id, title, x })) })
      },
      command,
      date: new Date(now).toISOString().slice(0, 10),
      ...place,
      results: reports[at]!.results
    }))
    const others = (yield* kept).filter(({ suite }) => suites.every(({ name }) => name !== suite.name))
    yield* files.makeDirectory(folder, { recursive: true })
    yield* Effect.forEach(
      filesOf([...others, ...runs]),
      ([name, text]) => files.writeFileString(`${folder}/${name}`, text),
      { discard: true }
    )
  })
