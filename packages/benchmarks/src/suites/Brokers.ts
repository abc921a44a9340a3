/**
 * `npm run bench -- brokers`: relays to real brokers, with the raw clients beside.
 */
import { kafka } from "../brokers/Kafka.ts"
import { rabbitmq } from "../brokers/Rabbit.ts"
import { relayTo } from "../brokers/RelayTo.ts"
import { servers } from "../Database.ts"
import type { Suite } from "../Suite.ts"

const mariadb = servers.find(({ id }) => id === "mariadb")!

export const suite: Suite = {
  name: "brokers",
  title: "Relays to brokers",
  packages: ["effect", "@effect/sql", "@effect/sql-mysql2", "mysql2", "kafkajs", "amqplib"],
  measurements: [
    relayTo(mariadb, kafka, [
      { id: "relay", title: "relay, 1,000 keys", keys: 1000, messages: 100_000, target: { atLeast: 0.85 } }
    ]),
    relayTo(mariadb, rabbitmq, [
      {
        id: "relay",
        title: "relay, 1,000 keys, pipelined",
        keys: 1000,
        messages: 60_000,
        pipelined: true,
        target: { atLeast: 0.85 }
      },
      { id: "strict-1", title: "  strict order, 1 key", keys: 1, messages: 2000 },
      { id: "strict-100", title: "  strict order, 100 keys", keys: 100, messages: 20_000 },
      {
        id: "strict-10000",
        title: "  strict order, 10,000 keys",
        keys: 10_000,
        messages: 200_000,
        target: { atLeast: 0.7 }
      }
    ])
  ]
}
