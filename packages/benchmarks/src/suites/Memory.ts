/**
 * `npm run bench -- memory`: what a relay's process takes, with a backlog and without.
 */
import { servers } from "../Database.ts"
import { memory } from "../outbox/Memory.ts"
import type { Suite } from "../Suite.ts"

export const suite: Suite = {
  name: "memory",
  title: "Memory",
  packages: ["effect", "@effect/sql", "@effect/sql-mysql2", "@effect/sql-pg", "mysql2", "pg"],
  measurements: servers.map(memory)
}
