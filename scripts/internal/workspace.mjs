import { existsSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { root } from "./process.mjs"

/** The folders of the packages, private ones included, as paths of the repository. */
export const packages = () =>
  readdirSync(path.join(root, "packages"))
    .sort()
    .map((name) => `packages/${name}`)
    .filter((folder) => existsSync(path.join(root, folder, "package.json")))

/** The folders of the packages that are published. */
export const publicPackages = () => packages().filter((folder) => manifest(folder).private !== true)

/** A package's package.json. */
export const manifest = (folder) => JSON.parse(readFileSync(path.join(root, folder, "package.json"), "utf8"))

/** The source files of a package that others can import, without its barrel. */
export const publicModules = (folder) =>
  manifest(folder).exports["./*"] === undefined ? [] : readdirSync(path.join(root, folder, "src"))
    .filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .sort()
