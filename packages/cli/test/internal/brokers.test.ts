import { assert, describe, it } from "@effect/vitest"
import { Either, Redacted } from "effect"
import { addressOf } from "../../src/internal/brokers.ts"

const read = (url: string) =>
  Either.match(addressOf(Redacted.make(url)), {
    onLeft: ({ ending, message }) => ({ ending, message }),
    onRight: ({ kind, settings, shown }) => ({ kind, shown, settings: Object.fromEntries(settings) })
  })

describe("the URL of a broker", () => {
  it("is the adapter's own configuration, and is shown without user and password", () => {
    assert.deepStrictEqual(read("kafka://one:9092,two:9093"), {
      kind: "kafka",
      shown: "kafka://one:9092,two:9093",
      settings: { CQRS_KAFKA_BROKERS: "one:9092,two:9093" }
    })
    assert.deepStrictEqual(read("kafkas://rooms:a%2Fb@one:9093?mechanism=scram-sha-512"), {
      kind: "kafka",
      shown: "kafkas://one:9093",
      settings: {
        CQRS_KAFKA_BROKERS: "one:9093",
        CQRS_KAFKA_TLS: "true",
        CQRS_KAFKA_SASL_MECHANISM: "scram-sha-512",
        CQRS_KAFKA_USERNAME: "rooms",
        CQRS_KAFKA_PASSWORD: "a/b"
      }
    })
    assert.deepStrictEqual(read("amqps://rooms:secret@one/vhost"), {
      kind: "amqp",
      shown: "amqps://one/vhost",
      settings: { CQRS_AMQP_URL: "amqps://rooms:secret@one/vhost" }
    })
  })

  it("is shown without a password that should have been escaped, and was not", () => {
    for (const password of ["a@secret", "a,secret", "a/secret", "a,@secret"]) {
      const url = `amqp://rooms:${password}@one/vhost`
      assert.strictEqual((read(url) as { readonly shown: string }).shown, "amqp://one/vhost", url)
    }
    assert.deepInclude(read("amqp://a:secret@one, amqps://b:sec@ret@two:5671"), {
      shown: "amqp://one,amqps://two:5671"
    })
  })

  it("is refused by a sentence that does not repeat it", () => {
    for (const url of ["", "kafka://", "http://rooms:secret@one", "one:9092", "kafka://a:%ZZ@one:9092"]) {
      const { ending, message } = read(url) as { readonly ending: string; readonly message: string }
      assert.strictEqual(ending, "Usage", url)
      assert.match(message, /^The URL of the broker is none: write it as kafka:/)
      assert.notInclude(message, "secret")
    }
  })
})
