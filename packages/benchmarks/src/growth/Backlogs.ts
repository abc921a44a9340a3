/**
 * Ten thousand rows that wait, to a million.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import { windowed } from "../outbox/Window.ts"
import type { Measurement } from "../Suite.ts"
import { type Axis, contender, rows } from "./Axis.ts"

export const axis: Axis = {
  id: "pending",
  title: "A relay's rate by what is pending",
  x: "rows pending",
  steps: [10_000, 100_000, 1_000_000],
  of: "rows pending",
  unit: "rows/s"
}

const size = 10_000

export const backlogs = (server: Server): Measurement => ({
  name: `pending ${server.title}`,
  needs: [server.variable],
  rounds: { full: 3, quick: 1 },
  rows: rows(axis, server),
  contenders: Effect.map(
    Effect.forEach(axis.steps, (pending) =>
      Effect.map(
        windowed(server, { pending, size, windows: 1, during: (_, drain) => drain }),
        (round) => [contender(pending), round] as const
      )),
    Object.fromEntries
  )
})
