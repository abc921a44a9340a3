/**
 * `npm run bench -- consumer`: consumers of real brokers, with the raw clients beside.
 */
import { consume } from "../brokers/Consume.ts"
import { inbox } from "../brokers/Inbox.ts"
import { kafka } from "../brokers/Kafka.ts"
import { rabbitmq } from "../brokers/Rabbit.ts"
import { servers } from "../Database.ts"
import type { Suite } from "../Suite.ts"

const mariadb = servers.find(({ id }) => id === "mariadb")!

export const suite: Suite = {
  name: "consumer",
  title: "Consumers of brokers",
  packages: ["effect", "@effect/sql", "@effect/sql-mysql2", "mysql2", "kafkajs", "amqplib"],
  measurements: [consume(mariadb, kafka), consume(mariadb, rabbitmq), inbox(mariadb, kafka)]
}
