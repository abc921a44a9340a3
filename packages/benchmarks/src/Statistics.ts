/**
 * What is said of several measurements: their median and their spread.
 */

/** Some measurements of one thing. */
export interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
  /** One per round, in the order of the rounds. */
  readonly rounds: ReadonlyArray<number>
}

/** The value below which the given part of them lies; NaN of none. */
export const quantile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * part
  const below = sorted[Math.floor(place)] ?? NaN
  const above = sorted[Math.ceil(place)] ?? NaN
  return below + (above - below) * (place - Math.floor(place))
}

export const summary = (rounds: ReadonlyArray<number>): Summary => ({
  median: quantile(rounds, 0.5),
  low: quantile(rounds, 0),
  high: quantile(rounds, 1),
  rounds
})
