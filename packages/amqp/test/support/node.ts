/** A RabbitMQ of a test's own, which it may stop. */
import { Suite } from "@effect-cqrs/testing"
import { connect } from "amqplib"
import { Effect, Redacted, Schedule, type Scope } from "effect"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"

const program = "/usr/lib/rabbitmq/bin/rabbitmq-server"

/** Where Debian's package is. */
export const available = <A>(feature: A): A | Suite.Unsupported =>
  fs.existsSync(program) ? feature : Suite.unsupported("RabbitMQ is not installed here")

export const isHere = <A extends object>(feature: A | Suite.Unsupported): feature is A =>
  !("_tag" in feature && feature._tag === "Unsupported")

/** A port that nobody listens on: other runs of the tests have nodes of their own. */
export const freePort = Effect.async<number>((resume) => {
  const server = net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

export interface Node {
  readonly url: Redacted.Redacted
  /**
   * Stops it as an operator does, and starts it again. Killed, this version may not find a quorum queue again that was
   * declared within the last seconds.
   */
  readonly restart: Effect.Effect<void, unknown>
  /** Asks it something as an operator. */
  readonly control: (...words: ReadonlyArray<string>) => Effect.Effect<string, unknown>
}

export const own: Effect.Effect<Node, unknown, Scope.Scope> = Effect.suspend(() => ownWith(""))

/** With more lines of configuration. */
export const ownWith = Effect.fnUntraced(function*(configuration: string) {
  const port = yield* freePort
  const distribution = yield* freePort
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-cqrs-rabbitmq-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  )
  const at = (name: string) => path.join(folder, name)
  fs.writeFileSync(at("plugins"), "[].")
  fs.writeFileSync(at("env.conf"), "")
  fs.writeFileSync(at("rabbitmq.conf"), `listeners.tcp.1 = 127.0.0.1:${port}\n${configuration}`)
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    RABBITMQ_NODENAME: `effect-cqrs-${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: at("data"),
    RABBITMQ_LOG_BASE: at("log"),
    RABBITMQ_LOGS: at("log/rabbitmq.log"),
    RABBITMQ_ENABLED_PLUGINS_FILE: at("plugins"),
    RABBITMQ_CONFIG_FILE: at("rabbitmq"),
    RABBITMQ_CONF_ENV_FILE: at("env.conf")
  }
  const url = `amqp://guest:guest@127.0.0.1:${port}`
  let child: ChildProcess | undefined
  const start = Effect.sync(() => {
    child = spawn(program, { env, stdio: "ignore", detached: true })
  })
  const stop = Effect.async<void>((resume) => {
    const group = child?.pid
    if (child === undefined || group === undefined || child.exitCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    process.kill(-group, "SIGTERM")
    const timer = setTimeout(() => process.kill(-group, "SIGKILL"), 20_000)
    child.once("exit", () => clearTimeout(timer))
  })
  const ready = Effect.tryPromise(async () => {
    const connection = await connect(url)
    const channel = await connection.createChannel()
    await channel.assertQueue("ready", { durable: true, arguments: { "x-queue-type": "quorum" } })
    await connection.close()
  }).pipe(Effect.retry(Schedule.intersect(Schedule.spaced("200 millis"), Schedule.recurs(200))))
  yield* Effect.acquireRelease(start, () => stop)
  yield* ready
  const control = (...words: ReadonlyArray<string>) =>
    Effect.tryPromise(() =>
      promisify(execFile)(path.join(path.dirname(program), "rabbitmqctl"), ["-n", env.RABBITMQ_NODENAME, ...words], {
        env
      })
    ).pipe(Effect.map(({ stdout }) => stdout))
  return {
    url: Redacted.make(url),
    restart: stop.pipe(Effect.zipRight(start), Effect.zipRight(ready)),
    control
  } satisfies Node as Node
})
