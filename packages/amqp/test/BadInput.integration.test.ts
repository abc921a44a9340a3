/** What goes wrong from outside has one clear answer, and harms nothing beside it. */
import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker, BucketOwner, OutboxStorage, Relay, Transaction, Transactor } from "@effect-cqrs/core"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, Schedule } from "effect"
import { Admin, admin, cleanUp, endpoint, publish, shortOf, topicOf, unique } from "./support/rabbitmq.ts"

const { messageOf } = Fixtures

Endpoint.suite("RabbitMQ", { describe, it, ...endpoint }, (url) => {
  afterAll(() => cleanUp(url))

  const changed = (change: (url: URL) => void) => {
    const parsed = new URL(Redacted.value(url))
    change(parsed)
    return Redacted.make(parsed.href)
  }
  const quiet = Logger.remove(Logger.defaultLogger)
  const layer = (options: Partial<AmqpBroker.Options> = {}) =>
    Layer.mergeAll(AmqpBroker.layer({ url, ...options }), Layer.scoped(Admin, admin(url)), quiet)
  const refused = (options: Partial<AmqpBroker.Options>) =>
    Effect.scoped(Effect.flip(Layer.build(Layer.mergeAll(AmqpBroker.layer({ url, ...options }), quiet))))

  describe("building the layer", () => {
    it.scopedLive(
      "with a wrong password is a matter of configuration, and does not tell it",
      () =>
        Effect.gen(function*() {
          const error = yield* refused({
            url: changed((url) => {
              url.username = "nobody"
              url.password = "very-secret"
            })
          })
          assert.instanceOf(error, Broker.BrokerError)
          assert.strictEqual(error.reason, "Configuration")
          assert.include(error.message, "correct the user and the password")
          assert.notInclude(JSON.stringify(error) + String(error.cause), "very-secret")
        }),
      20_000
    )

    it.scopedLive("with a virtual host that is not there is a matter of configuration", () =>
      Effect.gen(function*() {
        const error = yield* refused({
          url: changed((url) => {
            url.pathname = "/not-there"
          })
        })
        assert.strictEqual((error as Broker.BrokerError).reason, "Configuration")
        assert.include(error.message, "virtual host")
      }), 20_000)

    it.scopedLive("where nothing answers, goes on: publishing is retriable", () =>
      Effect.gen(function*() {
        const outcomes = yield* publish(messageOf({ topic: "any" })).pipe(
          Effect.provide(layer({
            url: changed((url) => {
              url.port = "1"
            })
          }))
        )
        assert.deepStrictEqual(shortOf(outcomes), ["broker"])
      }), 20_000)

    it.scopedLive(
      "with a queue that is there in another form names the queue and what to do",
      () =>
        Effect.gen(function*() {
          const { forget, use } = yield* Admin
          const queue = unique("conflict")
          forget("queue", queue)
          yield* use((channel) => channel.assertQueue(queue, { durable: true }))
          const error = yield* refused({ topology: { queues: [{ name: queue, type: "quorum" }] } })
          assert.strictEqual((error as Broker.BrokerError).reason, "Configuration")
          assert.include(error.message, queue)
          assert.include(error.message, "describe it in the topology as it is, or delete it")
        }).pipe(Effect.provide(layer())),
      20_000
    )
  })

  it.scopedLive(
    "joining a group whose queue is there in another form is a matter of configuration",
    () =>
      Effect.gen(function*() {
        const { forget, use } = yield* Admin
        const topic = yield* topicOf("joining")
        const queue = `billing.${topic}`
        forget("queue", queue)
        yield* use((channel) => channel.assertQueue(queue, { durable: true }))
        const broker = yield* Broker.Broker
        const error = yield* Effect.flip(broker.consume({ topics: [topic], group: "billing" }))
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, queue)
      }).pipe(Effect.provide(layer())),
    20_000
  )

  it.scopedLive(
    "a missing exchange and one without a queue hold back their own messages and no others",
    () =>
      Effect.gen(function*() {
        const { forget, use } = yield* Admin
        const good = yield* topicOf("good")
        const unbound = unique("unbound")
        forget("exchange", unbound)
        yield* use((channel) => channel.assertExchange(unbound, "topic"))
        const missing = unique("missing")
        for (let round = 0; round < 3; round++) {
          const outcomes = yield* publish(
            ...[good, missing, unbound, good, missing, unbound, good].map((topic) =>
              messageOf({ topic, key: undefined })
            )
          )
          assert.deepStrictEqual(shortOf(outcomes), [
            ...["Delivered", "destination", "destination"],
            ...["Delivered", "destination", "destination", "Delivered"]
          ])
          const reasons = outcomes.map((outcome) => outcome._tag === "Retriable" ? outcome.reason : "")
          assert.include(reasons[1], missing)
          assert.include(reasons[2], `No queue is bound to the exchange ${unbound}`)
        }
      }).pipe(Effect.provide(layer())),
    20_000
  )

  it.scopedLive(
    "what AMQP cannot carry is rejected, each message for itself, on a connection that stays",
    () =>
      Effect.gen(function*() {
        const topic = yield* topicOf("hostile")
        const headers: ReadonlyArray<readonly [string, Record<string, string>]> = [
          ["Delivered", { tenant: "acme" }],
          ["Rejected", { ["n".repeat(256)]: "long name" }],
          ["Rejected", { large: "x".repeat(70 * 1024) }],
          ["Rejected", { large: "x".repeat(1024 * 1024) }],
          ["Rejected", { CC: "elsewhere" }],
          ["Delivered", { "größe \u0000 \u{1F600}": "größe", ["__proto__"]: "x", "!": "timestamp", value: "1" }],
          ["Delivered", { "x-death": "x", "x-delivery-count": "7" }]
        ]
        const sent = headers.map(([, headers]) => messageOf({ topic, key: undefined, headers }))
        const outcomes = yield* publish(
          ...sent,
          messageOf({ topic, key: undefined, payload: new Uint8Array(2048) }),
          messageOf({ topic, key: undefined, name: "n".repeat(300) })
        )
        assert.deepStrictEqual(shortOf(outcomes), [...headers.map(([tag]) => tag), "Rejected", "Rejected"])
      }).pipe(Effect.provide(layer({ maxMessageBytes: 1024 }))),
    20_000
  )

  it.scopedLive(
    "the relay goes on with the rest, and only what was judged is a dead letter",
    () =>
      Effect.gen(function*() {
        const good = yield* topicOf("relay")
        const missing = unique("relay_missing")
        const storage = yield* OutboxStorage.OutboxStorage
        const judged = messageOf({ topic: good, key: "judged", payload: new Uint8Array(2048) })
        yield* Transaction.run(storage.append([
          messageOf({ topic: good, key: "a" }),
          messageOf({ topic: missing, key: "a" }),
          judged,
          messageOf({ topic: missing, key: "b" }),
          messageOf({ topic: good, key: "b" })
        ]))
        const statistics = yield* storage.statistics.pipe(
          Effect.delay("20 millis"),
          Effect.repeat({ until: ({ dead, pending }) => dead === 1 && pending === 2 })
        )
        assert.deepInclude(statistics, { dead: 1, pending: 2 })
        const { use } = yield* Admin
        assert.strictEqual((yield* use((channel) => channel.checkQueue(good))).messageCount, 2)
      }).pipe(
        Effect.provide(
          Relay.layer({ pollInterval: "20 millis", backoff: Schedule.spaced("20 millis"), retry: Schedule.stop }).pipe(
            Layer.provide(BucketOwner.layerSingle),
            Layer.provideMerge(Transactor.layerMemory),
            Layer.provideMerge(OutboxStorage.layerMemory()),
            Layer.provideMerge(layer({ maxMessageBytes: 1024 }))
          )
        )
      ),
    20_000
  )

  it.scopedLive("a subscription that cannot be is refused with a sentence", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const any = { topics: ["any"], group: "any" }
      const wrong: ReadonlyArray<readonly [words: string, subscription: Broker.Subscription]> = [
        ...[0, -1, 1.5, Number.NaN].map((window) => ["window", { ...any, window }] as const),
        ["no topics", { ...any, topics: [] }],
        ["group", { ...any, group: "" }],
        ["by partition", { ...any, ordering: "partitioned" }]
      ]
      for (const [words, subscription] of wrong) {
        const error = yield* Effect.flip(broker.consume(subscription))
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, words)
      }
    }).pipe(Effect.provide(layer())), 20_000)
})
