/**
 * `node scripts/run.mjs <task> [arguments]`: brings the pinned pnpm, installs what the lockfile says where that is not
 * there yet, and runs the task. Needs nothing but Node and npm, and writes its own messages to stderr.
 */
import { spawn } from "node:child_process"
import path from "node:path"
import { install, isNodeSupported, nodeTooOld, say, SetupError } from "./internal/install.mjs"
import { bare, root, tsx } from "./internal/process.mjs"

const tasks = {
  bench: () => [...bare(), path.join(root, "packages/benchmarks/src/main.ts")],
  chaos: () => [...bare(), path.join(root, "packages/chaos/src/main.ts")],
  demo: () => [...tsx(), path.join(root, "packages/examples/src/meeting-rooms/main.ts")],
  site: () => [process.execPath, path.join(root, "scripts/site.mjs")],
  test: () => [process.execPath, path.join(root, "scripts/check.mjs")]
}

/** Runs a program in our place: its streams, its exit code, and the signals that reach us. */
const become = ([command, ...args]) =>
  new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit" })
    const forward = (signal) => child.kill(signal)
    // A terminal sends its interrupt to the child as well: only one that came to us alone is passed on.
    const interrupt = () => process.stdin.isTTY || forward("SIGINT")
    process.on("SIGINT", interrupt)
    process.on("SIGTERM", forward)
    process.on("SIGHUP", forward)
    child.once("error", (error) => {
      say(error.message)
      resolve(1)
    })
    child.once("exit", (code, signal) => {
      if (signal === null) return resolve(code)
      process.off("SIGINT", interrupt)
      process.off("SIGTERM", forward)
      process.off("SIGHUP", forward)
      process.kill(process.pid, signal)
    })
  })

const main = async ([name, ...args]) => {
  if (!isNodeSupported(process.versions.node)) throw new SetupError(nodeTooOld(process.versions.node))
  const task = tasks[name]
  if (task === undefined) {
    throw new SetupError(`Say what to run: node scripts/run.mjs ${Object.keys(tasks).join("|")} [arguments].`)
  }
  await install()
  return become([...task(), ...args])
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    say(error instanceof SetupError ? error.message : error.stack)
    process.exitCode = 1
  }
)
