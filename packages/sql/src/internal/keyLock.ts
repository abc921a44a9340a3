import { bucketOf, type Outgoing } from "@effect-cqrs/core/OutboxStorage"

/**
 * How many key locks there are: keys share them by their hash. So few that a transaction with any number of keys stays
 * within what a server can hold, so many that two keys hardly ever meet. All programs on one outbox agree on the number,
 * since it is part of migration 1.
 */
export const slots = 4096

/** The locks that messages ask for, in the order in which everybody takes them. */
export const slotsOf = (messages: ReadonlyArray<Outgoing>): ReadonlyArray<number> => {
  const wanted = messages.filter(({ key, keyLock }) => keyLock === true && key !== undefined)
  return [...new Set(wanted.map((message) => bucketOf(message, slots)))].sort((a, b) => a - b)
}
