import { build } from "esbuild"
import { createRequire } from "node:module"

/** Makes one file of a program, which starts in a fraction of the time that its sources take. Its binaries stay where they are. */
export const bundle = async ({ entry, outfile }) => {
  await build({
    entryPoints: [entry],
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
}
