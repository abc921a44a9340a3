/**
 * `node scripts/packages.mjs`: builds and packs the public packages, has publint and are-the-types-wrong look at each,
 * installs the tarballs into an empty project, and runs the README's first program there on every supported line of
 * Node. Brings those lines, and what the project needs besides, from the package registry.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { markdownBlocks } from "./internal/doc-blocks.mjs"
import { mismatch } from "./internal/expected.mjs"
import { npm, pnpm } from "./internal/install.mjs"
import { bin, root, run } from "./internal/process.mjs"
import { summary } from "./internal/tally.mjs"
import { publicPackages } from "./internal/workspace.mjs"

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
const manifest = (folder) => JSON.parse(readFileSync(path.join(root, folder, "package.json"), "utf8"))

/** What a package lets others import. */
const modules = (folder) => {
  const { exports, name } = manifest(folder)
  return exports["./*"] === undefined ? [name] : readdirSync(path.join(root, folder, "src"))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => (file === "index.ts" ? name : `${name}/${file.slice(0, -3)}`))
}

const catalog = (name) =>
  new RegExp(`^  "?${name}"?: (\\S+)`, "m").exec(readFileSync(path.join(root, "pnpm-workspace.yaml"), "utf8"))[1]

const pack = async (folder, destination) => {
  const { name, version } = manifest(folder)
  const packed = await run(pnpm("pack", "--pack-destination", destination), { cwd: path.join(root, folder) })
  const tarball = path.join(destination, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`)
  return { name, tarball, problem: problemOf(packed) }
}

/** The project of somebody who has read the README: its program, and one that imports whatever can be imported. */
const writeProject = (project, packed, readme) => {
  const write = (file, text) => writeFileSync(path.join(project, file), text)
  mkdirSync(path.join(project, "src"), { recursive: true })
  write(
    "package.json",
    JSON.stringify({
      name: "first-program",
      private: true,
      type: "module",
      dependencies: {
        ...Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`])),
        "@effect/sql-sqlite-node": catalog("@effect/sql-sqlite-node")
      },
      devDependencies: { "@types/node": catalog("@types/node"), typescript: catalog("typescript") },
      // As in the workspace: binaries that come as packages, and no compiler.
      overrides: { "better-sqlite3": /better-sqlite3: (\S+)/.exec(read("pnpm-workspace.yaml"))[1] }
    })
  )
  write(
    "tsconfig.json",
    JSON.stringify({
      include: ["src"],
      compilerOptions: {
        target: "es2022",
        module: "nodenext",
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: true,
        outDir: "dist"
      }
    })
  )
  write("src/main.ts", readme.code)
  write("src/imports.ts", `${publicPackages().flatMap(modules).map((name) => `import "${name}"`).join("\n")}\n`)
}

const read = (file) => readFileSync(path.join(root, file), "utf8")

const readme = () => {
  const blocks = markdownBlocks(read("README.md"))
  const at = blocks.findIndex(({ include }) => include?.file.includes("first-program"))
  return { code: blocks[at].code, prints: blocks[at + 1].code }
}

const checkProject = async (project, packed) => {
  const { code, prints } = readme()
  writeProject(project, packed, { code })
  const inProject = (argv) => run(argv, { cwd: project, env: quiet, timeoutMillis: 300_000 })
  if (!count("installs into an empty project", problemOf(await inProject(npm("install"))))) return
  if (
    !count(
      "the README's program compiles there",
      problemOf(await inProject([process.execPath, "node_modules/typescript/bin/tsc"]))
    )
  ) return
  for (const line of nodeLines) {
    const node = (file) => inProject(npm("exec", "--yes", `--package=node@${line}`, "--", "node", file))
    const { stdout: version } = await node("--version")
    const imports = await node("dist/imports.js")
    count(`every module can be imported on Node ${version.trim()}`, problemOf(imports))
    const program = await node("dist/main.js")
    count(
      `the README's program prints there what the README says`,
      problemOf(program) ?? mismatch(prints, program.stdout, "README.md")
    )
  }
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
  await checkProject(path.join(folder, "project"), packed)
}

const folder = mkdtempSync(path.join(tmpdir(), "effect-cqrs-packages-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
await main(folder)
console.log(summary(tally))
process.exitCode = tally.failed > 0 ? 1 : 0
