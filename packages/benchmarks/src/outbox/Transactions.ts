/**
 * What a transaction costs without events, with one and with ten.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import { Run } from "../Run.ts"
import { quantile } from "../Statistics.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Program from "./Program.ts"
import * as Rooms from "./Rooms.ts"

export const transactions = (server: Server): Measurement => ({
  name: `transaction ${server.title}`,
  needs: [server.variable],
  rounds: { full: 31, quick: 15 },
  rows: [
    {
      id: `transaction/${server.id}`,
      title: "a transaction with one event, against none",
      unit: "ms",
      subject: { contender: "1 event", figure: "p50" },
      twin: { contender: "no event", figure: "p50" },
      target: { atMost: 1.3 }
    },
    {
      id: `transaction-10/${server.id}`,
      title: "  with ten events",
      unit: "ms",
      subject: { contender: "10 events", figure: "p50" },
      twin: { contender: "no event", figure: "p50" }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const { context } = yield* Program.make(server, 1)
    const provide = Effect.provide(context)
    yield* provide(Rooms.reset)
    let stored = 0
    const round = (events: number): Round =>
      Effect.gen(function*() {
        const transactions = count(200)
        const times: Array<number> = []
        for (let at = 0; at < transactions; at++) {
          const [millis] = yield* Program.timed(Rooms.change(server, { events }))
          times.push(millis)
        }
        stored += transactions * events
        yield* Backlog.left(stored)
        return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
      }).pipe(provide)
    return { "no event": round(0), "1 event": round(1), "10 events": round(10) }
  })
})
