import type { Dialect } from "../dialect.ts"
import { hex, insert, type Value } from "../row.ts"
import { now } from "./text.ts"

/** PostgreSQL takes 65,535 parameters a statement; a dozen per row, and statements of a bounded length. */
const rowsPerInsert = 500

/** As an escape string, which means the same whatever standard_conforming_strings a session has. */
const literal = (value: Value): string =>
  value === null
    ? "null"
    : typeof value === "number"
    ? String(value)
    : typeof value === "string"
    ? `E'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`
    : `E'\\\\x${hex(value)}'`

export const append: Dialect["append"] = {
  statements: (names, rows) =>
    Array.from({ length: Math.ceil(rows.length / rowsPerInsert) }, (_, chunk) => {
      const some = rows.slice(chunk * rowsPerInsert, (chunk + 1) * rowsPerInsert)
      let count = 0
      return [insert(names, now, some.map((row) => row.map(() => `$${++count}`))), some.flat()]
    }),
  // a NUL would end the text of the query
  text: (names, rows) =>
    rows.some((row) => row.some((value) => typeof value === "string" && value.includes("\0")))
      ? undefined
      : insert(names, now, rows.map((row) => row.map(literal))),
  // the table's oid, so that outboxes of other names or schemas have locks of their own
  lock: (names, slots) =>
    slots.map((slot) => `select pg_advisory_xact_lock('${names.outbox}'::regclass::oid::int, ${slot})`).join("; "),
  lockTables: () => []
}
