/**
 * `npm run bench -- brokers`: relays to real brokers, and consumers of them, with the raw clients beside.
 */
import { kafka } from "../brokers/Kafka.ts"
import { relayTo } from "../brokers/RelayTo.ts"
import { servers } from "../Database.ts"
import type { Suite } from "../Suite.ts"

const mariadb = servers.find(({ id }) => id === "mariadb")!

export const suite: Suite = {
  name: "brokers",
  title: "Brokers",
  packages: ["effect", "@effect/sql", "@effect/sql-mysql2", "mysql2", "kafkajs", "amqplib"],
  measurements: [
    relayTo(mariadb, kafka, [
      { id: "relay", title: "relay, 1,000 keys", keys: 1000, messages: 100_000, target: { atLeast: 0.85 } }
    ])
  ]
}
