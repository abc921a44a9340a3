/**
 * `npm run bench -- growth`: what becomes of the figures when there is more of something.
 */
import { servers } from "../Database.ts"
import * as Backlogs from "../growth/Backlogs.ts"
import * as Keys from "../growth/Keys.ts"
import * as Payloads from "../growth/Payloads.ts"
import * as Relays from "../growth/Relays.ts"
import * as Writers from "../growth/Writers.ts"
import type { Suite } from "../Suite.ts"

const mariadb = servers.find(({ id }) => id === "mariadb")!

export const suite: Suite = {
  name: "growth",
  title: "How it grows",
  packages: ["effect", "@effect/sql", "@effect/sql-mysql2", "mysql2"],
  charts: [Relays.axis, Keys.axis, Backlogs.axis, Payloads.axis, Writers.axis],
  measurements: [
    Relays.relays(mariadb),
    Keys.keys(mariadb),
    Backlogs.backlogs(mariadb),
    Payloads.payloads(mariadb),
    Writers.writers(mariadb)
  ]
}
