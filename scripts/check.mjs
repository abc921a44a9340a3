/**
 * `node scripts/check.mjs [step…] [--changed | file…]`: the whole check of a change, or the steps named; with files, or
 * with those that git sees changed, what concerns them, in seconds. Ends with the sum of all that was checked.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism } from "node:os"
import path from "node:path"
import { bare, bin, mapLimit, relative, root, run } from "./internal/process.mjs"
import { selection, typeTestsOf } from "./internal/selection.mjs"
import * as Tally from "./internal/tally.mjs"

const heartbeatMillis = 15_000

const script = (name, ...args) => [process.execPath, path.join(root, "scripts", `${name}.mjs`), ...args]
const isLinted = (file) => /\.(ts|mjs|cjs)$/.test(file)
const isTyped = (file) => /\.ts$/.test(file)
const isSource = (file) => /^packages\/[^/]+\/src\/.*\.ts$/.test(file)
const isDocumented = (file) => isSource(file) || file.endsWith(".md")
const when = (files, argv) => (files.length === 0 ? undefined : argv)

const effectDiagnostics = [
  ...bin("@effect/language-service", "effect-language-service"),
  "diagnostics",
  "--format",
  "text",
  "--severity",
  "error,warning",
  "--strict"
]
const eslint = [...bin("eslint"), "--max-warnings", "0", "--cache", "--cache-location", ".cache/eslint"]
const tstyche = [...bin("tstyche"), "--config", "tstyche.json"]
const tsc = [...bin("typescript", "tsc"), "-p", "packages/tsconfig.json"]

const vitestReport = (name) => path.join(root, ".cache", `vitest-${name}.json`)
const vitest = (name, projects, files) => [
  ...bin("vitest"),
  ...(files === undefined ? ["run"] : ["related", "--run", ...files]),
  ...projects.flatMap((project) => ["--project", project]),
  "--passWithNoTests",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${vitestReport(name)}`
]
const vitestTally = (name) => (result) =>
  existsSync(vitestReport(name))
    ? Tally.fromVitest(JSON.parse(readFileSync(vitestReport(name), "utf8")), result.code)
    : Tally.fromExitCode(result)

/** The endpoints of the servers that are up, as environment variables, after a line on each server. */
const servers = async () => {
  const [status, { output, stdout, code }] = await Promise.all([
    run(script("services", "status")),
    run(script("services", "env", "--json"))
  ])
  print(status.output.trimEnd().replace(/^/gm, "  "))
  if (code === 0) return JSON.parse(stdout)
  print(output)
  return {}
}

/** As tests see it that need a server. */
const isCi = !["", "0", "false"].includes(process.env.CI ?? "")

/**
 * In order. `command` is the whole step and `changed` what concerns some files, where that is quick to say; a step that
 * uses all cores itself, or measures time, runs `alone`; one that is `slow` runs in CI, and elsewhere where it is named.
 */
const steps = [
  {
    name: "barrels",
    command: script("barrels", "--check"),
    changed: (files) => when(files.filter(isSource), script("barrels", "--check")),
    tally: Tally.fromSummary
  },
  {
    name: "types",
    command: tsc,
    changed: (files) => when(files.filter(isTyped), tsc),
    tally: Tally.fromExitCode
  },
  {
    name: "lint:effects",
    command: [...effectDiagnostics, "--project", "packages/tsconfig.json"],
    // Some seconds a file, and no quicker for several than for all of them.
    changed: (files) => {
      const [file, ...others] = files.filter(isTyped)
      return file === undefined || others.length > 0 ? undefined : [...effectDiagnostics, "--file", file]
    },
    tally: Tally.fromExitCode
  },
  {
    name: "type-tests",
    command: tstyche,
    changed: (files) => when(typeTestsOf(files, existsSync), [...tstyche, ...typeTestsOf(files, existsSync)]),
    tally: Tally.fromTstyche
  },
  {
    name: "lint:style",
    command: [...eslint, "."],
    changed: (files) => when(files.filter(isLinted), [...eslint, "--no-warn-ignored", ...files.filter(isLinted)]),
    tally: Tally.fromExitCode
  },
  {
    name: "lint:dependencies",
    command: [...bin("dependency-cruiser", "depcruise"), "packages", "scripts"],
    tally: Tally.fromExitCode
  },
  { name: "lint:unused", command: bin("knip"), tally: Tally.fromExitCode },
  {
    name: "unit",
    command: vitest("unit", ["unit", "scripts"]),
    changed: (files) => when(files.filter(isLinted), vitest("unit", ["unit", "scripts"], files.filter(isLinted))),
    tally: vitestTally("unit"),
    alone: true
  },
  {
    name: "integration",
    command: vitest("integration", ["integration"]),
    env: servers,
    tally: vitestTally("integration"),
    alone: true
  },
  { name: "examples", command: script("examples"), tally: Tally.fromSummary, alone: true },
  {
    name: "docs",
    command: script("doc-examples"),
    changed: (files) => when(files.filter(isDocumented), script("doc-examples", ...files.filter(isDocumented))),
    tally: Tally.fromSummary,
    alone: true
  },
  {
    name: "site",
    command: script("site"),
    tally: Tally.fromExitCode,
    alone: true,
    slow: "the documentation as a site, with its links,"
  },
  {
    name: "packages",
    command: script("packages"),
    tally: Tally.fromSummary,
    alone: true,
    slow: "the packages, installed into an empty project for three lines of Node,"
  },
  {
    name: "chaos",
    command: [...bare(), path.join(root, "packages/chaos/src/main.ts"), "--minutes", "2", "--seed", "1"],
    tally: Tally.fromExitCode,
    alone: true,
    slow: "two minutes of faults on servers of its own"
  }
]

