/**
 * `node scripts/barrels.mjs [--check]`: writes each public package's src/index.ts from its modules, one namespace per
 * PascalCase file with the file's own header; with `--check` it only says which of them are out of date.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { barrel } from "./internal/barrel.mjs"
import { root } from "./internal/process.mjs"
import { summary } from "./internal/tally.mjs"
import { publicPackages } from "./internal/workspace.mjs"

const check = process.argv.includes("--check")
const tally = { passed: 0, failed: 0, skipped: 0 }

for (const folder of publicPackages()) {
  const src = path.join(root, folder, "src")
  if (!existsSync(src)) continue
  const { missing, text } = barrel(
    readdirSync(src)
      .filter((file) => /^[A-Z]\w*\.ts$/.test(file))
      .map((file) => [file, readFileSync(path.join(src, file), "utf8")])
  )
  const index = path.join(src, "index.ts")
  const current = existsSync(index) ? readFileSync(index, "utf8") : ""
  for (const file of missing) {
    console.log(`${folder}/src/${file} has no header: begin it with /** One sentence. @since 0.1.0 */`)
  }
  if (current !== text) {
    if (check) console.log(`${folder}/src/index.ts is out of date: run \`npm run barrels\` and commit it`)
    else writeFileSync(index, text)
  }
  if (missing.length > 0 || (check && current !== text)) tally.failed++
  else tally.passed++
}

console.log(summary(tally))
process.exitCode = tally.failed > 0 ? 1 : 0
