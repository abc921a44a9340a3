/** What goes wrong from outside has one clear answer, and harms nothing beside it. */
import { Broker, BucketOwner, OutboxStorage, Relay, Transaction, Transactor } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { Endpoint, Fixtures, Proxy } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, Schedule } from "effect"
import { endpoint, hasty, on, topic, unique, withAdmin } from "./support/kafka.ts"

const { messageOf } = Fixtures

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const quiet = Logger.remove(Logger.defaultLogger)
  const layer = (options: Omit<KafkaBroker.Options, "brokers"> = {}) =>
    Layer.provide(on(brokers, { consumer: hasty, ...options }), quiet)
  const storages = Layer.provideMerge(Transactor.layerMemory, OutboxStorage.layerMemory())
  const relaying = Relay.layer({
    retry: Schedule.stop,
    backoff: Schedule.spaced("20 millis"),
    pollInterval: "20 millis"
  }).pipe(Layer.provide(BucketOwner.layerSingle), Layer.provideMerge(Layer.merge(layer(), storages)))
  const shortOf = (outcomes: ReadonlyArray<Broker.Outcome>) =>
    outcomes.map((outcome) => outcome._tag === "Retriable" ? outcome.scope : outcome._tag)
  const reasonOf = (outcome: Broker.Outcome | undefined) =>
    outcome === undefined || outcome._tag === "Delivered" ? "" : outcome.reason
  const countOf = (name: string) =>
    Effect.map(
      withAdmin(brokers, (admin) => admin.fetchTopicOffsets(name)),
      (offsets) => offsets.reduce((sum, { high }) => sum + Number(high), 0)
    )

  it.scopedLive(
    "where nothing answers the layer is made: publishing is retriable, and joining says so",
    () =>
      Effect.gen(function*() {
        const broker = yield* Broker.Broker
        const outcomes = yield* broker.publish([messageOf(), messageOf()])
        assert.deepStrictEqual(shortOf(outcomes), ["broker", "broker"])
        assert.include(reasonOf(outcomes[0]), "Kafka cannot be reached")
        const joining = yield* Effect.flip(broker.consume({ topics: ["any"], group: "any" }))
        const sifting = yield* Effect.flip(broker.sift({ topic: "any", group: "any" }, () => Effect.succeed("kept")))
        assert.deepStrictEqual([joining.reason, sifting.reason], ["Unavailable", "Unavailable"])
      }).pipe(
        Effect.provide(Layer.provide(KafkaBroker.layer({ brokers: ["127.0.0.1:1"] }), quiet))
      ),
    20_000
  )

  it.scopedLive(
    "a connection that has become silent is given up, though nothing but a look at the topic was due",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "silent")
        const [host, port] = brokers.split(",")[0]!.split(":") as [string, string]
        const proxy = yield* Proxy.make({ host, port: Number(port) })
        yield* Effect.gen(function*() {
          const broker = yield* Broker.Broker
          const publish = broker.publish([messageOf({ topic: name })])
          assert.deepStrictEqual(shortOf(yield* publish), ["Delivered"])
          yield* proxy.stall
          // what is known of the topic is too old by now
          yield* Effect.sleep("20 millis")
          assert.deepStrictEqual(shortOf(yield* publish), ["broker"])
          yield* proxy.restore
          yield* Fixtures.eventually("it is delivered", publish, ([outcome]) => outcome?._tag === "Delivered")
        }).pipe(Effect.provide(layer({
          metadataMaxAge: "10 millis",
          requestTimeout: "500 millis",
          producer: { deadline: "1 second" },
          redirect: () => ({ host: "127.0.0.1", port: proxy.port })
        })))
      }),
    30_000
  )

  it.scopedLive(
    "the relay goes on with the rest, and only what was judged is a dead letter",
    () =>
      Effect.gen(function*() {
        const good = yield* topic(brokers, "relay", { config: { "max.message.bytes": "1024" } })
        const missing = unique("relay_missing")
        const storage = yield* OutboxStorage.OutboxStorage
        yield* Transaction.run(storage.append([
          messageOf({ topic: good, key: "a" }),
          messageOf({ topic: missing, key: "a" }),
          messageOf({ topic: good, key: "judged", payload: new Uint8Array(2048) }),
          messageOf({ topic: missing, key: "b" }),
          messageOf({ topic: good, key: "b" })
        ]))
        const statistics = yield* Fixtures.eventually(
          "the rest is delivered",
          storage.statistics,
          ({ dead, pending }) => dead === 1 && pending === 2
        )
        assert.deepInclude(statistics, { dead: 1, pending: 2 })
        assert.strictEqual(yield* countOf(good), 2)
        const [letter] = yield* storage.deadLetters({ limit: 10 })
        assert.strictEqual(letter?.message.key, "judged")
        assert.include(letter?.reason, "max.message.bytes")
      }).pipe(Effect.provide(relaying)),
    20_000
  )

  it.scopedLive(
    "headers that are called as the protocol's are rejected by name; all others come as they were",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "headers", { partitions: 1 })
        const broker = yield* Broker.Broker
        const own = (header: string, value: string) => Object.fromEntries([[header, value]])
        const sent = [
          own("ce_id", "x"),
          own("content-type", "x"),
          own("content-encoding", "gzip"),
          own("", "empty"),
          own("large", "x".repeat(70 * 1024)),
          own("__proto__", "x"),
          own("constructor", "x"),
          own("toString", "x"),
          own("0", "number"),
          own("größe \u0000 \u{1F600}", "größe")
        ].map((headers) => messageOf({ topic: name, key: undefined, headers }))
        const outcomes = yield* broker.publish(sent)
        const isRejected = (index: number) => outcomes[index]?._tag === "Rejected"
        for (const [index, header] of ["ce_id", "content-type", "content-encoding"].entries()) {
          assert.isTrue(isRejected(index), header)
          assert.include(reasonOf(outcomes[index]), header)
        }
        for (const outcome of outcomes) assert.notStrictEqual(outcome._tag, "Retriable")
        const delivered = sent.filter((_, index) => !isRejected(index))
        assert.isAtLeast(delivered.length, 6)
        const source = yield* broker.consume({ topics: [name], group: unique("group") })
        for (const message of delivered) {
          const taken = yield* Effect.scoped(source.take)
          assert.strictEqual(taken.unreadable, undefined)
          Fixtures.assertMessage(taken.message, { ...message, sequence: taken.message.sequence })
        }
      }).pipe(Effect.provide(layer())),
    20_000
  )

  it.scopedLive("a subscription that cannot be is refused with a sentence", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const any = { topics: ["any"], group: "any" }
      const wrong: ReadonlyArray<readonly [words: string, subscription: Broker.Subscription]> = [
        ...[0, -1, 1.5, Number.NaN].map((window) => ["window", { ...any, window }] as const),
        ["no topics", { ...any, topics: [] }],
        ["group", { ...any, group: "" }]
      ]
      for (const [words, subscription] of wrong) {
        const error = yield* Effect.flip(broker.consume(subscription))
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, words)
      }
    }).pipe(Effect.provide(layer())), 20_000)
})
