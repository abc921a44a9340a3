import * as Encoding from "effect/Encoding"

/** Microseconds since 1970 by the database's clock; unlike unix_timestamp(now(6)), sure of itself when clocks go back. */
export const now = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"

// A prepared IN list would be one statement per length as well: numbers of our own go in as text. Of one statement as
// text @effect/sql throws away what the server answers, of two it does not: hence `do 0`.
export const list = (sequences: ReadonlyArray<bigint>): string => `(${sequences.join(", ")})`

/**
 * A text's bytes, as a part of a statement that is sent as text: digits, in which nothing can end the literal, whatever the
 * server's `sql_mode` says of backslashes.
 */
const bytes = (text: string): string => `x'${Encoding.encodeHex(text)}'`

export const text = (value: string): string => `_utf8mb4 ${bytes(value)}`

/** As bytes: collations take texts for equal that differ in the spaces at their end. */
export const equals = (column: string, value: string): string => `cast(${column} as binary) = ${bytes(value)}`

/** Whole rows in place of their sequences, by the primary key, whatever the optimizer thinks of it. */
export const join = (table: string, columns: ReadonlyArray<string>, sequences: string): string =>
  `select o.sequence, ${columns.map((column) => `o.${column}`).join(", ")} from (${sequences}) chosen ` +
  `straight_join ${table} o force index (primary) on o.sequence = chosen.sequence`
