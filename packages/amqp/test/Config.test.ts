import { AmqpBroker, Topology } from "@effect-cqrs/amqp"
import { Broker } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer, Redacted } from "effect"

const read = (values: Record<string, string>) =>
  Effect.withConfigProvider(AmqpBroker.config, ConfigProvider.fromMap(new Map(Object.entries(values))))

const secret = "amqp://user:very-secret@localhost:5672/x"

const failure = (options: AmqpBroker.Options) => Effect.flip(Layer.build(AmqpBroker.layer(options))).pipe(Effect.scoped)

describe("configuration", () => {
  it.effect("only the URL must be there", () =>
    Effect.gen(function*() {
      const { url, ...rest } = yield* read({ CQRS_AMQP_URL: secret })
      assert.deepStrictEqual([url].flat().map(Redacted.value as never), [secret])
      assert.deepStrictEqual(rest, {})
      assert.include(String(yield* Effect.flip(read({}))), "CQRS_AMQP_URL")
    }))

  it.effect("all that can be given is read", () =>
    Effect.gen(function*() {
      const { deadline, heartbeat, url, ...rest } = yield* read({
        CQRS_AMQP_URL: "amqp://one, amqp://two",
        CQRS_AMQP_DECLARE: "false",
        CQRS_AMQP_QUEUE_TYPE: "classic",
        CQRS_AMQP_ORDER: "pipelined",
        CQRS_AMQP_MAX_MESSAGE_BYTES: "1024",
        CQRS_AMQP_DEADLINE: "5 seconds",
        CQRS_AMQP_HEARTBEAT: "3 seconds",
        CQRS_AMQP_CONNECTION_NAME: "billing"
      })
      assert.deepStrictEqual([url].flat().map(Redacted.value as never), ["amqp://one", "amqp://two"])
      assert.deepStrictEqual(rest, {
        declare: false,
        queueType: "classic",
        order: "pipelined",
        maxMessageBytes: 1024,
        connectionName: "billing"
      })
      assert.deepStrictEqual([Duration.toMillis(deadline!), Duration.toMillis(heartbeat!)], [5000, 3000])
    }))

  for (
    const [name, value] of [
      ["CQRS_AMQP_DECLARE", "perhaps"],
      ["CQRS_AMQP_QUEUE_TYPE", "stream"],
      ["CQRS_AMQP_ORDER", "random"],
      ["CQRS_AMQP_MAX_MESSAGE_BYTES", "0"],
      ["CQRS_AMQP_DEADLINE", "soon"]
    ] as const
  ) {
    it.effect(`${name}=${value} is refused by its name, without the URL`, () =>
      Effect.gen(function*() {
        const message = String(yield* Effect.flip(read({ CQRS_AMQP_URL: secret, [name]: value })))
        assert.include(message, name)
        assert.notInclude(message, "very-secret")
      }))
  }

  for (const url of ["", "very-secret", "http://very-secret@localhost", "amqp://"]) {
    it.effect(`the URL ${JSON.stringify(url)} is refused without being told`, () =>
      Effect.gen(function*() {
        const error = yield* failure({ url: Redacted.make(url) })
        assert.instanceOf(error, Broker.BrokerError)
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, "amqp://user:password@host:5672/vhost")
        assert.notInclude(JSON.stringify(error), "very-secret")
      }))
  }

  it.effect("a certificate that is none is refused without being told", () =>
    Effect.gen(function*() {
      const error = yield* failure({ url: Redacted.make(secret), tls: { cert: "very-secret", key: "very-secret" } })
      assert.strictEqual(error.reason, "Configuration")
      assert.include(error.message, "PEM")
      assert.notInclude(JSON.stringify(error), "very-secret")
    }))

  const wrong: ReadonlyArray<readonly [what: string, options: object, words: ReadonlyArray<string>]> = [
    ["no time at all", { deadline: 0 }, ["deadline", "more than 0"]],
    ["an endless duration", { deadline: Duration.infinity }, ["deadline", "24 days"]],
    ["a negative duration", { connectTimeout: -5 }, ["connectTimeout", "-5"]],
    ["a duration that is none", { heartbeat: "soon" }, ["heartbeat", "soon"]],
    ["heartbeats that are too rare", { heartbeat: "20 hours" }, ["heartbeat", "65535 seconds"]],
    ["another type of queue", { queueType: "stream" }, ["queueType", "stream", "quorum"]],
    ["another order", { order: "random" }, ["order", "random", "pipelined"]],
    ["less than a byte", { maxMessageBytes: 0.5 }, ["maxMessageBytes", "0.5"]]
  ]
  for (const [what, options, words] of wrong) {
    it.live(`${what}: refused with a sentence`, () =>
      Effect.gen(function*() {
        const error = yield* failure({ url: Redacted.make("amqp://127.0.0.1:1"), ...options })
        assert.instanceOf(error, Broker.BrokerError)
        assert.strictEqual(error.reason, "Configuration")
        for (const word of words) assert.include(error.message, word)
      }))
  }

  it.effect("partitions must be a whole number from 1, of an exchange of the type topic", () =>
    Effect.gen(function*() {
      for (const exchange of [{ partitions: 0 }, { partitions: 1.5 }, { partitions: 2, type: "fanout" }]) {
        const topology: Topology.Topology = { exchanges: [{ name: "meetings", ...exchange }] }
        const error = yield* failure({ url: Redacted.make(secret), topology })
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, "meetings")
      }
    }))
})

describe("partitions", () => {
  it("are those of FNV-1a, as other programs may reckon them", () => {
    // its published test vectors
    for (const [text, hash] of [["", 0x811c9dc5], ["a", 0xe40c292c], ["foobar", 0xbf9cf968]] as const) {
      assert.strictEqual(Topology.partitionOf(text, 2 ** 32), hash)
    }
  })
})
