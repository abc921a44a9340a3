/**
 * What grows, and the rows that say with it what a figure becomes.
 */
import type { Server } from "../Database.ts"
import type { Chart, Row } from "../Suite.ts"

export interface Axis extends Chart {
  readonly steps: ReadonlyArray<number>
  /** What a step is called, after its number. */
  readonly of: string
  readonly unit: string
}

export const contender = (step: number): string => step.toLocaleString("en")

/** A row for each step, whose figure is the contender's `rate`. */
export const rows = (axis: Axis, server: Server): ReadonlyArray<Row> =>
  axis.steps.map((step) => ({
    id: `${axis.id}-${step}/${server.id}`,
    title: `${contender(step)} ${axis.of}`,
    unit: axis.unit,
    subject: { contender: contender(step), figure: "rate" },
    // against the first: what a figure becomes is one of the same rounds
    ...(step === axis.steps[0] ? {} : { twin: { contender: contender(axis.steps[0]!), figure: "rate" } }),
    point: { chart: axis.id, x: step }
  }))
