import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { mkdtemp, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"

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
  yield* Effect.promise(() =>
    build({
      entryPoints: [program],
      outfile,
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      logLevel: "error",
      external: ["pg-native"],
      // packages that are not modules ask for `require`
      banner: {
        js: "import { createRequire as requireOf } from \"node:module\"; const require = requireOf(import.meta.url);"
      },
      plugins: [{
        name: "binaries-stay-where-they-are",
        setup: ({ onResolve }) =>
          onResolve({ filter: /^better-sqlite3$/ }, ({ importer, path }) => ({
            external: true,
            path: createRequire(importer).resolve(path)
          }))
      }]
    })
  )
  return outfile
})
