import { AmqpBroker, Topology } from "@effect-cqrs/amqp"
import { Broker, type Message } from "@effect-cqrs/core"
import type { BrokerSuite } from "@effect-cqrs/testing"
import { Proxy } from "@effect-cqrs/testing"
import type { Channel, ChannelModel } from "amqplib"
import { connect } from "amqplib"
import { Cause, Context, Effect, Layer, Queue, Redacted, type Scope } from "effect"
import { available, own } from "./node.ts"

export const endpoint = {
  variable: "EFFECT_CQRS_RABBITMQ_URL",
  hint: "`npm run services -- up rabbitmq` starts one."
}

/** A connection of the test's own, beside the adapter. */
export class Admin extends Context.Tag("test/Admin")<Admin, AdminService>() {}

export interface AdminService {
  /** Each time on a channel of its own, which an error closes. */
  readonly use: <A>(ask: (channel: Channel) => Promise<A>) => Effect.Effect<A, unknown>
  readonly model: ChannelModel
  /** {@link cleanUp} deletes what is called so. */
  readonly forget: (kind: "exchange" | "queue", name: string) => void
  /** The queues that were seen to be a topic's. */
  readonly queues: Map<string, Set<string>>
}

const names = new Map<string, "exchange" | "queue">()

export const admin = (url: Redacted.Redacted): Effect.Effect<AdminService, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const model = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => connect(Redacted.value(url)),
        catch: (cause) => new Cause.UnknownException(cause)
      }),
      (model) => Effect.ignore(Effect.tryPromise(() => model.close()))
    )
    model.on("error", () => {})
    return {
      model,
      queues: new Map(),
      use: (ask) =>
        Effect.tryPromise({
          try: async () => {
            const channel = await model.createChannel()
            channel.on("error", () => {})
            const answer = await ask(channel)
            await channel.close()
            return answer
          },
          catch: (cause) => new Cause.UnknownException(cause)
        }),
      forget: (kind, name) => {
        names.set(`${kind} ${name}`, kind)
      }
    }
  })

/** Deletes all that the tests have made. Not with each case: some look at what another program finds of theirs. */
export const cleanUp = (url: Redacted.Redacted): Promise<void> =>
  Effect.runPromise(Effect.ignore(Effect.scoped(Effect.flatMap(admin(url), ({ use }) =>
    use(async (channel) => {
      for (const [name, kind] of names) {
        const full = name.slice(kind.length + 1)
        if (kind === "queue") await channel.deleteQueue(full)
        else await channel.deleteExchange(full)
      }
    })))))

const run = `${process.pid.toString(36)}${Date.now().toString(36)}`
let count = 0

/** A name that no other test has used. */
export const unique = (name: string): string =>
  `amqp.${name.replace(/[^a-zA-Z0-9]+/g, "_").slice(0, 80)}.${run}.${++count}`

/** A topic with a queue of its name. */
export const topicOf = (name: string) =>
  Effect.gen(function*() {
    const { forget, use } = yield* Admin
    const topic = unique(name)
    forget("exchange", topic)
    forget("queue", topic)
    yield* use(async (channel) => {
      await channel.assertExchange(topic, "topic", { durable: true })
      await channel.assertQueue(topic, { durable: true })
      await channel.bindQueue(topic, topic, "#")
    })
    return topic
  })

export const publish = (...messages: ReadonlyArray<Message.Message>) =>
  Effect.flatMap(Broker.Broker, (broker) => broker.publish(messages))

/** Whose fault it is, of those that are retriable. */
export const shortOf = (outcomes: ReadonlyArray<Broker.Outcome>) =>
  outcomes.map((outcome) => outcome._tag === "Retriable" ? outcome.scope : outcome._tag)

/** The broker, with what is made for it noticed. */
const noticed = (layer: Layer.Layer<Broker.Broker, unknown>): Layer.Layer<Broker.Broker, unknown, Admin> =>
  Layer.effect(
    Broker.Broker,
    Effect.gen(function*() {
      const { forget, queues } = yield* Admin
      const broker = yield* Broker.Broker
      return Broker.Broker.of({
        ...broker,
        consume: (subscription) =>
          Effect.suspend(() => {
            for (const topic of subscription.topics) {
              const queue = Topology.queueOf(subscription.group, topic)
              forget("queue", queue)
              queues.set(topic, (queues.get(topic) ?? new Set()).add(queue))
              forget("exchange", topic)
            }
            for (const topic of subscription.publishesTo ?? []) {
              forget("queue", topic)
              forget("exchange", topic)
            }
            return broker.consume(subscription)
          })
      })
    })
  ).pipe(Layer.provide(layer))

