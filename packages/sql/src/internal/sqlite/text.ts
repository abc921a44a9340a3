/** Microseconds since 1970 by the database's clock, which SQLite knows to the millisecond. */
export const now = "cast((julianday('now') - 2440587.5) * 86400000000 as integer)"

export const list = (chosen: ReadonlyArray<bigint>): string => `[${chosen.join(",")}]`

export const sequences = "(select cast(value as integer) from json_each(?))"

/** Whole rows in place of their sequences: CROSS JOIN keeps the order of the two. */
export const join = (table: string, columns: ReadonlyArray<string>, sequences: string): string =>
  `select cast(o.sequence as text) as sequence, ${columns.map((column) => `o.${column} as ${column}`).join(", ")} ` +
  `from (${sequences}) chosen cross join ${table} o on o.sequence = chosen.sequence`
