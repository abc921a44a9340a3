// Other programs: what they print goes to a log, what they do and for how long to the person who waits.
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Where everything lives that these scripts download or write. */
export const cache = path.resolve(root, process.env.EFFECT_CQRS_CACHE || ".cache")

/** Progress and complaints go to standard error: standard output is for answers. */
export const say = (text) => void process.stderr.write(`${text}\n`)

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

export const tail = (file, lines = 12) =>
  fs.existsSync(file) ? fs.readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n") : ""

/** The first line a program prints, or undefined where it is missing, fails or is too slow. */
export const ask = (command, ...args) => {
  const { status, stderr, stdout } = spawnSync(command, args, { encoding: "utf8", timeout: 20_000 })
  return status === 0 ? `${stdout}${stderr}`.trim().split("\n")[0] : undefined
}

/**
 * Runs a program to its end; shows the end of the log and rejects with a sentence unless it exits with 0.
 *
 * @param {string} doing what a person reads while it runs
 * @param {ReadonlyArray<string>} line the command and its arguments
 * @param {{ cwd?: string, env?: Record<string, string>, log: string, progress?: () => string }} options
 * @returns {Promise<void>}
 */
export const run = (doing, [command, ...args], { cwd = root, env = {}, log, progress = () => "" }) =>
  new Promise((resolve, reject) => {
    say(`${doing} …`)
    fs.mkdirSync(path.dirname(log), { recursive: true })
    const out = fs.openSync(log, "w")
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", out, out] })
    const started = Date.now()
    const ticker = setInterval(
      () => say(`${doing} … ${Math.round((Date.now() - started) / 1000)} s${progress()}`),
      10_000
    )
    const finish = (how) => {
      clearInterval(ticker)
      fs.closeSync(out)
      if (how === 0) return resolve()
      say(tail(log))
      reject(new Error(`${doing} failed (${typeof how === "number" ? `exit ${how}` : how}): see ${log}`))
    }
    child.once("error", (error) => finish(error.message))
    child.once("exit", (code, signal) => finish(code ?? signal))
  })

/** Unprivileged, a package manager only asks for a password. */
export const isRoot = os.userInfo().uid === 0
