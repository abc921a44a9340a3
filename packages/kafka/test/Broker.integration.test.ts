import type { KafkaBroker } from "@effect-cqrs/kafka"
import { BrokerSuite, Endpoint, Proxy, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted, Scope } from "effect"
import * as Crypto from "node:crypto"
import { afterAll } from "vitest"
import { destination, endpoint, foreign, hasty, on, Server, topic } from "./support/kafka.ts"
import { ownServer } from "./support/server.ts"

/** One for all cases that restart it. */
const own = Effect.runSync(Effect.gen(function*() {
  const scope = yield* Scope.make()
  const server = yield* Effect.cached(Scope.extend(ownServer, scope))
  return { server, close: Scope.close(scope, Exit.void) }
}))

afterAll(() => Effect.runPromise(own.close), 60_000)

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const [host, port] = brokers.split(",")[0]!.split(":") as [string, string]
  const options = (given: Partial<KafkaBroker.Options>): Partial<KafkaBroker.Options> => ({
    ...given,
    consumer: { ...hasty, ...given.consumer }
  })

  const suite = (name: string, given: Partial<KafkaBroker.Options>, facts: Partial<BrokerSuite.Facts<Server>> = {}) =>
    BrokerSuite.suite<Server>(name, {
      describe,
      it,
      layer: () => on(brokers, options(given)),
      topic: (name) => Effect.flatMap(Server, (server) => topic(server.brokers, name)),
      ordered: true,
      countsRedeliveries: Suite.unsupported("Kafka does not count them"),
      capacity: Suite.unsupported("Kafka keeps all messages for all groups"),
      restart: () =>
        Effect.map(own.server, (server) => ({
          // a member that the restart has cut off is waited for no longer than that
          layer: on(
            server.brokers,
            options({ ...given, consumer: { sessionTimeout: "6 seconds", ...given.consumer } })
          ),
          restart: server.restart
        })),
      network: () =>
        Effect.map(Proxy.make({ host, port: Number(port) }), (proxy) => ({
          proxy,
          layer: on(
            brokers,
            options({
              ...given,
              producer: { ...given.producer, deadline: "2 seconds" },
              consumer: { sessionTimeout: "6 seconds", ...given.consumer },
              requestTimeout: "2 seconds",
              redirect: () => ({ host: "127.0.0.1", port: proxy.port })
            })
          )
        })),
      destination,
      foreign,
      tombstones: true,
      durable: true,
      window: { beyond: 0 },
      refused: (message) => ({ ...message, payload: new Uint8Array(5 * 1024 * 1024) }),
      largestPayload: 1024 * 1024,
      quiet: "300 millis",
      patience: "15 seconds",
      timeout: 150_000,
      ...facts
    })

  suite("kafka", {})

  // its cases share nothing, and mostly wait
  suite("compressed, structured", {
    producer: { compression: "gzip" },
    wire: { mode: "structured" }
  }, {
    describe: describe.concurrent,
    restart: Suite.unsupported("The same server, and shown above"),
    tombstones: Suite.unsupported("They come from other programs"),
    foreign: Suite.unsupported("Its records are read above, in either mode"),
    // what can be made smaller is sent
    refused: (message) => ({ ...message, payload: Crypto.randomBytes(5 * 1024 * 1024) })
  })
})
