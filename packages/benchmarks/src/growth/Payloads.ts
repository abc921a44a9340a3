/**
 * Payloads from 100 bytes to 100 KiB.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import * as Backlog from "../outbox/Backlog.ts"
import { drained } from "../outbox/Drain.ts"
import * as Program from "../outbox/Program.ts"
import { Run } from "../Run.ts"
import type { Measurement } from "../Suite.ts"
import { type Axis, contender, rows } from "./Axis.ts"

export const axis: Axis = {
  id: "payload",
  title: "A relay's rate by the size of the payload",
  x: "bytes",
  steps: [100, 1024, 10 * 1024, 100 * 1024],
  of: "bytes",
  unit: "rows/s"
}

/** Fewer of the large ones: the outbox is not to outgrow the database's memory. */
const events = (bytes: number): number => Math.min(100_000, Math.floor(200 * 2 ** 20 / bytes))

export const payloads = (server: Server): Measurement => ({
  name: `payload ${server.title}`,
  needs: [server.variable],
  rounds: { full: 3, quick: 1 },
  rows: rows(axis, server),
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const { context } = yield* Program.make(server, 10)
    const provide = Effect.provide(context)
    const rounds = yield* Effect.forEach(axis.steps, (bytes) =>
      Effect.map(
        provide(Backlog.make(server, `bench_bytes_${bytes}`, { count: count(events(bytes)), keys: 1000, bytes })),
        (backlog) => [contender(bytes), provide(drained(server, backlog, backlog.count))] as const
      ))
    return Object.fromEntries(rounds)
  })
})
