/**
 * One relay to four, each in a process of its own on the same outbox.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import * as Backlog from "../outbox/Backlog.ts"
import * as Program from "../outbox/Program.ts"
import * as RelayProcess from "../outbox/RelayProcess.ts"
import { Run, WrongResult } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"
import { type Axis, contender, rows } from "./Axis.ts"

const events = 100_000

export const axis: Axis = {
  id: "relays",
  title: "The rate of several relays",
  x: "relays",
  steps: [1, 2, 4],
  of: "relays",
  unit: "rows/s"
}

export const relays = (server: Server): Measurement => ({
  name: `relays ${server.title}`,
  needs: [server.variable],
  rounds: { full: 3, quick: 1 },
  rows: rows(axis, server),
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const { context, database } = yield* Program.make(server, 4)
    const provide = Effect.provide(context)
    const backlog = yield* provide(Backlog.make(server, "bench_relays", { count: count(events), keys: 1000 }))
    const processes = yield* Effect.replicateEffect(RelayProcess.make(database), Math.max(...axis.steps), {
      concurrency: "unbounded"
    })
    const round = (number: number): Round =>
      Effect.gen(function*() {
        const { fault } = yield* Run
        const several = processes.slice(0, number)
        yield* Backlog.clear(server)
        yield* Effect.forEach(several, (one) => one.start({ fault, among: true }), { concurrency: "unbounded" })
        // until each has its share of the buckets
        yield* Effect.sleep(shareMillis)
        const total = yield* Backlog.fill(server, backlog, 1)
        const started = performance.now()
        const published = Effect.map(
          Effect.forEach(several, ({ count }) => count, { concurrency: "unbounded" }),
          (counts) => counts.reduce((sum, { published }) => sum + published, 0)
        )
        while ((yield* published) < total) {
          if (performance.now() - started > patienceMillis) {
            return yield* new WrongResult({ message: `${yield* published} events came of ${total}` })
          }
          yield* Effect.sleep(pollMillis)
        }
        const millis = performance.now() - started
        yield* Effect.forEach(several, (one) => one.stop(), { concurrency: "unbounded" })
        yield* Backlog.left(0)
        return { rate: total / millis * 1000 }
      }).pipe(provide)
    return Object.fromEntries(axis.steps.map((number) => [contender(number), round(number)] as const))
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const shareMillis = 3_000

const pollMillis = 20

const patienceMillis = 120_000
