import type { Dialect } from "../dialect.ts"
import { hex, insert, type Value } from "../row.ts"
import { now } from "./text.ts"

/** Rows are inserted in statements of few sizes: a prepared statement per size would stay on the connection. */
const sizes = [100, 10, 1]

/** A quoted text would depend on the session's sql_mode. */
const literal = (value: Value): string =>
  value === null
    ? "null"
    : typeof value === "number"
    ? String(value)
    : typeof value === "string"
    ? `_utf8mb4 x'${hex(value)}'`
    : `x'${hex(value)}'`

export const append: Dialect["append"] = {
  statements: (names, rows) => {
    const queries: Array<readonly [string, ReadonlyArray<unknown>]> = []
    let at = 0
    for (const size of sizes) {
      for (; rows.length - at >= size; at += size) {
        const some = rows.slice(at, at + size)
        queries.push([insert(names, now, some.map((row) => row.map(() => "?"))), some.flat()])
      }
    }
    return queries
  },
  text: (names, rows) => insert(names, now, rows.map((row) => row.map(literal))),
  // one row at a time: a statement over several might be planned as a scan, which locks them all. The rows are there, so
  // that no gap is locked at REPEATABLE READ, and nobody ever changes them
  lock: (names, slots) =>
    slots.map((slot) => `select slot from ${names.keyLock} where slot = ${slot} for update`).join("; "),
  lockTables: (names) => [names.keyLock]
}
