/** Microseconds since 1970 by the database's clock; unlike unix_timestamp(now(6)), sure of itself when clocks go back. */
export const now = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"

// A prepared IN list would be one statement per length as well: numbers of our own go in as text. Of one statement as
// text @effect/sql throws away what the server answers, of two it does not: hence `do 0`.
export const list = (sequences: ReadonlyArray<bigint>): string => `(${sequences.join(", ")})`
