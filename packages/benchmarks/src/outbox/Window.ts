/**
 * What a relay does in front of more than it is let through.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Database, Server } from "../Database.ts"
import { Run } from "../Run.ts"
import type { Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Ledger from "./Ledger.ts"
import * as Program from "./Program.ts"

/** What is done around the relay's work. */
export type During = (
  database: Database,
  drain: Effect.Effect<unknown, unknown>
) => Effect.Effect<unknown, unknown>

export interface Options {
  /** How many rows wait when a round begins, and how many of them are a window. */
  readonly pending: number
  readonly size: number
  /** So many windows go through in a round, and the slowest of them is what it found. */
  readonly windows: number
  readonly during: During
}

/** Rounds on an outbox in a database of its own, which is filled up again when a round begins. */
export const windowed = (
  server: Server,
  { during, pending, size, windows }: Options
): Effect.Effect<Round, unknown, Run | Scope.Scope> =>
  Effect.gen(function*() {
    const { count, fault } = yield* Run
    const { context, database } = yield* Program.make(server, 10)
    const provide = Effect.provide(context)
    const backlog = yield* provide(Backlog.make(server, "bench_window", { count: count(size), keys: 1000 }))
    const full = Math.ceil(count(pending) / backlog.count) * backlog.count
    let added = 0
    let capacity = 0
    let marks: Array<number> = []
    const ledger = Ledger.make({
      versions: backlog.versions,
      fault,
      capacity: () => capacity,
      onBatch: () => {
        const reached = Math.floor((ledger.taken() - (capacity - windows * backlog.count)) / backlog.count)
        while (marks.length < reached) marks.push(performance.now())
      }
    })
    const round: Round = Effect.gen(function*() {
      added += yield* Backlog.fill(server, backlog, (full - (added - ledger.taken())) / backlog.count)
      capacity = ledger.taken() + windows * backlog.count
      marks = []
      const relay = yield* Program.relay(ledger)
      const started = performance.now()
      yield* during(database, relay.drain)
      yield* ledger.check(capacity)
      yield* Backlog.left(added - capacity)
      const times = marks.map((mark, at) => mark - (marks[at - 1] ?? started))
      return { rate: backlog.count / Math.max(...times) * 1000 }
    }).pipe(Effect.scoped, provide)
    return round
  })
