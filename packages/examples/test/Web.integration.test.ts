/** The meeting rooms over HTTP on real servers: while processes end and die, and while the network fails. */
import type { Health } from "@effect-cqrs/core"
import { Endpoint, Proxy } from "@effect-cqrs/testing"
import { HttpServer } from "@effect/platform"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Logger, Redacted, Schedule } from "effect"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { Server } from "../src/meeting-rooms-web/Server.ts"
import { tidied } from "../src/meeting-rooms/Brokers.ts"
import { Ledger, LedgerLayer } from "../src/meeting-rooms/Ledger.ts"
import { Database, prepared, type Setting } from "../src/meeting-rooms/Setting.ts"
import { ask, create, join, patiently } from "./web.ts"

const hint = "`npm run services -- up` finds or starts one."
const main = fileURLToPath(new URL("../src/meeting-rooms-web/main.ts", import.meta.url))

const newSetting = (): Setting => ({
  run: `web_${randomBytes(4).toString("hex")}`,
  database: "postgres",
  broker: "rabbitmq",
  file: ""
})

interface Started {
  readonly url: string
  /** Sends a signal, and waits for the end: its code, or `null` if it was killed. */
  readonly end: (signal: "SIGTERM" | "SIGKILL") => Effect.Effect<number | null>
}

/** A server as a process of its own. */
const start = ({ broker, database, run }: Setting) =>
  Effect.acquireRelease(
    Effect.async<Started, string>((resume) => {
      const child = spawn(process.execPath, ["--import", "tsx", main], {
        env: { ...process.env, PORT: "0", SHUTDOWN_DELAY: "500 millis", DATABASE: database, BROKER: broker, RUN: run },
        stdio: ["ignore", "pipe", "pipe"]
      })
      let said = ""
      child.stderr.on("data", (bytes) => said += String(bytes))
      child.stdout.on("data", (bytes) => {
        const port = /:(\d+)/.exec(String(bytes))?.[1]
        resume(Effect.succeed({
          url: `http://127.0.0.1:${port}`,
          end: (signal) =>
            Effect.async<number | null>((resume) => {
              if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.succeed(child.exitCode))
              child.on("exit", (code) => resume(Effect.succeed(code)))
              child.kill(signal)
            })
        }))
      })
      child.on("exit", (code) => resume(Effect.fail(`The server ended with ${code}: ${said}`)))
    }),
    ({ end }) => end("SIGKILL")
  )

/** Waits until all that was committed has arrived. */
const judged = Effect.gen(function*() {
  const ledger = yield* Ledger
  while (true) {
    const judgement = yield* ledger.judge
    if (judgement.lost === 0) return judgement
    yield* Effect.sleep("100 millis")
  }
}).pipe(Effect.timeoutFail({ duration: "40 seconds", onTimeout: () => "events are missing" }))

const members = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => Effect.map(sql<{ n: string }>`select count(*) as n from members`, ([row]) => Number(row!.n))
)

const until = (url: string, isWanted: (status: number) => boolean) =>
  ask(url, "GET", "/health/ready").pipe(
    Effect.repeat({ until: ({ status }) => isWanted(status), schedule: Schedule.spaced("50 millis") }),
    Effect.zipRight(ask(url, "GET", "/health/ready")),
    Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error("readiness did not change") })
  )

const on = (tests: (postgres: Redacted.Redacted, rabbitmq: Redacted.Redacted) => void) =>
  Endpoint.suite(
    "the web server on PostgreSQL",
    { describe, it, variable: "EFFECT_CQRS_POSTGRES_URL", hint },
    (postgres) => {
      Endpoint.suite("and RabbitMQ", { describe, it, variable: "EFFECT_CQRS_RABBITMQ_URL", hint }, (rabbitmq) => {
        tests(postgres, rabbitmq)
      })
    }
  )

