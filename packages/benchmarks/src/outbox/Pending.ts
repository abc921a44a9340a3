/**
 * Whether the rate depends on how much is pending, or on a snapshot that somebody holds open.
 */
import * as Effect from "effect/Effect"
import type { Database, Server } from "../Database.ts"
import { Run } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Ledger from "./Ledger.ts"
import * as Program from "./Program.ts"

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
    const { count, fault } = yield* Run
    const window = count(100_000)

    /** An outbox in a database of its own, which is filled up again when a round begins. */
    const outbox = (
      options: { readonly pending: number; readonly windows: number; readonly during: typeof withSnapshot }
    ) =>
      Effect.gen(function*() {
        const { context, database } = yield* Program.make(server, 10)
        const provide = Effect.provide(context)
        const backlog = yield* provide(Backlog.make(server, "bench_window", { count: window, keys: 1000 }))
        const full = Math.ceil(count(options.pending) / backlog.count) * backlog.count
        let added = 0
        let capacity = 0
        let marks: Array<number> = []
        const ledger = Ledger.make({
          versions: backlog.versions,
          fault,
          capacity: () => capacity,
          onBatch: () => {
            const reached = Math.floor((ledger.taken() - (capacity - options.windows * backlog.count)) / backlog.count)
            while (marks.length < reached) marks.push(performance.now())
          }
        })
        const round: Round = Effect.gen(function*() {
          added += yield* Backlog.fill(server, backlog, (full - (added - ledger.taken())) / backlog.count)
          capacity = ledger.taken() + options.windows * backlog.count
          marks = []
          const relay = yield* Program.relay(ledger)
          const started = performance.now()
          yield* options.during(database, relay.drain)
          yield* ledger.check(capacity)
          yield* Backlog.left(added - capacity)
          const windows = marks.map((mark, at) => mark - (marks[at - 1] ?? started))
          return { rate: backlog.count / Math.max(...windows) * 1000 }
        }).pipe(Effect.scoped, provide)
        return round
      })

    return {
      "100,000 pending": yield* outbox({ pending: 100_000, windows: 1, during: (_, drain) => drain }),
      "1,000,000 pending": yield* outbox({ pending: 1_000_000, windows: 1, during: (_, drain) => drain }),
      "1,000,000 pending, snapshot": yield* outbox({ pending: 1_000_000, windows: 3, during: withSnapshot })
    }
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** With a transaction of another connection open that has read before, and sees all that is deleted since. */
const withSnapshot = (database: Database, drain: Effect.Effect<unknown, unknown>): Effect.Effect<unknown, unknown> =>
  Effect.scoped(Effect.flatMap(database.server.hand(database.url), (hand) => {
    const run = (text: string) => Effect.tryPromise(() => hand.query(text))
    return Effect.zipRight(
      Effect.forEach([...database.server.snapshot, `select 1 as one from ${Backlog.table} limit 1`], run),
      Effect.zipLeft(drain, run("rollback"))
    )
  }))
