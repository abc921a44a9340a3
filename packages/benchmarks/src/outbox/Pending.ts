/**
 * Whether the rate depends on how much is pending, or on a snapshot that somebody holds open.
 */
import * as Effect from "effect/Effect"
import type { Database, Server } from "../Database.ts"
import type { Measurement } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import { type During, windowed } from "./Window.ts"

export const pending = (server: Server): Measurement => ({
  name: `backlog ${server.title}`,
  needs: [server.variable],
  rounds: { full: 3, quick: 2 },
  rows: [
    {
      id: `backlog/${server.id}`,
      title: "a window of 100,000 with 1,000,000 pending, against 100,000",
      unit: "rows/s",
      subject: { contender: "1,000,000 pending", figure: "rate" },
      twin: { contender: "100,000 pending", figure: "rate" },
      target: { atLeast: 0.8 }
    },
    {
      id: `snapshot/${server.id}`,
      title: "  the worst of three windows, with a snapshot held open",
      unit: "rows/s",
      subject: { contender: "1,000,000 pending, snapshot", figure: "rate" },
      twin: { contender: "100,000 pending", figure: "rate" },
      target: { atLeast: 0.5 }
    }
  ],
  contenders: Effect.gen(function*() {
    const window = (pending: number, windows: number, during: During) =>
      windowed(server, { pending, size: 100_000, windows, during })
    return {
      "100,000 pending": yield* window(100_000, 1, (_, drain) => drain),
      "1,000,000 pending": yield* window(1_000_000, 1, (_, drain) => drain),
      "1,000,000 pending, snapshot": yield* window(1_000_000, 3, withSnapshot)
    }
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** With a transaction of another connection open that has read before, and sees all that is deleted since. */
const withSnapshot: During = (database: Database, drain) =>
  Effect.scoped(Effect.flatMap(database.server.hand(database.url), (hand) => {
    const run = (text: string) => Effect.tryPromise(() => hand.query(text))
    return Effect.zipRight(
      Effect.forEach([...database.server.snapshot, `select 1 as one from ${Backlog.table} limit 1`], run),
      Effect.zipLeft(drain, run("rollback"))
    )
  }))
