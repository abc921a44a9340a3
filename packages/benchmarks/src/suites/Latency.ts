/**
 * `npm run bench -- latency`: how long after its commit an event is with the broker.
 */
import { servers } from "../Database.ts"
import { latency } from "../outbox/Latency.ts"
import type { Suite } from "../Suite.ts"

export const suite: Suite = {
  name: "latency",
  title: "From commit to broker",
  packages: ["effect", "@effect/sql", "@effect/sql-mysql2", "@effect/sql-pg", "mysql2", "pg"],
  measurements: servers.map(latency)
}
