/**
 * How quickly a backlog goes to a broker that takes everything at once, beside the same rows read and deleted by hand.
 */
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Hand, Server } from "../Database.ts"
import { Run } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Ledger from "./Ledger.ts"
import * as Program from "./Program.ts"

/** Rows by hand are read and deleted in batches of the relay's default size. */
const batchSize = 500

export const drain = (server: Server): Measurement => ({
  name: `drain ${server.title}`,
  needs: [server.variable],
  rounds: { full: 5, quick: 3 },
  rows: [
    {
      id: `drain/${server.id}`,
      title: "drain, 1,000 keys, against by hand",
      unit: "rows/s",
      subject: { contender: "relay", figure: "rate" },
      twin: { contender: "by hand", figure: "rate" },
      target: { atLeast: 0.5 }
    },
    {
      id: `drain-4/${server.id}`,
      title: "  against by hand over 4 connections",
      unit: "rows/s",
      subject: { contender: "relay", figure: "rate" },
      twin: { contender: "by hand, 4 connections", figure: "rate" }
    },
    {
      id: `hot-key/${server.id}`,
      title: "drain, one hot key, against 1,000 keys",
      unit: "rows/s",
      subject: { contender: "relay, one key", figure: "rate" },
      twin: { contender: "relay", figure: "rate" },
      target: { atLeast: 0.5 }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const { context, database } = yield* Program.make(server, 10)
    const provide = Effect.provide(context)
    const rows = count(200_000)
    const [many, one] = yield* provide(Effect.all([
      Backlog.make(server, "bench_many", { count: Math.min(rows, 100_000), keys: 1000 }),
      Backlog.make(server, "bench_one", { count: Math.min(rows, 100_000), keys: 1 })
    ]))
    const relay = (backlog: Backlog.Backlog): Round => provide(drained(server, backlog, rows))

    const byHand = (connections: number): Round =>
      Effect.gen(function*() {
        const total = yield* filled(server, many, rows)
        const sql = yield* SqlClient
        const hands = yield* Effect.replicateEffect(server.hand(database.url), connections)
        const [bounds] = yield* sql.unsafe<{ readonly low: number | string; readonly high: number | string }>(
          `select min(sequence) as low, max(sequence) as high from ${Backlog.table}`
        )
        const [low, high] = [Number(bounds!.low), Number(bounds!.high)]
        const part = Math.ceil((high - low + 1) / connections)
        const [millis] = yield* Program.timed(Effect.forEach(
          hands,
          (hand, at) => Effect.promise(() => takeAll(hand, low + at * part, Math.min(high, low + (at + 1) * part - 1))),
          { concurrency: "unbounded", discard: true }
        ))
        yield* Backlog.left(0)
        return { rate: total / millis * 1000 }
      }).pipe(Effect.scoped, provide)

    return {
      "relay": relay(many),
      "relay, one key": relay(one),
      "by hand": byHand(1),
      "by hand, 4 connections": byHand(4)
    }
  })
})

/** A round: the outbox is filled with so many rows of a backlog, and one relay empties it. */
export const drained = (
  server: Server,
  backlog: Backlog.Backlog,
  rows: number
): Effect.Effect<{ readonly rate: number }, unknown, Program.Services | Run> =>
  Effect.gen(function*() {
    const { fault } = yield* Run
    const total = yield* filled(server, backlog, rows)
    const ledger = Ledger.make({ versions: backlog.versions, fault })
    const relay = yield* Program.relay(ledger)
    const [millis] = yield* Program.timed(relay.drain)
    yield* ledger.check(total)
    yield* Backlog.left(0)
    return { rate: total / millis * 1000 }
  }).pipe(Effect.scoped)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const filled = (server: Server, backlog: Backlog.Backlog, rows: number) =>
  Effect.zipRight(Backlog.clear(server), Backlog.fill(server, backlog, Math.ceil(rows / backlog.count)))

/** Reads and deletes the rows between two sequences: no order of keys, no fence, nobody else. */
const takeAll = async (hand: Hand, low: number, high: number): Promise<void> => {
  for (;;) {
    const rows = await hand.query(
      `select * from ${Backlog.table} where sequence between ${low} and ${high} order by sequence limit ${batchSize}`
    )
    if (rows.length === 0) return
    await hand.query(
      `delete from ${Backlog.table} where sequence in (${rows.map(({ sequence }) => String(sequence)).join(",")})`
    )
  }
}
