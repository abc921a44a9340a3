/**
 * `npm run bench -- outbox`: transactions, outbox and relay.
 */
import { servers } from "../Database.ts"
import { drain } from "../outbox/Drain.ts"
import { idlePoll } from "../outbox/IdlePoll.ts"
import { peers } from "../outbox/Peers.ts"
import { pending } from "../outbox/Pending.ts"
import { transactions } from "../outbox/Transactions.ts"
import { writers } from "../outbox/Writers.ts"
import type { Suite } from "../Suite.ts"

export const suite: Suite = {
  name: "outbox",
  title: "Transactions, outbox and relay",
  packages: ["effect", "@effect/sql", "@effect/sql-mysql2", "@effect/sql-pg", "mysql2", "pg", "pg-boss"],
  measurements: [
    ...servers.map(transactions),
    ...servers.map(drain),
    ...servers.map(pending),
    peers,
    ...servers.map(idlePoll),
    ...servers.map(writers)
  ]
}
