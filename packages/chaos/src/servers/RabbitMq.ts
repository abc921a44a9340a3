/** A RabbitMQ of the run's own. */
import { Consumer } from "@effect-cqrs/core"
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from "amqplib"
import { Effect, Schedule, Schema, type Scope } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import path from "node:path"
import { promisify } from "node:util"
import { Content, deadLetters, group, topics } from "../Domain.ts"
import { eventually } from "../Eventually.ts"
import { largest } from "../Setting.ts"
import * as Local from "./Local.ts"
import type { BrokerServer, Found } from "./Server.ts"

const folders = ["/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/sbin"]

/** Behind the exchange that a topic is, the one that the queues are bound to: a topic is there for all of them, or for none. */
const fanoutOf = (topic: string) => `${topic}.all`
const queueOf = (topic: string) => `${group}.${topic}`
const auditOf = (topic: string) => `audit.${topic}`

const both = [topics.main, topics.side]

const restored = async (channel: Channel, topic: string) => {
  await channel.assertExchange(topic, "topic", { durable: true })
  await channel.bindExchange(fanoutOf(topic), topic, "#")
}

const declared = async (channel: Channel) => {
  for (const topic of both) {
    await channel.assertExchange(fanoutOf(topic), "fanout", { durable: true })
    await channel.assertQueue(queueOf(topic), {
      durable: true,
      arguments: { "x-queue-type": "quorum", "x-single-active-consumer": true }
    })
    // no stream: one was seen to lack what its node had confirmed while it ended, and the quorum queue beside it had it
    await channel.assertQueue(auditOf(topic), {
      durable: true,
      arguments: { "x-queue-type": "quorum", "x-single-active-consumer": true }
    })
    await channel.bindQueue(queueOf(topic), fanoutOf(topic), "")
    await channel.bindQueue(auditOf(topic), fanoutOf(topic), "")
    await restored(channel, topic)
  }
  await channel.assertExchange(deadLetters, "topic", { durable: true })
  await channel.assertQueue(deadLetters, { durable: true, arguments: { "x-queue-type": "quorum" } })
  await channel.bindQueue(deadLetters, deadLetters, "#")
}

const text = ({ properties }: Pick<ConsumeMessage, "properties">, name: string): string => {
  const held = (properties.headers ?? {}) as Record<string, unknown>
  return String(held[name] ?? held[`cloudEvents_${name}`] ?? held[`cloudEvents:${name}`] ?? "")
}

export const rabbitmq: Effect.Effect<BrokerServer, unknown, Scope.Scope> = Effect.gen(function*() {
  const program = yield* Local.find("RabbitMQ", ["rabbitmq-server"], folders)
  const port = yield* Local.freePort
  const distribution = yield* Local.freePort
  const folder = yield* Local.folder("rabbitmq")
  const at = (name: string) => path.join(folder, name)
  fs.writeFileSync(at("plugins"), "[].")
  fs.writeFileSync(at("env.conf"), "")
  fs.writeFileSync(at("rabbitmq.conf"), `listeners.tcp.1 = ${Local.host}:${port}\nmax_message_size = ${largest}\n`)
  const node = `effect-cqrs-${port}@localhost`
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    RABBITMQ_NODENAME: node,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: at("data"),
    RABBITMQ_LOG_BASE: at("log"),
    RABBITMQ_LOGS: at("log/rabbitmq.log"),
    RABBITMQ_ENABLED_PLUGINS_FILE: at("plugins"),
    RABBITMQ_CONFIG_FILE: at("rabbitmq"),
    RABBITMQ_CONF_ENV_FILE: at("env.conf")
  }
  const url = `amqp://guest:guest@${Local.host}:${port}`
  const server = yield* Local.daemon(program, [], { env, log: at("output"), ending: "SIGTERM" })
  const open = Effect.acquireRelease(
    Effect.tryPromise(async () => {
      const model = await connect(url)
      model.on("error", () => {})
      return model
    }),
    (model) => Effect.promise(() => model.close().catch(() => {}))
  )
  const use = <A>(ask: (channel: Channel) => Promise<A>) =>
    Effect.scoped(Effect.flatMap(open, (model) =>
      Effect.tryPromise(async () => {
        const channel = await model.createChannel()
        channel.on("error", () => {})
        return ask(channel)
      })))
  const ready = Effect.retry(use(declared), Schedule.intersect(Schedule.spaced("200 millis"), Schedule.recurs(300)))
  yield* server.start
  yield* ready
  const audit = yield* reading(open)

  const control = (...words: ReadonlyArray<string>) =>
    Effect.tryPromise(() =>
      promisify(execFile)(path.join(path.dirname(program), "rabbitmqctl"), ["-q", "-n", node, ...words], { env })
    ).pipe(Effect.map(({ stdout }) => stdout))

  /** How many messages of the topics are in queues, handed out or not. */
  const waiting = (nameOf: (topic: string) => string) =>
    Effect.map(
      control("list_queues", "name", "messages", "--no-table-headers"),
      (table) =>
        table.trim().split("\n").map((row) => row.split("\t"))
          .filter(([name]) => both.some((topic) => nameOf(topic) === name))
          .reduce((sum, [, count]) => sum + Number(count), 0)
    )

  return {
    name: "RabbitMQ",
    port,
    // killed, this version may not find a quorum queue again that was declared a moment before
    restart: () => Effect.zipRight(server.stop("SIGTERM"), Effect.zipRight(server.start, ready)),
    taken: Effect.sync(() => audit.found.length),
    read: Effect.as(
      eventually(
        "the audit has read what the topics took",
        Effect.map(waiting(auditOf), (count) => count === 0),
        "60 seconds"
      ),
      audit.found
    ),
    deadLetters: use(async (channel) => {
      const found: Array<{ readonly id: string; readonly reason: string }> = []
      for (;;) {
        // closing the connection puts them back
        const message = await channel.get(deadLetters)
        if (message === false) return found
        found.push({ id: text(message, "id"), reason: text(message, Consumer.deadLetterHeaders.reason) })
      }
    }),
    lag: waiting(queueOf),
    remove: use((channel) => channel.deleteExchange(topics.side)),
    restore: Effect.retry(use((channel) => restored(channel, topics.side)), {
      times: 100,
      schedule: Schedule.spaced("300 millis")
    })
  }
})

/** Reads the audit queues as they are filled, and goes on when the connection was lost. */
const reading = (open: Effect.Effect<ChannelModel, unknown, Scope.Scope>) =>
  Effect.gen(function*() {
    const found: Array<Found> = []
    const known = new Set<string>()
    const session = Effect.flatMap(open, (model) =>
      Effect.async<void>((resume) => {
        model.once("close", () => resume(Effect.void))
        const listening = async () => {
          for (const topic of both) {
            const channel = await model.createChannel()
            channel.on("error", () => {})
            await channel.prefetch(100)
            await channel.consume(auditOf(topic), (message) => {
              if (message === null) return resume(Effect.void)
              const id = text(message, "id")
              // handed out again: what is known was noted, and its acknowledgement was lost
              if (!(message.fields.redelivered && known.has(id))) {
                found.push({
                  lane: `${topic}/1/0`,
                  place: found.length,
                  id,
                  ...Schema.decodeSync(Content)(message.content.toString()),
                  at: Date.now()
                })
                known.add(id)
              }
              channel.ack(message)
            })
          }
        }
        listening().catch(() => resume(Effect.void))
      }))
    yield* Effect.forkScoped(
      Effect.repeat(Effect.ignore(Effect.scoped(session)), Schedule.spaced("300 millis"))
    )
    return { found }
  })
