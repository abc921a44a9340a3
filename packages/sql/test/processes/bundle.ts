import { Effect, type Scope } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { bundle } from "../../../../scripts/internal/bundle.mjs"

const program = fileURLToPath(new URL("program.ts", import.meta.url))

/**
 * The program as one file: started so it takes a quarter of the time that it takes to start from its sources, and the
 * tests start it some forty times.
 */
export const bundled: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(path.join(tmpdir(), "effect-cqrs-processes-"))),
    (folder) => Effect.promise(() => rm(folder, { recursive: true }))
  )
  const outfile = path.join(folder, "program.mjs")
  yield* Effect.promise(() => bundle({ entry: program, outfile }))
  return outfile
})
