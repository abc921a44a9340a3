/**
 * The application of the benchmarks: rooms whose versions rise, with an event for each time.
 */
import * as Outbox from "@effect-cqrs/core/Outbox"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import { note } from "./Noted.ts"
import { timed } from "./Program.ts"

const rooms = 1_000

/** The rooms, all of version 0. */
export const reset: Effect.Effect<void, unknown, SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql.unsafe("drop table if exists bench_room")
  yield* sql.unsafe("create table bench_room (id int not null primary key, version int not null)")
  yield* sql.unsafe(
    `insert into bench_room values ${Array.from({ length: rooms }, (_, room) => `(${room}, 0)`).join(", ")}`
  )
})

export interface Change {
  /** The first one is of the room's own key, the others of keys beside it. */
  readonly events: number
  /** What else is done in the transaction, with the ids of the events. */
  readonly also?:
    | ((ids: ReadonlyArray<string>) => Effect.Effect<unknown, unknown, Transaction.Transaction>)
    | undefined
}

/** One transaction: raises the version of some room and announces it. */
export const change = (
  server: Server,
  { also, events }: Change
): Effect.Effect<void, unknown, SqlClient | Transactor> =>
  Effect.flatMap(SqlClient, (sql) => {
    const room = Math.floor(Math.random() * rooms)
    return Transaction.run(Effect.gen(function*() {
      const version = yield* server.raise(sql, room)
      if (events === 0) return
      const ids = yield* Outbox.addAll(
        Array.from({ length: events }, (_, event) => note(`room ${room}${event === 0 ? "" : ` ${event}`}`, version))
      )
      if (also !== undefined) yield* also(ids)
    }))
  })

/** Repeats an effect until the time is over, as many at a time as asked for; answers how long each took, in ms. */
export const repeat = <E, R>(
  effect: Effect.Effect<unknown, E, R>,
  options: { readonly concurrency: number; readonly millis: number }
): Effect.Effect<ReadonlyArray<number>, E, R> =>
  Effect.suspend(() => {
    const until = performance.now() + options.millis
    const times: Array<number> = []
    const one = Effect.whileLoop({
      while: () => performance.now() < until,
      body: () => timed(effect),
      step: ([millis]) => times.push(millis)
    })
    const all = Array.from({ length: options.concurrency }, () => one)
    return Effect.as(Effect.all(all, { concurrency: "unbounded", discard: true }), times)
  })
