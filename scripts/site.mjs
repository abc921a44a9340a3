/**
 * `node scripts/run.mjs site [--serve]`: builds the documentation as a static site into .cache/site: the guides, and a
 * reference made of the doc comments. A link that leads nowhere, or a doc comment that names what is not there, fails
 * it. `--serve` shows the site on a local port.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { bin, root, run } from "./internal/process.mjs"
import { publicModules, publicPackages } from "./internal/workspace.mjs"

const reference = path.join(root, "docs/reference")
const vitepress = bin("vitepress")

/** A page for each module of each package. */
const makeReference = async () => {
  rmSync(reference, { recursive: true, force: true })
  mkdirSync(reference, { recursive: true })
  const documented = publicPackages().filter((folder) => publicModules(folder).length > 0)
  for (const folder of documented) {
    const name = path.basename(folder)
    const options = path.join(root, ".cache", `typedoc-${name}.json`)
    mkdirSync(path.dirname(options), { recursive: true })
    writeFileSync(
      options,
      JSON.stringify({
        name: `@effect-cqrs/${name}`,
        entryPoints: publicModules(folder).map((file) => path.join(root, folder, "src", file)),
        tsconfig: path.join(root, folder, "tsconfig.json"),
        plugin: [path.join(root, "node_modules/typedoc-plugin-markdown/dist/index.js")],
        out: path.join(reference, name),
        router: "module",
        readme: "none",
        entryFileName: "README",
        hidePageHeader: true,
        hideBreadcrumbs: true,
        excludeInternal: true,
        excludeExternals: true,
        // what an interface has from another package is said there
        externalSymbolLinkMappings: { "@effect-cqrs/core": { "*": "#" } },
        excludePrivate: true,
        disableSources: true,
        skipErrorChecking: true,
        categorizeByGroup: false,
        treatWarningsAsErrors: true,
        validation: { notExported: false, invalidLink: true, notDocumented: false },
        blockTags: ["@since", "@category", "@example"],
        parametersFormat: "table",
        useCodeBlocks: true
      })
    )
    const { code, output } = await run([...bin("typedoc"), "--options", options])
    if (code !== 0) {
      console.error(output)
      return false
    }
    console.log(`${name}: ${publicModules(folder).length} modules`)
  }
  const list = documented.map((folder) => path.basename(folder)).map((name) =>
    `* [@effect-cqrs/${name}](${name}/README.md)`
  )
  writeFileSync(
    path.join(reference, "README.md"),
    `# Reference\n\nWhat the doc comments say, package by package.\n\n${list.join("\n")}\n`
  )
  return true
}

const build = async () => {
  if (!(await makeReference())) return 1
  const { code, output } = await run([...vitepress, "build", "docs"], { env: { NO_COLOR: "1" } })
  console.log(output.trimEnd())
  return code
}

const code = await build()
if (code === 0 && process.argv.includes("--serve")) {
  await run([...vitepress, "preview", "docs"], { onOutput: (chunk) => process.stdout.write(chunk) })
}
process.exitCode = code
