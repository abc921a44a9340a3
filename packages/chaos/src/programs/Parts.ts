/** What the processes are made of: clients that reach their servers through proxies of their own, and are not patient. */
import { AmqpBroker } from "@effect-cqrs/amqp"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { SqlStorage } from "@effect-cqrs/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, Schedule, Schema } from "effect"
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { type BrokerAt, channel, Command, type DatabaseAt, Report } from "../Protocol.ts"
import { timing } from "../Setting.ts"

/** How many connections each process has at most. */
export const connections = 6

export const Database = ({ kind, url }: DatabaseAt, maxConnections = connections) =>
  kind === "mariadb"
    ? MysqlClient.layer({ url: Redacted.make(url), maxConnections })
    : PgClient.layer({ url: Redacted.make(url), maxConnections, connectTimeout: timing.answer })

export const Storage = SqlStorage.layer({ lease: timing.lease })

/** From a tenth of a second, doubling. */
export const backoff = Schedule.exponential("100 millis").pipe(
  Schedule.union(Schedule.spaced(timing.backoff)),
  Schedule.jittered
)

export const Broker = ({ host, kind, port }: BrokerAt) =>
  kind === "kafka"
    ? KafkaBroker.layer({
      brokers: [`${host}:${port}`],
      redirect: () => ({ host, port }),
      connectionTimeout: timing.answer,
      requestTimeout: timing.answer,
      producer: { deadline: timing.publish },
      consumer: {
        sessionTimeout: timing.session,
        rebalanceTimeout: timing.session,
        heartbeatInterval: timing.session / 8,
        commitInterval: timing.session / 8,
        maxWait: 100
      }
    })
    : AmqpBroker.layer({
      url: Redacted.make(`amqp://guest:guest@${host}:${port}`),
      // a process must not make again what the harness has taken away
      declare: false,
      deadline: timing.publish,
      connectTimeout: timing.answer,
      heartbeat: timing.answer,
      recovery: backoff
    })

const encode = Schema.encodeSync(Report)
const decode = Schema.decodeSync(Command)

/** Says something to the harness. Written before it returns, whatever comes next. */
export const say = (report: Report): void => {
  writeSync(channel, `${encode(report)}\n`)
}

/** Hands over what the harness says. Without a harness this process ends. */
export const listen = (handle: (command: Command) => void) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      createInterface({ input: process.stdin })
        .on("line", (line) => handle(decode(line)))
        .on("close", () => process.exit(1))
    ),
    (lines) =>
      Effect.sync(() => {
        lines.removeAllListeners("close").close()
        process.stdin.destroy()
      })
  )