on((postgres, rabbitmq) => {
  it.scopedLive(
    "loses nothing and does nothing twice under load, while one server ends gracefully, another is killed, and both are replaced",
    () =>
      Effect.gen(function*() {
        const setting = newSetting()
        yield* prepared(setting)
        yield* tidied(setting)
        const servers = [yield* start(setting), yield* start(setting)]
        const rooms = 20
        for (let n = 0; n < rooms; n++) yield* create(servers[0]!.url, `room-${n}`, 1000)
        let sent = 0
        let answered = 0
        let stopped = false
        /** What clients were answered by the server that ends gracefully. */
        const graceful = servers[0]!
        const itsAnswers: Array<number> = []
        const once = Effect.suspend(() => {
          const n = sent++
          let turn = n
          let asked = ""
          const attempt = Effect.suspend(() => {
            asked = servers[turn++ % servers.length]!.url
            return join(asked, `room-${n % rooms}`, `user-${n}`, `key-${n}`)
          })
          return patiently(attempt, (answer) => {
            if (answer !== undefined && asked === graceful.url) itsAnswers.push(answer.status)
          })
        })
        const load = yield* Effect.fork(Effect.forEach(
          Array.from({ length: 20 }),
          () =>
            Effect.whileLoop({
              while: () => !stopped,
              body: () => once,
              step: ({ status }) => {
                assert.strictEqual(status, 204)
                answered += 1
              }
            }),
          { concurrency: "unbounded", discard: true }
        ))
        const more = (count: number) =>
          Effect.suspend(() => {
            const wanted = answered + count
            return Effect.repeat(Effect.sleep("5 millis"), { until: () => answered >= wanted })
          })

        yield* more(100)
        assert.strictEqual(yield* graceful.end("SIGTERM"), 0)
        assert.deepStrictEqual(itsAnswers.filter((status) => status !== 204), [])
        assert.isAbove(itsAnswers.length, 0)
        servers[0] = yield* start(setting)
        yield* more(100)
        assert.isNull(yield* servers[1]!.end("SIGKILL"))
        yield* more(50)
        servers[1] = yield* start(setting)
        yield* more(50)
        stopped = true
        yield* Fiber.join(load)

        const judgement = yield* Effect.zip(members, judged).pipe(
          Effect.provide(Layer.provideMerge(LedgerLayer, Database(setting)))
        )
        assert.strictEqual(judgement[0], sent)
        assert.include(judgement[1], { committed: sent + rooms, lost: 0, phantom: 0, outOfOrder: 0 })
        for (const server of servers) assert.strictEqual(yield* server.end("SIGTERM"), 0)
      }),
    240_000
  )

  it.scopedLive(
    "is not ready while the way to the broker or to the database is cut, comes back by itself, and loses nothing",
    () =>
      Effect.gen(function*() {
        const setting = newSetting()
        yield* prepared(setting)
        yield* tidied(setting)
        const through = (url: Redacted.Redacted, port: number) =>
          Effect.gen(function*() {
            const address = new URL(Redacted.value(url))
            const proxy = yield* Proxy.make({ host: address.hostname, port: Number(address.port || port) })
            address.host = `${proxy.host}:${proxy.port}`
            return { proxy, url: address.href }
          })
        const broker = yield* through(rabbitmq, 5672)
        const database = yield* through(postgres, 5432)
        const context = yield* Layer.build(
          Server(setting, { port: 0, delay: 0, grace: "5 seconds" }).pipe(
            Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(
              new Map([
                ["EFFECT_CQRS_POSTGRES_URL", database.url],
                ["EFFECT_CQRS_RABBITMQ_URL", broker.url]
              ])
            ))),
            Layer.provide(Logger.remove(Logger.defaultLogger))
          )
        )
        const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
        yield* until(url, (status) => status === 200)
        yield* create(url, "blue", 1000)

        let sent = 0
        let stopped = false
        const load = yield* Effect.fork(Effect.forEach(
          Array.from({ length: 5 }, (_, n) => n),
          (client) =>
            Effect.whileLoop({
              while: () => !stopped,
              body: () => {
                const n = ++sent
                return patiently(join(url, "blue", `user-${client}-${n}`, `key-${client}-${n}`))
              },
              step: ({ status }) => assert.strictEqual(status, 204)
            }),
          { concurrency: "unbounded", discard: true }
        ))

        yield* broker.proxy.cut
        const withoutBroker = yield* until(url, (status) => status === 503)
        assert.include(JSON.stringify(withoutBroker.body), "The broker is out")
        // commands need the database alone
        assert.include(yield* join(url, "blue", "meanwhile"), { status: 204 })
        yield* broker.proxy.restore
        yield* until(url, (status) => status === 200)

        yield* database.proxy.cut
        const withoutDatabase = yield* until(url, (status) => status === 503)
        assert.strictEqual((withoutDatabase.body as Health.Report).checks["database"]!.status, "down")
        const refused = yield* join(url, "blue", "later")
        assert.include(refused, { status: 503, type: "application/problem+json" })
        assert.deepStrictEqual(refused.headers, { "retry-after": "1" })
        assert.notMatch(JSON.stringify(refused), /ECONN|SqlError|5432/)
        assert.include(yield* ask(url, "GET", "/health/live"), { status: 200 })
        yield* database.proxy.restore
        yield* until(url, (status) => status === 200)

        stopped = true
        yield* Fiber.join(load)
        const [joined, judgement] = yield* Effect.zip(members, judged).pipe(
          Effect.provide(Layer.provideMerge(LedgerLayer, Database(setting)))
        )
        assert.strictEqual(joined, sent + 1)
        assert.include(judgement, { committed: sent + 2, lost: 0, phantom: 0, outOfOrder: 0 })
      }),
    240_000
  )
})
