import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"

const packageFolder = fileURLToPath(new URL("../..", import.meta.url))

/** The program as one file, beside its package.json: it starts in a tenth of the time that its sources take. */
export const bundled: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(path.join(tmpdir(), "effect-cqrs-cli-"))),
    (folder) => Effect.promise(() => rm(folder, { recursive: true }))
  )
  const outfile = path.join(folder, "dist/main.mjs")
  yield* Effect.promise(() => mkdir(path.dirname(outfile)))
  yield* Effect.promise(() => copyFile(path.join(packageFolder, "package.json"), path.join(folder, "package.json")))
  yield* Effect.promise(() =>
    build({
      entryPoints: [path.join(packageFolder, "src/main.ts")],
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
