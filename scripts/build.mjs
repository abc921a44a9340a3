/**
 * `node scripts/build.mjs`: compiles the public packages into their dist folders, as they are published.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { bin, root, run } from "./internal/process.mjs"
import { publicPackages } from "./internal/workspace.mjs"

// What a module that is gone has left behind would be published.
for (const folder of publicPackages()) {
  rmSync(path.join(root, folder, "dist"), { recursive: true, force: true })
  rmSync(path.join(root, ".cache", `${path.basename(folder)}.tsbuildinfo`), { force: true })
}

const projects = publicPackages().map((folder) => `${folder}/tsconfig.build.json`)
const { code, output } = await run([...bin("typescript", "tsc"), "--build", ...projects])
process.stdout.write(output)

// The compiler rewrites `./X.ts` to `./X.js` in the JavaScript, and leaves the declarations as they are.
for (const folder of publicPackages()) {
  const dist = path.join(root, folder, "dist")
  for (const file of readdirSync(dist, { recursive: true })) {
    if (!file.endsWith(".d.ts")) continue
    const text = readFileSync(path.join(dist, file), "utf8")
    const rewritten = text.replace(/((?:from|import\() ?")(\.{1,2}\/[^"]*)\.ts"/g, "$1$2.js\"")
    if (rewritten !== text) writeFileSync(path.join(dist, file), rewritten)
  }
}

process.exitCode = code
