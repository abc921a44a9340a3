/**
 * What the relay takes away from writers that saturate the machine: it runs in another process, on the same database.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Server } from "../Database.ts"
import { Run } from "../Run.ts"
import { quantile } from "../Statistics.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Program from "./Program.ts"
import * as RelayProcess from "./RelayProcess.ts"
import * as Rooms from "./Rooms.ts"

const concurrency = 16

export const writers = (server: Server): Measurement => ({
  name: `writers ${server.title}`,
  needs: [server.variable],
  rounds: { full: 5, quick: 3 },
  rows: [
    {
      id: `writers/${server.id}`,
      title: "16 writers beside a relay in another process, against none",
      unit: "tx/s",
      subject: { contender: "with a relay", figure: "rate" },
      twin: { contender: "without", figure: "rate" },
      target: { atLeast: 2 / 3 }
    },
    {
      id: `settle-p99/${server.id}`,
      title: "  a settlement meanwhile, p99",
      unit: "ms",
      subject: { contender: "with a relay", figure: "settleP99" }
    },
    {
      id: `settle-max/${server.id}`,
      title: "  the longest settlement",
      unit: "ms",
      subject: { contender: "with a relay", figure: "settleMax" }
    },
    {
      id: `behind/${server.id}`,
      title: "  events not yet delivered at the end",
      unit: "events",
      subject: { contender: "with a relay", figure: "behind" }
    }
  ],
  contenders: Effect.map(
    writing(server, concurrency),
    ({ beside, without }) => ({ without, "with a relay": beside })
  )
})

/** Rounds of so many writers at a time: by themselves, and beside a relay in another process. */
export const writing = (
  server: Server,
  concurrency: number
): Effect.Effect<{ readonly without: Round; readonly beside: Round }, unknown, Run | Scope.Scope> =>
  Effect.gen(function*() {
    const { fault, millis } = yield* Run
    const { context, database } = yield* Program.make(server, concurrency)
    const provide = Effect.provide(context)
    const relay = yield* RelayProcess.make(database)

    const write = Effect.gen(function*() {
      const [elapsed, times] = yield* Program.timed(
        Rooms.repeat(Rooms.change(server, { events: 1 }), { concurrency, millis: millis(6_000) })
      )
      return {
        committed: times.length,
        rate: times.length / elapsed * 1000,
        p50: quantile(times, 0.5),
        p99: quantile(times, 0.99)
      }
    })

    const prepare = Effect.zipRight(Rooms.reset, Backlog.clear(server))

    const without: Round = Effect.gen(function*() {
      yield* prepare
      const { committed, ...figures } = yield* write
      yield* Backlog.left(committed)
      return figures
    }).pipe(provide)

    const beside: Round = Effect.gen(function*() {
      yield* prepare
      yield* relay.start({ fault })
      const { committed, ...figures } = yield* write
      const { behind } = yield* relay.reach(committed)
      const { settles } = yield* relay.stop(committed)
      yield* Backlog.left(0)
      return {
        ...figures,
        behind,
        settles: settles.length,
        settleP50: quantile(settles, 0.5),
        settleP99: quantile(settles, 0.99),
        settleMax: quantile(settles, 1)
      }
    }).pipe(provide)

    return { without, beside }
  })
