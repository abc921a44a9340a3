/**
 * One key to a thousand: only different keys may be published side by side.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import * as Backlog from "../outbox/Backlog.ts"
import { drained } from "../outbox/Drain.ts"
import * as Program from "../outbox/Program.ts"
import { Run } from "../Run.ts"
import type { Measurement } from "../Suite.ts"
import { type Axis, contender, rows } from "./Axis.ts"

const events = 100_000

export const axis: Axis = {
  id: "keys",
  title: "A relay's rate by the number of keys",
  x: "keys",
  steps: [1, 10, 100, 1000],
  of: "keys",
  unit: "rows/s"
}

export const keys = (server: Server): Measurement => ({
  name: `keys ${server.title}`,
  needs: [server.variable],
  rounds: { full: 3, quick: 1 },
  rows: rows(axis, server),
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const { context } = yield* Program.make(server, 10)
    const provide = Effect.provide(context)
    const rounds = yield* Effect.forEach(axis.steps, (keys) =>
      Effect.map(
        provide(Backlog.make(server, `bench_keys_${keys}`, { count: count(events), keys })),
        (backlog) => [contender(keys), provide(drained(server, backlog, count(events)))] as const
      ))
    return Object.fromEntries(rounds)
  })
})
