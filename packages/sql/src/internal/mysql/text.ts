import { chunksOf } from "../chunks.ts"
import { hex } from "../row.ts"

/** Microseconds since 1970 by the database's clock; unlike unix_timestamp(now(6)), sure of itself when clocks go back. */
export const now = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"

// A prepared IN list would be one statement per length as well: numbers of our own go in as text. Of one statement as
// text @effect/sql throws away what the server answers, of two it does not: hence `do 0`.
export const list = (numbers: ReadonlyArray<bigint>): string => `(${numbers.join(", ")})`

/** MariaDB makes a table of a longer list, and joins with it in an order of its own. */
const longest = 900

/** Rows by their sequences. In lists that are not empty. */
export const among = (sequences: ReadonlyArray<bigint>): string =>
  `(${chunksOf(sequences, longest).map((some) => `sequence in ${list(some)}`).join(" or ")})`

// With more sequences than rows the optimizer would choose to scan the table, locking each row in passing, and waiting for
// those of transactions that are still open. A DELETE takes hints in its form for several tables only.

/** A DELETE that goes to its rows by their primary keys, and to no other. */
export const deleteFrom = (table: string): string => `delete o from ${table} o force index (primary)`

/** The same for UPDATE. */
export const updateOf = (table: string): string => `update ${table} force index (primary) set`

/**
 * A text's bytes, as a part of a statement that is sent as text: digits, in which nothing can end the literal, whatever the
 * server's `sql_mode` says of backslashes.
 */
export const bytes = (text: string): string => `x'${hex(text)}'`

export const text = (value: string): string => `_utf8mb4 ${bytes(value)}`

/** As bytes: collations take texts for equal that differ in the spaces at their end. */
export const equals = (column: string, value: string): string => `cast(${column} as binary) = ${bytes(value)}`

/** Whole rows in place of their sequences, by the primary key, whatever the optimizer thinks of it. */
export const join = (table: string, columns: ReadonlyArray<string>, sequences: string): string =>
  `select o.sequence, ${columns.map((column) => `o.${column}`).join(", ")} from (${sequences}) chosen ` +
  `straight_join ${table} o force index (primary) on o.sequence = chosen.sequence`

/**
 * READ COMMITTED, for the next statement, of a program that may be at another level: it locks rows by their primary keys,
 * and no gaps that inserts go into.
 */
export const committed = "set transaction isolation level read committed"
