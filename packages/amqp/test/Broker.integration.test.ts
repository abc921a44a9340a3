import { BrokerSuite, Endpoint, Suite } from "@effect-cqrs/testing"
import { afterAll, describe, it } from "@effect/vitest"
import { cleanUp, endpoint, factsOf, type Options, withoutBindings, withoutExchange } from "./support/rabbitmq.ts"

const maxMessageBytes = 4 * 1024 * 1024

Endpoint.suite("RabbitMQ", { describe, it, ...endpoint }, (url) => {
  afterAll(() => cleanUp(url))

  const facts = (options: Options, destination: typeof withoutExchange) => ({
    describe: describe.concurrent,
    it,
    ...factsOf(url, { maxMessageBytes, ...options }),
    destination,
    ordered: true as const,
    countsRedeliveries: true as const,
    capacity: Suite.unsupported("queues are not limited unless the topology says so"),
    tombstones: Suite.unsupported("AMQP's messages have a body"),
    window: { beyond: 0 },
    // its own limit is 128 MiB
    refused: (message: Parameters<Exclude<BrokerSuite.Facts<never>["refused"], Suite.Unsupported>>[0]) => ({
      ...message,
      payload: new Uint8Array(maxMessageBytes + 1)
    }),
    durable: true as const,
    largestPayload: 2 * 1024 * 1024,
    quiet: "200 millis" as const,
    patience: "15 seconds" as const
  })

  BrokerSuite.suite("quorum queues", facts({}, withoutExchange))
  BrokerSuite.suite("classic queues", facts({ queueType: "classic" }, withoutBindings))
  BrokerSuite.suite("pipelined, structured", {
    ...facts({ order: "pipelined", wire: { mode: "structured" } }, withoutBindings),
    foreign: Suite.unsupported("in structured mode the attributes are in the body, and the other suites do it"),
    restart: Suite.unsupported("the other suites do it")
  })
})
