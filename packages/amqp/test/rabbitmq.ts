import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker } from "@effect-cqrs/core"
import type { BrokerSuite } from "@effect-cqrs/testing"
import { type Channel, connect } from "amqplib"
import { Context, Effect, Layer, Queue, Redacted, type Scope } from "effect"

export const endpoint = {
  variable: "EFFECT_CQRS_RABBITMQ_URL",
  hint: "`npm run services -- up rabbitmq` starts one."
}

/** A connection of the test's own, beside the adapter. */
export class Admin extends Context.Tag("test/Admin")<Admin, AdminService>() {}

export interface AdminService {
  readonly use: <A>(use: (channel: Channel) => Promise<A>) => Effect.Effect<A, unknown>
}

/** What the cases have made, and the topics to which queues are bound. */
const names = new Map<string, "exchange" | "queue">()
const bound = new Map<string, Set<string>>()

const bind = (queue: string, topic: string): void => {
  names.set(queue, "queue")
  const queues = bound.get(topic) ?? new Set()
  bound.set(topic, queues.add(queue))
}

/** Deletes all that the cases have made, and what the adapter has made for them. */
export const forgetAll = async (): Promise<void> => {
  if (names.size === 0) return
  const model = await connect(process.env[endpoint.variable]!)
  const channel = await model.createChannel()
  for (const [name, kind] of names) {
    if (kind === "queue") await channel.deleteQueue(name)
    await channel.deleteExchange(name)
  }
  await model.close()
}

const admin = (url: Redacted.Redacted): Effect.Effect<AdminService, unknown, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.tryPromise(async () => {
        const model = await connect(Redacted.value(url))
        model.on("error", () => {})
        return model
      }),
      (model) => Effect.ignore(Effect.tryPromise(() => model.close()))
    ),
    (model) => ({
      use: (use) =>
        Effect.tryPromise({
          try: async () => {
            const channel = await model.createChannel()
            channel.on("error", () => {})
            const result = await use(channel)
            await channel.close()
            return result
          },
          catch: (error) => error
        })
    })
  )

const run = `${Date.now().toString(36)}`
let count = 0

/** Of a length that RabbitMQ takes with a group's name before it. */
export const unique = (name: string): string => `cqrs.${run}.${++count}.${name.slice(0, 60)}`

/** The adapter, whose queues and exchanges are forgotten; and a connection beside it. */
export const on = (
  url: Redacted.Redacted,
  options: Omit<AmqpBroker.Options, "url">,
  through = url
): Layer.Layer<Broker.Broker | Admin, unknown> =>
  Layer.effect(
    Broker.Broker,
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const forgetting = (group: string, topics: ReadonlyArray<string>) => {
        for (const topic of topics) bind(group === topic ? topic : `${group}.${topic}`, topic)
      }
      return Broker.Broker.of({
        ...broker,
        consume: (subscription) =>
          Effect.suspend(() => {
            forgetting(subscription.group, subscription.topics)
            for (const topic of subscription.publishesTo ?? []) forgetting(topic, [topic])
            return broker.consume(subscription)
          }),
        sift: (queue, decide) =>
          Effect.suspend(() => {
            forgetting(queue.group, [queue.topic])
            return broker.sift(queue, decide)
          })
      })
    })
  ).pipe(
    Layer.provide(AmqpBroker.layer({ url: through, ...options })),
    Layer.provideMerge(Layer.scoped(Admin, admin(url)))
  )

/** Makes an exchange, which goes with its case. */
export const topic = (name: string): Effect.Effect<string, unknown, Admin> =>
  Effect.gen(function*() {
    const { use } = yield* Admin
    const called = unique(name)
    yield* use((channel) => channel.assertExchange(called, "topic", { durable: true }))
    names.set(called, "exchange")
    return called
  })

const publish = (record: BrokerSuite.Foreign) =>
  Effect.flatMap(Admin, ({ use }) =>
    use(async (channel) => {
      const headers: Record<string, unknown> = {}
      for (const [name, value] of Object.entries(record.headers)) {
        headers[name] = typeof value === "string" ? value : Buffer.from(value)
      }
      if (record.key !== undefined) headers.cloudEvents_partitionkey = record.key
      channel.publish(record.topic, "foreign", Buffer.from(record.body ?? new Uint8Array(0)), {
        headers,
        ...(record.contentType === undefined ? {} : { contentType: record.contentType })
      })
    }))

const read = (topic: string) =>
  Effect.gen(function*() {
    const { use } = yield* Admin
    const records = yield* Queue.unbounded<BrokerSuite.Foreign>()
    const queue = unique("reader")
    yield* use(async (channel) => {
      await channel.assertQueue(queue, { durable: true, autoDelete: false })
      await channel.bindQueue(queue, topic, "#")
    })
    yield* Effect.addFinalizer(() => Effect.ignore(use((channel) => channel.deleteQueue(queue))))
    yield* Effect.gen(function*() {
      const message = yield* use((channel) => channel.get(queue, { noAck: true }))
      if (message === false) return yield* Effect.sleep("20 millis")
      const { contentType, headers = {} } = message.properties
      const key: unknown = headers.cloudEvents_partitionkey
      yield* Queue.offer(records, {
        topic,
        key: typeof key === "string" ? key : undefined,
        headers: Object.fromEntries(
          Object.entries(headers).filter(([name]) =>
            // AMQP has no key: what another program publishes has it there by this test's doing
            name !== "cloudEvents_partitionkey" || "cloudEvents_correlationid" in headers
          ).map(([name, value]) => [
            name,
            Buffer.isBuffer(value) ? new Uint8Array(value) : String(value)
          ])
        ),
        contentType,
        body: new Uint8Array(message.content)
      })
    }).pipe(Effect.forever, Effect.forkScoped)
    return Queue.take(records)
  })

/** How programs without this toolkit write and read. */
export const foreign = { prefix: "cloudEvents_", publish, read }

/** The bindings go, and come back: what is published then has no queue. */
export const destination = {
  remove: (topic: string) => Effect.flatMap(Admin, ({ use }) => use((channel) => channel.deleteExchange(topic))),
  restore: (topic: string) =>
    Effect.flatMap(Admin, ({ use }) =>
      use(async (channel) => {
        await channel.assertExchange(topic, "topic", { durable: true })
        for (const queue of bound.get(topic) ?? []) await channel.bindQueue(queue, topic, "#")
      })),
  keepsMessages: true
}
