import { KafkaBroker } from "@effect-cqrs/kafka"
import { BrokerSuite, Endpoint, Proxy, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { endpoint, hasty, topic } from "./support/kafka.ts"

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const suite = (
    name: string,
    producer: KafkaBroker.ProducerOptions,
    consumer: KafkaBroker.ConsumerOptions,
    partitions: number
  ) =>
    BrokerSuite.suite(name, {
      describe,
      it,
      layer: () => KafkaBroker.layer({ brokers: brokers.split(","), producer, consumer: { ...hasty, ...consumer } }),
      topic: (name) => topic(brokers, name, { partitions }),
      ordered: true,
      countsRedeliveries: Suite.unsupported("Kafka does not count them"),
      capacity: Suite.unsupported("Kafka keeps all messages for all groups"),
      restart: Suite.unsupported("others use this server"),
      network: () =>
        Effect.map(Proxy.make({ host: "127.0.0.1", port: Number(brokers.split(":")[1]) }), (proxy) => ({
          proxy,
          layer: KafkaBroker.layer({
            brokers: brokers.split(","),
            producer: { ...producer, deadline: "2 seconds" },
            consumer: { ...hasty, sessionTimeout: "6 seconds", ...consumer },
            requestTimeout: "2 seconds",
            redirect: () => ({ host: "127.0.0.1", port: proxy.port })
          })
        })),
      destination: Suite.unsupported("not declared yet"),
      foreign: Suite.unsupported("not declared yet"),
      tombstones: true,
      durable: true,
      window: { beyond: 0 },
      refused: (message) => ({ ...message, payload: new Uint8Array(5 * 1024 * 1024) }),
      largestPayload: 1024 * 1024,
      quiet: "300 millis",
      patience: "15 seconds",
      timeout: 60_000
    })

  suite("kafka", {}, {}, 3)
})
