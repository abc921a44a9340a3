/**
 * Runs TypeScript as it is published: what the compiler would write, type by type erased and nothing added. tsx names
 * every function at run time, which costs what makes many of them more than what it calls, so nothing is measured under it.
 */
import { transform } from "esbuild"
import { readFile } from "node:fs/promises"
import { register } from "node:module"
import { fileURLToPath } from "node:url"
import { isMainThread } from "node:worker_threads"

if (isMainThread) register(import.meta.url)

/** A hook of Node's module loader. */
export const load = async (url, context, next) => {
  if (!url.startsWith("file:") || !url.endsWith(".ts")) return next(url, context)
  const sourcefile = fileURLToPath(url)
  const { code } = await transform(await readFile(sourcefile, "utf8"), {
    loader: "ts",
    format: "esm",
    target: "es2022",
    sourcefile,
    sourcemap: "inline"
  })
  return { format: "module", source: code, shortCircuit: true }
}
