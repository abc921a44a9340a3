/** Microseconds since 1970 by the database's clock, as it is now and not when the transaction began. */
export const now = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

export const list = (sequences: ReadonlyArray<bigint>): ReadonlyArray<string> => sequences.map(String)
