/**
 * How much memory a relay needs to drain a million rows, in a process of its own.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import { Run } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Program from "./Program.ts"
import * as RelayProcess from "./RelayProcess.ts"

export const memory = (server: Server): Measurement => ({
  name: `memory ${server.title}`,
  needs: [server.variable],
  rounds: { full: 1, quick: 1 },
  warmUp: false,
  rows: [{
    id: `memory/${server.id}`,
    title: "growth of resident memory while 1,000,000 rows are drained",
    unit: "MiB",
    subject: { contender: "relay", figure: "growth" },
    target: { atMost: 100 }
  }],
  contenders: Effect.gen(function*() {
    const { count, fault } = yield* Run
    const { context, database } = yield* Program.make(server, 4)
    const provide = Effect.provide(context)
    const backlog = yield* provide(Backlog.make(server, "bench_memory", { count: count(100_000), keys: 1000 }))
    const relay: Round = Effect.gen(function*() {
      const child = yield* RelayProcess.make(database)
      const drain = (times: number) =>
        Effect.gen(function*() {
          const total = yield* Backlog.fill(server, backlog, times)
          const { memory } = yield* child.start({ versions: backlog.versions, fault })
          yield* child.reach(total)
          const { memoryPeak } = yield* child.stop(total)
          yield* Backlog.left(0)
          return { baseline: memory, peak: memoryPeak, growth: memoryPeak - memory }
        })
      // what the first rows bring in is code, connections and buffers
      yield* drain(1)
      return yield* drain(10)
    }).pipe(Effect.scoped, provide)
    return { relay }
  })
})
