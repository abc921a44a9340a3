/**
 * The run that a measurement is part of: how much work it is to do, and where it says what it is doing.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** What a run can be made to do wrong, to see that it is noticed. */
export const Fault = Schema.Literal("drop", "swap", "repeat")

export type Fault = typeof Fault.Type

export class Run extends Context.Tag("@effect-cqrs/benchmarks/Run")<Run, {
  readonly quick: boolean
  /** A full run's number of things, at the scale of this one. */
  readonly count: (full: number) => number
  /** A full run's time, likewise. */
  readonly millis: (full: number) => number
  readonly fault: Fault | undefined
  /** Says on standard error what is being done. */
  readonly status: (text: string) => Effect.Effect<void>
}>() {}

/** The work was not done as it should be: something is lost, repeated or out of order. */
export class WrongResult extends Schema.TaggedError<WrongResult>()("WrongResult", { message: Schema.String }) {}
