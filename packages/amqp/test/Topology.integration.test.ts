import { AmqpBroker, type Topology } from "@effect-cqrs/amqp"
import { Broker } from "@effect-cqrs/core"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { Admin, admin, cleanUp, endpoint, unique } from "./support/rabbitmq.ts"

const { messageOf } = Fixtures

Endpoint.suite("RabbitMQ", { describe, it, ...endpoint }, (url) => {
  afterAll(() => cleanUp(url))

  const adminLayer = Layer.scoped(Admin, admin(url))
  const layer = (options: Partial<AmqpBroker.Options>) =>
    Layer.mergeAll(AmqpBroker.layer({ url, ...options }), adminLayer, Logger.remove(Logger.defaultLogger))
  const named = (kind: "exchange" | "queue", name: string) =>
    Effect.map(Admin, ({ forget }) => {
      forget(kind, name)
      return name
    })
  const publish = (...messages: Parameters<Broker.Broker["Type"]["publish"]>[0]) =>
    Effect.flatMap(Broker.Broker, (broker) => broker.publish(messages))

  it.scopedLive(
    "what the topology says is declared, with all arguments, and declared again without harm",
    () =>
      Effect.gen(function*() {
        const { use } = yield* Admin
        const exchange = yield* named("exchange", unique("topology"))
        const queue = yield* named("queue", unique("topology"))
        const topology: Topology.Topology = {
          exchanges: [{ name: exchange, type: "direct" }],
          queues: [{
            name: queue,
            type: "classic",
            singleActiveConsumer: true,
            deadLetterExchange: exchange,
            arguments: { "x-max-length": 7 }
          }],
          bindings: [{ exchange, queue, routingKey: "suite_event" }]
        }
        for (let round = 0; round < 2; round++) {
          const outcomes = yield* publish(messageOf({ topic: exchange }), messageOf({ topic: exchange, name: "other" }))
            .pipe(Effect.provide(layer({ topology })))
          assert.deepStrictEqual(outcomes.map((outcome) => outcome._tag), ["Delivered", "Retriable"])
        }
        const { messageCount } = yield* use((channel) =>
          channel.assertQueue(queue, {
            durable: true,
            arguments: {
              "x-queue-type": "classic",
              "x-single-active-consumer": true,
              "x-dead-letter-exchange": exchange,
              "x-max-length": 7
            }
          })
        )
        assert.strictEqual(messageCount, 2)
        yield* use((channel) => channel.checkExchange(exchange))
      }).pipe(Effect.provide(adminLayer)),
    20_000
  )

  it.scopedLive(
    "a group's queue is derived, bound, a quorum queue with a single active consumer",
    () =>
      Effect.gen(function*() {
        const { use } = yield* Admin
        const topic = yield* named("exchange", unique("derived"))
        const queue = yield* named("queue", `billing.${topic}`)
        const broker = yield* Broker.Broker
        yield* Effect.scoped(broker.consume({ topics: [topic], group: "billing" }))
        const outcomes = yield* publish(messageOf({ topic }))
        assert.deepStrictEqual(outcomes, [Broker.Outcome.Delivered()])
        const state = yield* use((channel) =>
          channel.assertQueue(queue, {
            durable: true,
            arguments: { "x-queue-type": "quorum", "x-single-active-consumer": true }
          })
        )
        assert.strictEqual(state.queue, queue)
      }).pipe(Effect.provide(layer({}))),
    20_000
  )

  it.scopedLive(
    "where nothing may be declared, what is missing is named, and nothing is made",
    () =>
      Effect.gen(function*() {
        const { use } = yield* Admin
        const topic = unique("managed")
        const broker = yield* Broker.Broker
        const error = yield* Effect.flip(broker.consume({ topics: [topic], group: "billing" }))
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, `billing.${topic}`)
        yield* Effect.flip(use((channel) => channel.checkExchange(topic)))
      }).pipe(Effect.provide(layer({ declare: false }))),
    20_000
  )

  it.scopedLive(
    "a partitioned topic has a queue for each partition, and keeps each key in order among many members",
    () =>
      Effect.gen(function*() {
        const topic = yield* named("exchange", unique("partitioned"))
        for (const n of [0, 1, 2]) yield* named("queue", `billing.${topic}.${n}`)
        const topology = { exchanges: [{ name: topic, partitions: 3 }] }
        const handled: Array<string> = []
        const sent = Array.from(
          { length: 200 },
          (_, n) => messageOf({ topic, key: n % 11 === 0 ? undefined : `key ${n % 11}` })
        )
        yield* Effect.gen(function*() {
          const broker = yield* Broker.Broker
          for (let member = 0; member < 3; member++) {
            const source = yield* broker.consume({ topics: [topic], group: "billing", ordering: "partitioned" })
            yield* Effect.forkScoped(Effect.forever(Effect.scoped(Effect.map(source.take, ({ message }) => {
              handled.push(message.id)
            }))))
          }
          const outcomes = yield* publish(...sent)
          assert.isTrue(outcomes.every((outcome) => outcome._tag === "Delivered"))
          yield* Fixtures.eventually(
            "all are handled",
            Effect.sync(() => handled.length),
            (count) => count >= sent.length
          )
        }).pipe(Effect.scoped, Effect.provide(layer({ topology })))
        for (let key = 1; key < 11; key++) {
          const ids = sent.filter((one) => one.key === `key ${key}`).map((one) => one.id)
          assert.deepStrictEqual(handled.filter((id) => ids.includes(id)), ids)
        }
        const { use } = yield* Admin
        for (const n of [0, 1, 2]) yield* use((channel) => channel.checkQueue(`billing.${topic}.${n}`))
      }).pipe(Effect.provide(adminLayer)),
    30_000
  )

  it.scopedLive(
    "a topic that is consumed by partition without having any is a matter of configuration",
    () =>
      Effect.gen(function*() {
        const broker = yield* Broker.Broker
        const error = yield* Effect.flip(
          broker.consume({ topics: ["whole"], group: "billing", ordering: "partitioned" })
        )
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, "`partitions`")
      }).pipe(Effect.provide(layer({}))),
    20_000
  )

  it.scopedLive("a route of one's own is taken", () =>
    Effect.gen(function*() {
      const exchange = yield* named("exchange", unique("route"))
      const queue = yield* named("queue", unique("route"))
      const topology = {
        exchanges: [{ name: exchange, type: "direct" }],
        queues: [{ name: queue }],
        bindings: [{ exchange, queue, routingKey: "here" }]
      }
      const outcomes = yield* publish(messageOf({ topic: "elsewhere" })).pipe(
        Effect.provide(layer({ topology, route: () => ({ exchange, routingKey: "here" }) }))
      )
      assert.deepStrictEqual(outcomes, [Broker.Outcome.Delivered()])
    }).pipe(Effect.provide(adminLayer)), 20_000)
})
