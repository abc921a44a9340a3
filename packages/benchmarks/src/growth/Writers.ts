/**
 * One writer to sixty-four, beside a relay in another process.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import { writing } from "../outbox/Writers.ts"
import type { Measurement } from "../Suite.ts"
import { type Axis, contender, rows } from "./Axis.ts"

export const axis: Axis = {
  id: "writers",
  title: "Transactions with an event, by the number of writers",
  x: "writers",
  steps: [1, 4, 16, 64],
  of: "writers beside a relay",
  unit: "tx/s"
}

export const writers = (server: Server): Measurement => ({
  name: `writers ${server.title}`,
  needs: [server.variable],
  rounds: { full: 3, quick: 1 },
  rows: rows(axis, server),
  contenders: Effect.map(
    Effect.forEach(axis.steps, (writers) =>
      Effect.map(
        writing(server, writers),
        ({ beside }) => [contender(writers), beside] as const
      )),
    Object.fromEntries
  )
})
