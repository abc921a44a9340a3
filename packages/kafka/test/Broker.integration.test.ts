import { KafkaBroker } from "@effect-cqrs/kafka"
import { BrokerSuite, Endpoint, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Redacted } from "effect"
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
      largestPayload: 1024 * 1024,
      quiet: "300 millis",
      patience: "15 seconds",
      timeout: 20_000
    })

  suite("kafka", {}, {}, 3)
})
