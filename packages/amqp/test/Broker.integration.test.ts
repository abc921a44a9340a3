import { AmqpBroker } from "@effect-cqrs/amqp"
import { BrokerSuite, Endpoint, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { fixture, variable } from "./rabbitmq.ts"

Endpoint.suite("RabbitMQ", { describe, it, variable }, (url) => {
  const facts = (name: string, options: Omit<AmqpBroker.Options, "url">) => ({
    describe,
    it,
    ...fixture(name, url, options),
    ordered: true as const,
    countsRedeliveries: true as const,
    capacity: Suite.unsupported("queues are not limited unless the topology says so"),
    restart: Suite.unsupported("the server is shared"),
    largestPayload: 8 * 1024 * 1024
  })

  BrokerSuite.suite("quorum queues", facts("quorum", {}))
  BrokerSuite.suite("classic queues", facts("classic", { queueType: "classic" }))
  BrokerSuite.suite("pipelined, structured", facts("pipelined", { order: "pipelined", wire: { mode: "structured" } }))
})
