import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

/** The repository's root folder. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "")

/** A path of the repository, with forward slashes on every platform. */
export const relative = (file) => path.relative(root, path.resolve(root, file)).split(path.sep).join("/")

/** The argv that starts an installed package's program without a shell. */
export const bin = (packageName, program = packageName) => {
  const folder = path.join(root, "node_modules", packageName)
  const { bin } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"))
  return [process.execPath, path.join(folder, typeof bin === "string" ? bin : bin[program])]
}

/** The argv that runs a TypeScript file; the packages have to be installed. */
export const tsx = () => {
  const loader = createRequire(path.join(root, "package.json")).resolve("tsx")
  return [process.execPath, "--import", pathToFileURL(loader).href]
}

/** The same for one that measures: see there. */
export const bare = () => [process.execPath, "--import", new URL("typescript.mjs", import.meta.url).href]

const killGraceMillis = 5_000

/**
 * Runs a program to its end and returns what it wrote; never throws. `input` is its standard input (none by default),
 * `onOutput` sees each chunk as it arrives, and after `timeoutMillis` the program is ended.
 */
export const run = ([command, ...args], options = {}) =>
  new Promise((resolve) => {
    const { env = {}, input, onOutput, timeoutMillis, ...spawnOptions } = options
    const child = spawn(command, args, {
      cwd: root,
      ...spawnOptions,
      env: { ...(spawnOptions.baseEnv ?? process.env), ...env },
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"]
    })
    const result = { code: 1, signal: null, stdout: "", stderr: "", output: "", timedOut: false }
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8")
      child[stream].on("data", (chunk) => {
        result[stream] += chunk
        result.output += chunk
        onOutput?.(chunk)
      })
    }
    let kill
    const timer = timeoutMillis === undefined ? undefined : setTimeout(() => {
      result.timedOut = true
      child.kill("SIGTERM")
      kill = setTimeout(() => child.kill("SIGKILL"), killGraceMillis)
    }, timeoutMillis)
    const stop = () => child.kill("SIGTERM")
    process.once("exit", stop)
    const end = (code, signal) => {
      clearTimeout(timer)
      clearTimeout(kill)
      process.off("exit", stop)
      resolve({ ...result, code: code ?? 1, signal })
    }
    child.once("error", (error) => {
      result.output += `${error.message}\n`
      result.stderr += `${error.message}\n`
      end(1, null)
    })
    child.once("close", end)
    if (input !== undefined) {
      // A program may end before it has read all of its input.
      child.stdin.on("error", () => {})
      child.stdin.end(input)
    }
  })

/** Maps with at most `limit` at work, results in the order of the items. */
export const mapLimit = async (items, limit, f) => {
  const results = new Array(items.length)
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      results[index] = await f(items[index], index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  return results
}
