import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { root, run } from "./process.mjs"
import { packages } from "./workspace.mjs"

const minimumNode = [20, 19]
const stampFile = path.join(root, "node_modules", ".install-stamp")
const heartbeatMillis = 5_000

/** A message to the person at the terminal. Always on stderr: stdout belongs to the program that runs. */
export const say = (message) => {
  process.stderr.write(`${message}\n`)
}

/** A condition that the person has to change; its message says how. */
export class SetupError extends Error {}

/** Whether this version of Node can run the project. */
export const isNodeSupported = (version) => {
  const [major, minor] = version.split(".").map(Number)
  return major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1])
}

/** The sentence for a version of Node that is too old. */
export const nodeTooOld = (version) =>
  `Node ${minimumNode.join(".")} or newer is needed and this is ${version}. Install a current version of Node from ` +
  "nodejs.org (or with your version manager: `nvm install 22`), then run the same command again."

/** The version in a "packageManager" field, whose hash npm's own integrity check makes superfluous here. */
export const pnpmVersion = (packageManager) => {
  const match = /^pnpm@(\d+\.\d+\.\d+)(\+|$)/.exec(packageManager ?? "")
  if (match === null) {
    throw new SetupError(`"packageManager" in package.json must read pnpm@<version>, and reads ${packageManager}.`)
  }
  return match[1]
}

/** What decides whether the installed packages are the right ones. */
export const stampOf = (files, nodeVersion, platform) => {
  const hash = createHash("sha256")
  for (const [name, content] of files) hash.update(`${name}\0${content}\0`)
  return hash.update(`${nodeVersion.split(".")[0]} ${platform}`).digest("hex")
}

const installInputs = () =>
  [
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "package.json",
    ...[...packages(), "scratchpad"].map((folder) => `${folder}/package.json`)
  ]
    .filter((file) => existsSync(path.join(root, file)))
    .map((file) => [file, readFileSync(path.join(root, file), "utf8")])

const causes = [
  [
    /ERR_PNPM_OUTDATED_LOCKFILE|ERR_PNPM_LOCKFILE_CONFIG_MISMATCH|ERR_PNPM_LOCKFILE_MISSING|ERR_PNPM_NO_LOCKFILE/,
    (pnpm) =>
      "pnpm-lock.yaml does not match the package.json files. If you changed one of them, run " +
      `\`npm exec --yes --package=${pnpm} -- pnpm install\` and commit the lockfile; otherwise restore both from git.`
  ],
  [
    /ENOSPC/,
    () => "The disk is full. Free some space (about 1 GB is enough), then run the same command again."
  ],
  [
    /EACCES|EPERM|EROFS/,
    () =>
      `A file could not be written. Make sure that you own ${root} and npm's cache (\`npm config get cache\`), ` +
      "then run the same command again."
  ],
  [
    /E401|E403|ERR_PNPM_FETCH_40[13]/,
    () =>
      "The package registry refused the request. Check the registry and the credentials in `npm config list`, " +
      "then run the same command again."
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|network/i,
    () =>
      "The package registry could not be reached. Check the network and, behind a proxy, `npm config get proxy` and " +
      "`npm config get registry`, then run the same command again."
  ],
  [
    /ERR_PNPM_TARBALL_INTEGRITY|EINTEGRITY/,
    () =>
      "A downloaded package is not the one the lockfile names. Empty the cache with `npm cache clean --force`, then " +
      "run the same command again."
  ]
]

/** The sentence that says what to do about a failed installation, from what it printed. */
export const explainFailure = (output, pnpm) =>
  causes.find(([pattern]) => pattern.test(output))?.[1](pnpm) ??
    "The dependencies could not be installed; the reason stands above. Once it is mended, run the same command again."

/** The argv that starts npm: the one that runs us, the one beside this Node, or the one on the PATH. */
export const npmCommand = (env, execPath, exists = existsSync) => {
  const beside = path.dirname(execPath)
  const found = [
    ...(/npm-cli\.[cm]?js$/.test(env.npm_execpath ?? "") ? [env.npm_execpath] : []),
    path.join(beside, "..", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
    path.join(beside, "node_modules", "npm", "bin", "npm-cli.js")
  ].find((file) => exists(file))
  return found === undefined ? ["npm"] : [execPath, found]
}

/** The argv of npm, and of the pnpm that package.json names. */
export const npm = (...args) => [...npmCommand(process.env, process.execPath), ...args]
export const pnpm = (...args) => npm("exec", "--yes", `--package=${pinnedPnpm()}`, "--", "pnpm", ...args)

const pinnedPnpm = () =>
  `pnpm@${pnpmVersion(JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")).packageManager)}`

// `npm run --silent` and the like reach us as npm_config_*, and would silence the installation's own errors.
const withoutNpmFlags = (env) =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^npm_config_(loglevel|silent|json|dry_run|global)$/i.test(name))
  )

/** Writes what a child prints to stderr, and a sign of life when it prints nothing for a while. */
const withHeartbeat = async (effect) => {
  const started = Date.now()
  let last = started
  const timer = setInterval(() => {
    if (Date.now() - last >= heartbeatMillis) {
      say(`  … ${Math.round((Date.now() - started) / 1000)} s`)
      last = Date.now()
    }
  }, 1_000)
  try {
    return await effect((chunk) => {
      last = Date.now()
      process.stderr.write(chunk)
    })
  } finally {
    clearInterval(timer)
  }
}

/**
 * Installs what the lockfile says with the pinned pnpm, when the installed packages are not those already.
 */
export const install = async () => {
  const stamp = stampOf(installInputs(), process.versions.node, `${process.platform} ${process.arch}`)
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return
  const pinned = pinnedPnpm()
  try {
    mkdirSync(path.dirname(stampFile), { recursive: true })
    writeFileSync(stampFile, "")
  } catch (error) {
    throw new SetupError(
      `${root} cannot be written to (${error.code}). Clone the repository into a folder of your own and run the ` +
        "same command there."
    )
  }
  say(`Installing the dependencies with ${pinned}; the first time this takes about a minute …`)
  const argv = pnpm("install", "--frozen-lockfile", "--prod=false")
  const started = Date.now()
  const result = await withHeartbeat((onOutput) =>
    run(argv, {
      baseEnv: withoutNpmFlags(process.env),
      onOutput,
      shell: argv[0] === "npm" && process.platform === "win32"
    })
  )
  if (/ENOENT/.test(result.stderr) && result.stdout === "" && argv[0] === "npm") {
    throw new SetupError("npm was not found. It comes with Node: install Node from nodejs.org, then run this again.")
  }
  if (result.code !== 0) throw new SetupError(explainFailure(result.output, pinned))
  writeFileSync(stampFile, stamp)
  say(`Installed in ${Math.round((Date.now() - started) / 1000)} s.`)
}