const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`

const running = new Map()
const status = () => [...running].map(([name, since]) => `${name} ${seconds(since)}`).join(", ")
const isLive = process.stdout.isTTY === true
// Tools colour what they print in CI as well, where it is read as plain text.
const colours = isLive ? {} : { NO_COLOR: "1" }
const clearLine = () => isLive && process.stdout.write("\r\u001b[K")
const print = (text) => {
  clearLine()
  console.log(text)
}

const runStep = async ({ argv, env, left, name, tally }) => {
  if (left !== undefined) {
    print(`skipped ${name}: ${left} run in CI, and here with \`node scripts/run.mjs test ${name}\``)
    return { passed: 0, failed: 0, skipped: 1 }
  }
  const started = Date.now()
  running.set(name, started)
  const result = await run(argv, { env: { ...colours, ...(await env?.()) } })
  running.delete(name)
  const counted = tally(result)
  print(`${counted.failed > 0 ? "not ok" : "ok"} ${name} (${seconds(started)}): ${Tally.summary(counted)}`)
  if (counted.failed > 0) print(result.output.trimEnd().replace(/^/gm, "  | "))
  return counted
}

const changedFiles = () =>
  execFileSync("git", ["ls-files", "--modified", "--others", "--exclude-standard", "--deduplicate"], { cwd: root })
    .toString()
    .split("\n")
    .filter((file) => file !== "" && existsSync(path.join(root, file)))

const main = async (args) => {
  const names = steps.map(({ name }) => name)
  const chosen = selection(args, names, (file) => existsSync(path.join(root, file)))
  if (chosen.unknown.length > 0) {
    console.error(`${chosen.unknown.join(", ")} is neither a file nor a step. The steps are ${names.join(", ")}.`)
    return 1
  }
  const files = chosen.changed ? changedFiles() : chosen.files.map(relative)
  const partial = chosen.changed || files.length > 0
  const work = steps
    .filter(({ name }) => chosen.steps.includes(name))
    .map((step) => ({ ...step, argv: partial ? step.changed?.(files) : step.command }))
    .filter(({ argv }) => argv !== undefined)
    .map((step) => ({ ...step, left: isCi || args.includes(step.name) ? undefined : step.slow }))
  mkdirSync(path.join(root, ".cache"), { recursive: true })
  for (const name of ["unit", "integration"]) rmSync(vitestReport(name), { force: true })

  const started = Date.now()
  const ticker = setInterval(
    () => (isLive ? process.stdout.write(`\r\u001b[K… ${status()}`) : console.log(`… ${status()}`)),
    isLive ? 500 : heartbeatMillis
  )
  const together = await mapLimit(work.filter(({ alone }) => !alone), availableParallelism(), runStep)
  const inTurn = await mapLimit(work.filter(({ alone }) => alone), 1, runStep)
  clearInterval(ticker)
  const total = Tally.sum([...together, ...inTurn])
  print(`${work.length} steps in ${seconds(started)}`)
  console.log(Tally.summary(total))
  return total.failed > 0 ? 1 : 0
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))
process.exitCode = await main(process.argv.slice(2))
