/**
 * The language of the benchmarks: a suite has measurements, a measurement has contenders that are run in turn and rows
 * that compare what they found.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Run } from "./Run.ts"

/** What one round of a contender found, by name: a rate, a percentile. */
export type Figures = Readonly<Record<string, number>>

/**
 * One round, from a clean state to figures. It fails if the work was not done as it should be: figures of wrong work are
 * worth nothing.
 */
export type Round = Effect.Effect<Figures, unknown, Run>

/** A figure of a contender. */
export interface Source {
  readonly contender: string
  readonly figure: string
}

export type Target = { readonly atLeast: number } | { readonly atMost: number }

/** A line of the report: a figure, what it is compared with, and what the comparison should give. */
export interface Row {
  /** Unique in its suite, from the general to the special: `drain/mariadb`. */
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly subject: Source
  /** The target is for subject over twin, by rounds; without a twin it is for the subject itself. */
  readonly twin?: Source | undefined
  readonly target?: Target | undefined
  /** Its place in a chart of its suite, where it shows how something grows. */
  readonly point?: { readonly chart: string; readonly x: number } | undefined
}

/** How a figure grows with something: the rows that are points of it are a line, over a logarithmic axis. */
export interface Chart {
  readonly id: string
  readonly title: string
  /** What grows, with its unit. */
  readonly x: string
}

export interface Measurement {
  readonly name: string
  /** The environment variables without which its rows are skipped. */
  readonly needs: ReadonlyArray<string>
  readonly rows: ReadonlyArray<Row>
  /** Rounds that count, in a full run and in a quick one. */
  readonly rounds: { readonly full: number; readonly quick: number }
  /** Whether a round that does not count is run before them. Default: true. */
  readonly warmUp?: boolean | undefined
  /** Brings up what the contenders need. In its scope each of the asked ones is run once a round. */
  readonly contenders: Effect.Effect<Readonly<Record<string, Round>>, unknown, Run | Scope.Scope>
}

export interface Suite {
  /** As it is asked for on the command line. */
  readonly name: string
  readonly title: string
  /** Packages whose versions the report names. */
  readonly packages: ReadonlyArray<string>
  readonly measurements: ReadonlyArray<Measurement>
  readonly charts?: ReadonlyArray<Chart> | undefined
}
