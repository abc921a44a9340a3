import * as Cause from "effect/Cause"

/** Refuses a value that was given where the compiler could not: thrown, so a defect of the layer that is built with it. */
export const refuse = (message: string): never => {
  throw new Cause.IllegalArgumentException(message)
}

export const requireWhole = (what: string, value: unknown, least: 0 | 1): void => {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= least)) return
  refuse(`${what} is ${String(value)}: it must be a whole number from ${least}`)
}

export const requireText = (what: string, value: unknown): void => {
  if (typeof value !== "string" || value.trim() === "") refuse(`${what} is ${JSON.stringify(value)}: it must be a text`)
}
