/** A broker of a test's own, which it may restart. */
import { Effect, type Scope } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../../..", import.meta.url))

const services = (cache: string, port: number, controller: number, ...args: ReadonlyArray<string>) =>
  Effect.async<string, string>((resume) => {
    const child = execFile(
      process.execPath,
      [path.join(root, "scripts/services.mjs"), ...args],
      {
        env: {
          ...process.env,
          EFFECT_CQRS_KAFKA_BROKERS: "",
          EFFECT_CQRS_CACHE: cache,
          EFFECT_CQRS_KAFKA_PORT: `${port}`,
          EFFECT_CQRS_KAFKA_CONTROLLER_PORT: `${controller}`
        },
        timeout: 120_000
      },
      (error, stdout, stderr) =>
        resume(error === null ? Effect.succeed(stdout) : Effect.fail(`${error.message}\n${stderr}`))
    )
    return Effect.sync(() => child.kill())
  })

/** Its jars are those of the project's cache, if they are there: a folder of its own has the rest. */
const cacheFolder = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "effect-cqrs-kafka-"))
    const shared = path.resolve(root, process.env.EFFECT_CQRS_CACHE || ".cache", "kafka")
    for (const version of fs.existsSync(shared) ? fs.readdirSync(shared) : []) {
      const jars = path.join(shared, version, "jars")
      if (!fs.existsSync(jars)) continue
      fs.mkdirSync(path.join(folder, "kafka", version), { recursive: true })
      fs.symlinkSync(jars, path.join(folder, "kafka", version, "jars"))
    }
    return folder
  }),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** A port that nobody listens on: other runs of the tests have servers of their own. */
const freePort = Effect.async<number>((resume) => {
  const server = net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Started, and stopped with the scope. It is slow to start: let several cases have it one after the other. */
export const ownServer: Effect.Effect<
  { readonly brokers: string; readonly restart: Effect.Effect<unknown, unknown> },
  unknown,
  Scope.Scope
> = Effect.gen(function*() {
  const folder = yield* cacheFolder
  const port = yield* freePort
  const controller = yield* freePort
  const up = services(folder, port, controller, "up", "kafka", "--json")
  const down = services(folder, port, controller, "down", "kafka")
  yield* Effect.acquireRelease(up, () => Effect.orDie(down))
  return { brokers: `127.0.0.1:${port}`, restart: Effect.zipRight(down, up) }
})
