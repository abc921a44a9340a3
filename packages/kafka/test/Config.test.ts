import { Broker } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Exit, Layer, Logger, Redacted } from "effect"

const read = (values: Record<string, string>) =>
  Effect.withConfigProvider(KafkaBroker.config, ConfigProvider.fromMap(new Map(Object.entries(values))))

const brokers = ["127.0.0.1:1"]

const failure = (options: Partial<KafkaBroker.Options>) =>
  Effect.scoped(Effect.flip(Layer.build(KafkaBroker.layer({ brokers, ...options }))))

const login = {
  CQRS_KAFKA_BROKERS: "one:9092",
  CQRS_KAFKA_SASL_MECHANISM: "scram-sha-512",
  CQRS_KAFKA_USERNAME: "orders",
  CQRS_KAFKA_PASSWORD: "very-secret"
}

describe("configuration", () => {
  it.effect("only the brokers must be there", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({ CQRS_KAFKA_BROKERS: "one:9092" }), { brokers: ["one:9092"], producer: {} })
      assert.include(String(yield* Effect.flip(read({}))), "CQRS_KAFKA_BROKERS")
    }))

  it.effect("all that can be given is read", () =>
    Effect.gen(function*() {
      const { producer, sasl, ...rest } = yield* read({
        ...login,
        CQRS_KAFKA_BROKERS: "one:9092, two:9092",
        CQRS_KAFKA_CLIENT_ID: "billing",
        CQRS_KAFKA_TLS: "true",
        CQRS_KAFKA_COMPRESSION: "gzip",
        CQRS_KAFKA_PUBLISH_DEADLINE: "5 seconds"
      })
      assert.deepStrictEqual(rest, { brokers: ["one:9092", "two:9092"], clientId: "billing", tls: true })
      assert.deepStrictEqual(sasl, {
        mechanism: "scram-sha-512",
        username: "orders",
        password: Redacted.make("very-secret")
      })
      assert.strictEqual(producer?.compression, "gzip")
      assert.strictEqual(Duration.toMillis(producer!.deadline!), 5000)
      assert.notInclude(JSON.stringify({ sasl }) + String(sasl?.mechanism), "very-secret")
    }))

  for (
    const [name, value] of [
      ["CQRS_KAFKA_TLS", "perhaps"],
      ["CQRS_KAFKA_SASL_MECHANISM", "gssapi"],
      ["CQRS_KAFKA_COMPRESSION", "brotli"],
      ["CQRS_KAFKA_PUBLISH_DEADLINE", "soon"],
      ["CQRS_KAFKA_BROKERS", ""]
    ] as const
  ) {
    it.effect(`${name}=${value} is refused by its name, without the password`, () =>
      Effect.gen(function*() {
        const message = String(yield* Effect.flip(read({ ...login, [name]: value })))
        assert.include(message, name)
        assert.notInclude(message, "very-secret")
      }))
  }

  for (const name of ["CQRS_KAFKA_SASL_MECHANISM", "CQRS_KAFKA_USERNAME", "CQRS_KAFKA_PASSWORD"] as const) {
    it.effect(`a login without ${name} is refused by that name, and is not left out`, () =>
      Effect.gen(function*() {
        const { [name]: _, ...rest } = login
        const message = String(yield* Effect.flip(read(rest)))
        assert.include(message, name)
        assert.notInclude(message, "very-secret")
      }))
  }

  it.effect("what is configured goes before the options, and leaves the others", () =>
    Effect.gen(function*() {
      const build = (values: Record<string, string>) =>
        Layer.build(KafkaBroker.layerConfig({ producer: { partitioner: "murmur2", compression: "none" } })).pipe(
          Effect.scoped,
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values)))),
          Effect.flip
        )
      const error = yield* build({ CQRS_KAFKA_BROKERS: "one:9092", CQRS_KAFKA_COMPRESSION: "zstd" })
      assert.include(String(error), "zstd")
    }))
})

describe("options", () => {
  const wrong: ReadonlyArray<readonly [string, Partial<KafkaBroker.Options>, ReadonlyArray<string>]> = [
    ["no brokers", { brokers: [] }, ["brokers", "host:port"]],
    ["a broker without a port", { brokers: ["one:9092", "two"] }, ["two", "host:port"]],
    ["a port that is none", { brokers: ["one:99999"] }, ["one:99999", "host:port"]],
    ["a URL in place of an address", { brokers: ["kafka://orders:very-secret@one:9092"] }, ["host:port"]],
    ["another partitioner", { producer: { partitioner: "random" as "crc32" } }, ["partitioner", "random", "murmur2"]],
    ["another compression", { producer: { compression: "brotli" as "gzip" } }, ["compression", "brotli"]],
    ["a compression without codec", { producer: { compression: "lz4" } }, ["lz4", "CompressionCodecs"]],
    ["another order", { consumer: { order: "topic" as "key" } }, ["order", "topic", "partition"]],
    [
      "another login",
      { sasl: { mechanism: "SCRAM-SHA-512" as "plain", username: "orders", password: Redacted.make("very-secret") } },
      ["mechanism", "SCRAM-SHA-512", "scram-sha-512"]
    ],
    ["a certificate that is none", { tls: { cert: "very-secret", key: "very-secret" } }, ["tls", "PEM"]],
    ["a negative duration", { requestTimeout: -5 }, ["requestTimeout", "-5", "more than 0"]],
    ["no time at all", { producer: { deadline: 0 } }, ["deadline", "more than 0"]],
    ["an endless duration", { connectionTimeout: Duration.infinity }, ["connectionTimeout", "24 days"]],
    ["a duration that is none", { consumer: { drainTimeout: "soon" as "1 second" } }, ["drainTimeout", "soon"]],
    ["parts of a byte", { consumer: { maxBytesPerPartition: 0.5 } }, ["maxBytesPerPartition", "0.5"]],
    [
      "heartbeats that are too rare",
      { consumer: { heartbeatInterval: "1 minute", sessionTimeout: "6 seconds" } },
      ["heartbeat interval", "session timeout"]
    ],
    ["a topic of no partitions", { topology: { topics: [{ name: "meetings", partitions: 0 }] } }, ["meetings", "0"]],
    [
      "a topic of half a partition",
      { topology: { topics: [{ name: "meetings", partitions: 1.5 }], create: true } },
      ["meetings", "1.5"]
    ]
  ]

  for (const [what, options, words] of wrong) {
    it.live(`${what}: refused with a sentence`, () =>
      Effect.gen(function*() {
        const error = yield* failure(options)
        assert.instanceOf(error, Broker.BrokerError)
        assert.strictEqual(error.reason, "Configuration")
        for (const word of words) assert.include(error.message, word)
        assert.notInclude(error.message + JSON.stringify(error), "very-secret")
      }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))
  }

  it.live("what can be is not refused, though nothing answers", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Layer.build(KafkaBroker.layer({
        brokers: ["127.0.0.1:1", "localhost:65535"],
        connectionTimeout: "100 millis",
        producer: { partitioner: "crc32", compression: "gzip", deadline: "1 second" },
        consumer: { order: "partition", maxBytesPerPartition: 1 }
      })))
      assert.isTrue(Exit.isSuccess(exit))
    }).pipe(Effect.scoped, Effect.provide(Logger.remove(Logger.defaultLogger))))
})
