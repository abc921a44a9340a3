import * as Schedule from "effect/Schedule"

/**
 * How a transaction that registers a key is repeated: of three of them with one key, of which the first is rolled back,
 * MariaDB and MySQL make one a victim at every isolation level.
 */
export const victims = Schedule.jittered(
  Schedule.intersect(Schedule.exponential("20 millis"), Schedule.recurs(5))
)
