/** Microseconds since 1970 by the database's clock, which SQLite knows to the millisecond. */
export const now = "cast((julianday('now') - 2440587.5) * 86400000000 as integer)"

export const list = (chosen: ReadonlyArray<bigint>): string => `[${chosen.join(",")}]`

export const sequences = "(select cast(value as integer) from json_each(?))"
