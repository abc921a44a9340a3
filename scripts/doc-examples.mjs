/**
 * `node scripts/doc-examples.mjs [--write] [file…]`: type-checks and runs the code that the documentation shows: the
 * `@example` blocks of the packages' doc comments and the ```ts blocks of the Markdown. A block under
 * `<!-- include path#region -->` must read as that file does, which is checked where it lives (`--write` copies it
 * over). A ```ts block flagged `no-run` is type-checked alone.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import path from "node:path"
import { docCommentBlocks, markdownBlocks, regionOf, withIncludes } from "./internal/doc-blocks.mjs"
import { bin, mapLimit, relative, root, run, tsx } from "./internal/process.mjs"
import { summary } from "./internal/tally.mjs"
import { packages } from "./internal/workspace.mjs"

const workFolder = path.join(root, ".cache/doc-examples")
const timeoutSeconds = 30

const args = process.argv.slice(2)
const write = args.includes("--write")
const only = args.filter((arg) => !arg.startsWith("--")).map(relative)
const tally = { passed: 0, failed: 0, skipped: 0 }

const read = (file) => readFileSync(path.join(root, file), "utf8")
const filesIn = (folder, extension, recursive) =>
  existsSync(path.join(root, folder))
    ? readdirSync(path.join(root, folder), { recursive })
      .map((file) => relative(path.join(folder, file)))
      .filter((file) => file.endsWith(extension))
      .sort()
    : []
const chosen = (files) => files.filter((file) => only.length === 0 || only.includes(file))
const sources = chosen(packages().flatMap((folder) => filesIn(`${folder}/src`, ".ts", true)))
const documents = chosen([
  ...filesIn(".", ".md", false),
  ...packages().flatMap((folder) => filesIn(folder, ".md", false)),
  ...filesIn("docs", ".md", true)
])

const fail = (message) => {
  tally.failed++
  console.log(`not ok ${message}`)
}

const included = ({ file, region }) => existsSync(path.join(root, file)) ? regionOf(read(file), region) : undefined

const checkIncludes = (document) => {
  if (write) writeFileSync(path.join(root, document), withIncludes(read(document), included))
  for (const { code, include, line } of markdownBlocks(read(document))) {
    if (include === undefined) continue
    const want = included(include)
    const source = include.region === undefined ? include.file : `${include.file}#${include.region}`
    if (want === undefined) fail(`${document}:${line} includes ${source}, which does not exist`)
    else if (want !== code) fail(`${document}:${line} departs from ${source}: run \`npm run docs:write\``)
    else tally.passed++
  }
}

/** Writes a block to a file of its own, on the lines where it stands, so that what fails can be found. */
const place = (source) => (block) => {
  const name = `${source.replace(/[^\w.-]/g, "_")}_${block.line}.ts`
  writeFileSync(path.join(workFolder, name), "\n".repeat(block.line) + block.code)
  return { name, source, line: block.line, runs: !block.flags.includes("no-run") }
}

const typeErrors = async () => {
  const { stdout } = await run([...bin("typescript", "tsc"), "-p", workFolder, "--pretty", "false"])
  return stdout.split("\n").filter((line) => line.trim() !== "")
}

documents.forEach(checkIncludes)

rmSync(workFolder, { recursive: true, force: true })
mkdirSync(workFolder, { recursive: true })
symlinkSync(path.join(root, "packages/examples/node_modules"), path.join(workFolder, "node_modules"), "junction")
writeFileSync(
  path.join(workFolder, "tsconfig.json"),
  JSON.stringify({
    extends: "../../tsconfig.base.json",
    include: ["*.ts"],
    compilerOptions: { noEmit: true, noUnusedLocals: false, declaration: false, declarationMap: false }
  })
)
const blocks = [
  ...sources.flatMap((file) => docCommentBlocks(read(file)).map(place(file))),
  ...documents.flatMap((file) =>
    markdownBlocks(read(file)).filter(({ include, language }) => include === undefined && language === "ts")
      .map(place(file))
  )
]

/**
 * Whether all run to their end in one process, which loads the packages once; where one of them does not, each is run
 * by itself to find it.
 */
const allRun = async (names) => {
  const entry = path.join(workFolder, "all.mjs")
  writeFileSync(
    entry,
    `const names = ${JSON.stringify(names)}
let ended = 0
process.on("exit", () => {
  if (ended < names.length) process.exitCode = 1
})
for (const name of names) {
  await import("./" + name)
  ended++
}
`
  )
  const { code } = await run([...tsx(), entry], { timeoutMillis: timeoutSeconds * 1000 })
  return code === 0
}

const checkBlock = (errors, allPass) => async ({ line, name, runs, source }) => {
  const wrong = errors.filter((error) => error.includes(`${name}(`))
  if (wrong.length > 0) {
    const places = wrong.map((error) => error.replace(/^.*?\((\d+),(\d+)\)/, `  ${source}:$1`))
    return fail(`${source}:${line} does not compile\n${places.join("\n")}`)
  }
  if (runs && !allPass) {
    const result = await run([...tsx(), path.join(workFolder, name)], { timeoutMillis: timeoutSeconds * 1000 })
    if (result.timedOut) return fail(`${source}:${line} did not end within ${timeoutSeconds} s`)
    if (result.code !== 0) return fail(`${source}:${line} fails\n${result.output}`)
  }
  tally.passed++
}

if (blocks.length > 0) {
  const [errors, allPass] = await Promise.all([
    typeErrors(),
    allRun(blocks.filter(({ runs }) => runs).map(({ name }) => name))
  ])
  // Errors in the packages' own sources are for the check of types to tell.
  errors.filter((error) => error.startsWith("error ")).forEach(fail)
  await mapLimit(blocks, availableParallelism(), checkBlock(errors, allPass))
}

console.log(summary(tally))
process.exitCode = tally.failed > 0 ? 1 : 0
