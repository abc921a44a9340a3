/**
 * `node scripts/packages.mjs`: builds and packs the public packages, has publint and are-the-types-wrong look at each,
 * follows the guide for a first project word for word with the tarballs, and runs its program on every supported line
 * of Node. Brings those lines, and what the project needs besides, from the package registry.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { markdownBlocks } from "./internal/doc-blocks.mjs"
import { mismatch } from "./internal/expected.mjs"
import { npm, pnpm } from "./internal/install.mjs"
import { bin, root, run } from "./internal/process.mjs"
import { summary } from "./internal/tally.mjs"
import { manifest, publicModules, publicPackages } from "./internal/workspace.mjs"

const nodeLines = ["20", "22", "24"]
const quiet = {
  npm_config_update_notifier: "false",
  npm_config_fund: "false",
  npm_config_audit: "false",
  NO_COLOR: "1"
}
const tally = { passed: 0, failed: 0, skipped: 0 }

/** Counts a check; `problem` is what is wrong, or nothing. */
const count = (name, problem) => {
  if (problem === undefined) tally.passed++
  else tally.failed++
  console.log(problem === undefined ? `ok ${name}` : `not ok ${name}\n${problem.trimEnd().replace(/^/gm, "  | ")}`)
  return problem === undefined
}

const problemOf = ({ code, output }) => (code === 0 ? undefined : output)
/** What a package lets others import. */
const modules = (folder) => {
  const { exports, name } = manifest(folder)
  return exports["."] === undefined
    ? []
    : [name, ...publicModules(folder).map((file) => `${name}/${file.slice(0, -".ts".length)}`)]
}

const pack = async (folder, destination) => {
  const { name, version } = manifest(folder)
  const packed = await run(pnpm("pack", "--pack-destination", destination), { cwd: path.join(root, folder) })
  const tarball = path.join(destination, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`)
  return { name, tarball, problem: problemOf(packed) }
}

const guide = "docs/guides/getting-started.md"

/** What the guide says to do: the lines to type, the files to write, and what is printed in the end. */
const steps = () => {
  const blocks = markdownBlocks(readFileSync(path.join(root, guide), "utf8"))
  return {
    commands: blocks.filter(({ language }) => language === "sh").flatMap(({ code }) => code.trim().split("\n")),
    files: blocks.filter(({ flags: [file] }) => /\.(json|ts)$/.test(file ?? "")),
    prints: blocks.find(({ flags }) => flags.includes("prints")).code
  }
}

/** In an empty folder, all that the guide says, with the tarballs in place of what is not published yet. */
const followGuide = async (project, packed) => {
  const { commands, files, prints } = steps()
  const inProject = (argv) => run(argv, { cwd: project, env: quiet, timeoutMillis: 300_000 })
  const write = (file, text) => {
    mkdirSync(path.dirname(path.join(project, file)), { recursive: true })
    writeFileSync(path.join(project, file), text)
  }
  for (const { code, flags: [file] } of files) write(file, code)
  const [program, ...others] = commands.splice(commands.findIndex((line) => line.startsWith("node ")))
  if (program === undefined || others.length > 0) return count(`${guide} ends with a program`, String(program))
  for (const line of commands) {
    // The program and a file that imports whatever can be imported are compiled together.
    if (line === "npx tsc") {
      const every = await inProject(npm("install", ...packed.map(({ tarball }) => tarball), ...optionalPeers()))
      if (!count("all packages install beside it", problemOf(every))) return
      write("src/imports.ts", `${publicPackages().flatMap(modules).map((name) => `import "${name}"`).join("\n")}\n`)
    }
    const [command, ...args] = packed.reduce(
      (text, { name, tarball }) => text.replace(new RegExp(`${name}(?= |$)`), tarball),
      line
    ).split(" ")
    const argv = command === "npm" ? npm(...args) : npm("exec", "--", ...args)
    if (!count(`\`${line}\` in an empty folder`, problemOf(await inProject(argv)))) return
  }
  const [, file] = program.split(" ")
  for (const line of nodeLines) {
    const node = (...args) => inProject(npm("exec", "--yes", `--package=node@${line}`, "--", "node", ...args))
    const { stdout: version } = await node("--version")
    count(`every module can be imported on Node ${version.trim()}`, problemOf(await node("dist/imports.js")))
    for (const { bin = {}, name } of publicPackages().map(manifest)) {
      for (const [command, script] of Object.entries(bin)) {
        const help = await node(path.join("node_modules", name, script), "--help")
        count(`\`${command} --help\` runs there`, problemOf(help))
      }
    }
    const result = await node(file)
    count(
      `\`${program}\` prints there what the guide says`,
      problemOf(result) ?? mismatch(prints, result.stdout, guide)
    )
  }
}

/** What a module of a package may ask for beside its dependencies, in the versions of the workspace. */
const optionalPeers = () => {
  const catalog = readFileSync(path.join(root, "pnpm-workspace.yaml"), "utf8")
  const peers = publicPackages().flatMap((folder) => Object.keys(manifest(folder).peerDependencies ?? {}))
  return [...new Set(peers)].flatMap((name) => {
    const version = new RegExp(`^  "?${name}"?: (\\S+)`, "m").exec(catalog)?.[1]
    return version === undefined ? [] : [`${name}@${version}`]
  })
}

/** The command asks for a changeset of whatever is not committed yet, so it is left out there. */
const checkChangesets = async () => {
  const { stdout } = await run(["git", "status", "--porcelain"])
  if (stdout !== "") {
    tally.skipped++
    return console.log("skipped the changesets: there are uncommitted changes")
  }
  const status = await run([...bin("@changesets/cli", "changeset"), "status", "--since", "HEAD"])
  count("the changesets can be read", problemOf(status))
}

const main = async (folder) => {
  await checkChangesets()
  if (!count("builds", problemOf(await run([process.execPath, path.join(root, "scripts/build.mjs")])))) return
  const packed = []
  for (const source of publicPackages()) {
    const { name, problem, tarball } = await pack(source, folder)
    if (!count(`${name} is packed`, problem)) return
    packed.push({ name, tarball })
    count(`${name} passes publint`, problemOf(await run([...bin("publint"), "run", tarball, "--strict"])))
    const types = await run([...bin("@arethetypeswrong/cli", "attw"), tarball, "--profile", "esm-only"])
    count(`${name} passes are-the-types-wrong`, problemOf(types))
  }
  const project = path.join(folder, "project")
  mkdirSync(project)
  await followGuide(project, packed)
}

const folder = mkdtempSync(path.join(tmpdir(), "effect-cqrs-packages-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
await main(folder)
console.log(summary(tally))
process.exitCode = tally.failed > 0 ? 1 : 0
