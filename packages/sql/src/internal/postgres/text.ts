/** Microseconds since 1970 by the database's clock, as it is now and not when the transaction began. */
export const now = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

export const list = (sequences: ReadonlyArray<bigint>): ReadonlyArray<string> => sequences.map(String)

/** Below every sequence. */
export const smallest = -(2n ** 63n)

/**
 * The rows `o` of one place, above a sequence: as a range of the index from end to end. With `o.bucket = …` the order of the
 * sequences would be that of the primary key as well, and the planner could choose to go through the whole table by it, or
 * to sort.
 */
export const fromPlace = (place: string, after: string): string =>
  `(o.bucket, o.sequence) > (${place}, ${after}) and o.bucket <= ${place}`

/** Whole rows in place of their sequences, each by the primary key: OFFSET keeps the planner from another join. */
export const join = (table: string, columns: ReadonlyArray<string>, sequences: string): string =>
  `select chosen.sequence::text as sequence, stored.* from (${sequences}) chosen cross join lateral ` +
  `(select ${columns.join(", ")} from ${table} o where o.sequence = chosen.sequence offset 0) stored`