export type Options = Omit<AmqpBroker.Options, "url">

/** What the suite must be told of RabbitMQ. */
export const factsOf = (url: Redacted.Redacted, options: Options) => {
  const brokerAt = (port: string | undefined, more: Options) => {
    const to = new URL(Redacted.value(url))
    if (port !== undefined) to.port = port
    return AmqpBroker.layer({ url: Redacted.make(to.href), ...options, ...more })
  }
  const layer = (port?: string, more: Options = {}) =>
    Layer.provideMerge(noticed(brokerAt(port, more)), Layer.scoped(Admin, admin(url)))
  return {
    layer: () => layer(),
    topic: (name: string) =>
      Effect.gen(function*() {
        const { forget, use } = yield* Admin
        const full = unique(name)
        forget("exchange", full)
        yield* use((channel) => channel.assertExchange(full, "topic", { durable: true }))
        return full
      }),
    restart: available(() =>
      Effect.map(own, (node) => ({
        layer: Layer.provideMerge(
          noticed(AmqpBroker.layer({ url: node.url, ...options })),
          Layer.scoped(Admin, admin(node.url))
        ),
        restart: node.restart
      }))
    ),
    network: () =>
      Effect.map(
        Proxy.make({ host: "127.0.0.1", port: Number(new URL(Redacted.value(url)).port || 5672) }),
        (proxy) => ({
          proxy,
          layer: layer(String(proxy.port), { heartbeat: "1 second", deadline: "2 seconds", connectTimeout: "1 second" })
        })
      ),
    foreign
  }
}

/** Without its exchange, a topic is not found. */
export const withoutExchange = {
  remove: (topic: string) =>
    Effect.flatMap(Admin, ({ use }) => use((channel) => channel.deleteExchange(topic).then(() => {}))),
  restore: (topic: string) =>
    Effect.flatMap(Admin, ({ queues, use }) =>
      use(async (channel) => {
        await channel.assertExchange(topic, "topic", { durable: true })
        for (const queue of queues.get(topic) ?? []) await channel.bindQueue(queue, topic, "#")
      })),
  keepsMessages: true
}

/** Without bindings, what is published to it comes back. */
export const withoutBindings = {
  remove: (topic: string) =>
    Effect.flatMap(Admin, ({ queues, use }) =>
      use(async (channel) => {
        for (const queue of queues.get(topic) ?? []) await channel.unbindQueue(queue, topic, "#")
      })),
  restore: withoutExchange.restore,
  keepsMessages: true
}

const partitionKey = "cloudEvents_partitionkey"

const foreign = {
  prefix: "cloudEvents_",
  publish: ({ body, contentType, headers, key, topic }: BrokerSuite.Foreign) =>
    Effect.flatMap(Admin, ({ model }) =>
      Effect.tryPromise({
        try: async () => {
          const channel = await model.createConfirmChannel()
          channel.publish(topic, "foreign", Buffer.from(body ?? []), {
            headers: {
              ...(key === undefined ? {} : { [partitionKey]: key }),
              ...Object.fromEntries(
                Object.entries(headers).map(([name, value]) => [
                  name,
                  typeof value === "string" ? value : Buffer.from(value)
                ])
              )
            },
            ...(contentType === undefined ? {} : { contentType })
          })
          await channel.waitForConfirms()
          await channel.close()
        },
        catch: (cause) => new Cause.UnknownException(cause)
      })),
  read: (topic: string) =>
    Effect.gen(function*() {
      const { model } = yield* Admin
      const records = yield* Queue.unbounded<BrokerSuite.Foreign>()
      yield* Effect.tryPromise({
        try: async () => {
          const channel = await model.createChannel()
          const { queue } = await channel.assertQueue("", { exclusive: true })
          await channel.bindQueue(queue, topic, "#")
          await channel.consume(queue, (message) => {
            if (message === null) return
            const headers = (message.properties.headers ?? {}) as Record<string, string | Uint8Array>
            const key = headers[partitionKey]
            Queue.unsafeOffer(records, {
              topic,
              key: typeof key === "string" ? key : undefined,
              headers,
              contentType: message.properties.contentType as string | undefined,
              body: message.content
            })
          }, { noAck: true })
        },
        catch: (cause) => new Cause.UnknownException(cause)
      })
      return Queue.take(records)
    })
}
