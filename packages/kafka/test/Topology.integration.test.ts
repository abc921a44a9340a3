import { Broker } from "@effect-cqrs/core"
import type { KafkaBroker } from "@effect-cqrs/kafka"
import { Endpoint, Fixtures, Proxy } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { ConfigResourceTypes } from "kafkajs"
import { endpoint, hasty, on, topic, unique, withAdmin } from "./support/kafka.ts"

const { messageOf } = Fixtures

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const [host, port] = brokers.split(",")[0]!.split(":") as [string, string]
  const quiet = Logger.remove(Logger.defaultLogger)
  const layer = (options: Omit<KafkaBroker.Options, "brokers"> = {}) =>
    Layer.merge(on(brokers, { consumer: hasty, ...options }), quiet)
  const refused = (options: Omit<KafkaBroker.Options, "brokers">) =>
    Effect.scoped(Effect.flip(Layer.build(layer(options)))) as Effect.Effect<Broker.BrokerError>

  const topics = withAdmin(brokers, (admin) => admin.listTopics())
  const partitionsOf = (name: string) =>
    Effect.map(
      withAdmin(brokers, (admin) => admin.fetchTopicMetadata({ topics: [name] })),
      ({ topics }) => topics[0]!.partitions.length
    )
  /** It is deleted after the case. */
  const named = (what: string) =>
    Effect.acquireRelease(
      Effect.sync(() => unique(what)),
      (name) =>
        Effect.ignore(withAdmin(brokers, async (admin) => {
          // kafkajs looks for one that is missing again and again
          if ((await admin.listTopics()).includes(name)) await admin.deleteTopics({ topics: [name] })
        }))
    )

  it.scopedLive("a topic that is missing is named, with what to do, and is not made", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* named("missing"), yield* named("missing")]
      const error = yield* refused({
        topology: { topics: [{ name: first, partitions: 1 }, { name: second, partitions: 1 }] }
      })
      assert.instanceOf(error, Broker.BrokerError)
      assert.strictEqual(error.reason, "Configuration")
      for (const words of [first, second, "create it", "create: true"]) assert.include(error.message, words)
      assert.notIncludeMembers(yield* topics, [first])
    }), 20_000)

  it.scopedLive(
    "where it is asked for, it is made, with its partitions and configuration, once",
    () =>
      Effect.gen(function*() {
        const name = yield* named("made")
        const topology = {
          topics: [{ name, partitions: 5, replicationFactor: 1, config: { "max.message.bytes": "2048" } }],
          create: true
        }
        for (let round = 0; round < 2; round++) {
          const outcomes = yield* Effect.flatMap(
            Broker.Broker,
            (broker) =>
              broker.publish([
                messageOf({ topic: name }),
                messageOf({ topic: name, payload: new Uint8Array(4096) })
              ])
          ).pipe(Effect.provide(layer({ topology })))
          assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Delivered", "Rejected"])
        }
        assert.strictEqual(yield* partitionsOf(name), 5)
        const { resources } = yield* withAdmin(brokers, (admin) =>
          admin.describeConfigs({
            includeSynonyms: false,
            resources: [{ type: ConfigResourceTypes.TOPIC, name, configNames: ["max.message.bytes"] }]
          }))
        assert.strictEqual(resources[0]!.configEntries[0]!.configValue, "2048")
      }),
    20_000
  )

  it.scopedLive(
    "two programs that make it at once get on, unless they want it otherwise",
    () =>
      Effect.gen(function*() {
        const name = yield* named("twice")
        const made = (partitions: number) => ({ topology: { topics: [{ name, partitions }], create: true } })
        yield* Effect.all(
          Array.from({ length: 4 }, () => Effect.scoped(Layer.build(layer(made(2))))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(yield* partitionsOf(name), 2)
        assert.include((yield* refused(made(3))).message, name)
      }),
    20_000
  )

  it.scopedLive(
    "another number of partitions is a conflict by name, and nothing beside it is made",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "conflict", { partitions: 3 })
        const other = yield* named("beside")
        const error = yield* refused({
          topology: { topics: [{ name, partitions: 4 }, { name: other, partitions: 1 }], create: true }
        })
        assert.strictEqual(error.reason, "Configuration")
        for (const words of [name, "3 partitions, not 4"]) assert.include(error.message, words)
        assert.strictEqual(yield* partitionsOf(name), 3)
        assert.notIncludeMembers(yield* topics, [other])
      }),
    20_000
  )

  it.scopedLive("what Kafka will not make is named with its reason", () =>
    Effect.gen(function*() {
      const name = yield* named("replicas")
      const topic = { name, partitions: 1 }
      const replicas = yield* refused({ topology: { topics: [{ ...topic, replicationFactor: 7 }], create: true } })
      for (const words of [name, "INVALID_REPLICATION_FACTOR"]) assert.include(replicas.message, words)
      const config = yield* refused({ topology: { topics: [{ ...topic, config: { "no.such": "1" } }], create: true } })
      for (const words of [name, "INVALID_CONFIG"]) assert.include(config.message, words)
      assert.deepStrictEqual([replicas.reason, config.reason], ["Configuration", "Configuration"])
    }), 20_000)

  it.scopedLive(
    "what cannot be looked at when it begins is looked at later: made, or logged by name",
    () =>
      Effect.gen(function*() {
        const name = yield* named("later")
        const conflict = yield* topic(brokers, "later_conflict", { partitions: 1 })
        const said: Array<string> = []
        const log = Logger.replace(
          Logger.defaultLogger,
          Logger.make(({ logLevel, message }) => {
            if (logLevel.label !== "DEBUG") said.push(`${logLevel.label} ${String(message)}`)
          })
        )
        const proxy = yield* Proxy.make({ host, port: Number(port) })
        yield* proxy.stall
        const through = {
          requestTimeout: "500 millis",
          redirect: () => ({ host: "127.0.0.1", port: proxy.port })
        } as const
        yield* Effect.forEach([
          { topics: [{ name, partitions: 2 }], create: true },
          { topics: [{ name: conflict, partitions: 2 }] }
        ], (topology) => Effect.provide(Layer.build(on(brokers, { ...through, topology })), log))
        assert.strictEqual(said.filter((line) => line.startsWith("WARN")).length, 2)
        assert.notIncludeMembers(yield* topics, [name])
        yield* proxy.restore
        yield* Fixtures.eventually("it is made", topics, (names) => names.includes(name))
        yield* Fixtures.eventually(
          "it is logged",
          Effect.sync(() => said.filter((line) => line.startsWith("ERROR") && line.includes(conflict))),
          ({ length }) => length > 0
        )
      }),
    30_000
  )

  it.scopedLive(
    "publishing makes no topic: it is held back, by name, and found when it is there",
    () =>
      Effect.gen(function*() {
        const name = yield* named("unmade")
        const good = yield* topic(brokers, "beside")
        const broker = yield* Broker.Broker
        const publish = broker.publish([messageOf({ topic: name }), messageOf({ topic: good })])
        const [held, other] = yield* publish
        assert.deepInclude(held, { _tag: "Retriable", scope: "destination" })
        for (const words of [name, "create the topic"]) {
          assert.include(held?._tag === "Retriable" ? held.reason : "", words)
        }
        assert.strictEqual(other?._tag, "Delivered")
        assert.notIncludeMembers(yield* topics, [name])
        yield* withAdmin(brokers, (admin) => admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }] }))
        yield* Fixtures.eventually("it is found", publish, ([outcome]) => outcome?._tag === "Delivered")
      }).pipe(Effect.provide(layer())),
    20_000
  )

  it.scopedLive(
    "joining makes no topic: one that is missing to read from or to publish to is named",
    () =>
      Effect.gen(function*() {
        const [missing, dead] = [yield* named("unread"), yield* named("unburied")]
        const good = yield* topic(brokers, "read")
        const broker = yield* Broker.Broker
        const group = unique("group")
        for (
          const subscription of [
            { topics: [good, missing], group },
            { topics: [good], group, publishesTo: [missing] }
          ]
        ) {
          const error = yield* Effect.flip(Effect.scoped(broker.consume(subscription)))
          assert.strictEqual(error.reason, "Configuration")
          assert.include(error.message, missing)
          assert.notInclude(error.message, good)
        }
        const both = yield* Effect.flip(broker.consume({ topics: [missing], group, publishesTo: [dead] }))
        for (const name of [missing, dead]) assert.include(both.message, name)
        assert.notIncludeMembers(yield* topics, [missing, dead])
        yield* withAdmin(brokers, (admin) => admin.createTopics({ topics: [{ topic: missing, numPartitions: 1 }] }))
        const source = yield* Effect.retry(broker.consume({ topics: [missing], group }), { times: 20 })
        const taking = yield* Effect.fork(Effect.scoped(source.take))
        yield* Fixtures.eventually(
          "it is published",
          broker.publish([messageOf({ topic: missing, id: "found" })]),
          ([outcome]) => outcome?._tag === "Delivered"
        )
        assert.strictEqual((yield* Fiber.join(taking)).message.id, "found")
      }).pipe(Effect.provide(layer())),
    30_000
  )
})
