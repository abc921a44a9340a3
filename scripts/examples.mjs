/**
 * `node scripts/examples.mjs [name…]`: runs the programs that packages/examples/examples.json declares and compares
 * what they print, and how they exit, with what stands there. An expected text may hold `{{number}}` for a number
 * that changes and `{{…}}` for the rest of a line that does.
 */
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import path from "node:path"
import { mismatch } from "./internal/expected.mjs"
import { mapLimit, root, run, tsx } from "./internal/process.mjs"
import { summary } from "./internal/tally.mjs"

const folder = path.join(root, "packages/examples")
const defaultTimeoutSeconds = 60

const read = (file) => readFileSync(path.join(folder, file), "utf8")

const runExample = async ({ args = [], exitCode = 0, name, program, stdin, stdout, timeoutSeconds }) => {
  const started = Date.now()
  const result = await run([...tsx(), path.join(folder, program), ...args], {
    cwd: folder,
    timeoutMillis: (timeoutSeconds ?? defaultTimeoutSeconds) * 1000,
    ...(stdin === undefined ? {} : { input: read(stdin) })
  })
  const problems = [
    ...(result.timedOut ? [`did not end within ${timeoutSeconds ?? defaultTimeoutSeconds} s`] : []),
    ...(result.code === exitCode ? [] : [`exited with ${result.code} instead of ${exitCode}`]),
    ...(stdout === undefined ? [] : [mismatch(read(stdout), result.stdout, stdout)].filter(Boolean))
  ]
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  if (problems.length === 0) {
    console.log(`ok ${name} (${seconds} s)`)
    return true
  }
  console.log(`not ok ${name} (${seconds} s): ${problems.join("\n")}\n${result.output.replace(/^/gm, "  | ")}`)
  return false
}

const names = process.argv.slice(2)
const declared = JSON.parse(read("examples.json"))
const unknown = names.filter((name) => declared.every((example) => example.name !== name))
if (unknown.length > 0) {
  console.log(`No example is called ${unknown.join(", ")}; there are ${declared.map(({ name }) => name).join(", ")}.`)
  process.exitCode = 1
} else {
  const chosen = declared.filter(({ name }) => names.length === 0 || names.includes(name))
  const results = await mapLimit(chosen, availableParallelism(), runExample)
  const passed = results.filter(Boolean).length
  console.log(summary({ passed, failed: results.length - passed, skipped: 0 }))
  process.exitCode = passed === results.length ? 0 : 1
}
