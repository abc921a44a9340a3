import type { AmqpBroker } from "@effect-cqrs/amqp"
import { BrokerSuite, Endpoint, Proxy, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { afterAll } from "vitest"
import { type Admin, destination, endpoint, foreign, forgetAll, on, topic } from "./rabbitmq.ts"

/** What a connection is given up for soon: the cases wait for it. */
const hasty = { heartbeat: "1 second", deadline: "2 seconds", connectTimeout: "2 seconds" } as const

afterAll(forgetAll, 60_000)

Endpoint.suite("RabbitMQ", { describe, it, ...endpoint }, (url) => {
  const at = new URL(Redacted.value(url))

  const suite = (name: string, options: Omit<AmqpBroker.Options, "url">) =>
    BrokerSuite.suite<Admin>(name, {
      describe,
      it,
      layer: () => on(url, { maxMessageBytes: 4 * 1024 * 1024, ...options }),
      topic,
      ordered: true,
      countsRedeliveries: true,
      capacity: Suite.unsupported("queues are not limited unless the topology says so"),
      restart: Suite.unsupported("others use this server"),
      network: () =>
        Effect.map(Proxy.make({ host: at.hostname, port: Number(at.port || 5672) }), (proxy) => {
          const through = new URL(at)
          through.hostname = proxy.host
          through.port = `${proxy.port}`
          return { proxy, layer: on(url, { ...hasty, ...options }, Redacted.make(through.href)) }
        }),
      destination,
      foreign,
      tombstones: Suite.unsupported("AMQP has none"),
      durable: true,
      window: { beyond: 0 },
      refused: (message) => ({ ...message, payload: new Uint8Array(5 * 1024 * 1024) }),
      largestPayload: 1024 * 1024,
      quiet: "200 millis",
      patience: "15 seconds",
      timeout: 90_000
    })

  suite("quorum queues", {})
  suite("classic queues, pipelined", { queueType: "classic", order: "pipelined" })
})
