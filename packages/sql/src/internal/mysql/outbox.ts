import type { Dialect } from "../dialect.ts"
import { list, now } from "./text.ts"

/** A row that keeps those behind it of its topic and key from being read; only waiting rows are looked at. */
const blocks = (row: string): string =>
  `${row}.waiting = 1 and ((${row}.dead_at is null and ${row}.available_at > ${now}) ` +
  `or (${row}.dead_at is not null and ${row}.exhausted = 'halt'))`

/** As bytes: collations take texts for equal that differ in the spaces at their end. */
const same = (column: string): string => `cast(b.${column} as binary) = cast(o.${column} as binary)`

const columns = "cast(sequence as char) as sequence, bucket, id, name, topic, partition_key, attributes, headers, " +
  "content_encoding, correlation_id, causation_id, payload, attempts, last_error, exhausted"

export const outbox: Dialect["outbox"] = {
  // LIMIT takes no parameter of a prepared statement in MySQL 8.0.22 and later. The indexes are forced: a wrong guess
  // of the optimizer sorts the whole backlog.
  heads: (names, { buckets, except, limit }) => {
    const of = (bucket: number | undefined) =>
      `select o.sequence, length(o.payload) as size from ${names.outbox} o ` +
      (bucket === undefined
        ? "force index (primary) where "
        : `force index (${names.outbox}_bucket) where o.bucket = ${bucket} and `) +
      `o.dead_at is null and o.available_at <= ${now} and json_contains(@except, json_quote(o.topic)) = 0 ` +
      `and not exists (select 1 from ${names.outbox} b force index (${names.outbox}_waiting) ` +
      `where ${blocks("b")} and b.sequence < o.sequence and ${same("topic")} and ${same("partition_key")}) ` +
      `order by o.sequence limit ${limit}`
    const all = buckets === undefined ? of(undefined) : buckets.map((bucket) => `(${of(bucket)})`).join(" union all ")
    return [
      `select cast(h.sequence as char) as sequence, h.size from (${all.replaceAll("@except", "?")}) h ` +
      `order by h.sequence limit ${limit}`,
      Array.from({ length: buckets?.length ?? 1 }, () => JSON.stringify(except)),
      "text"
    ]
  },
  rows: (names, chosen) => [
    `select ${columns} from ${names.outbox} where sequence in ${list(chosen)} order by ${names.outbox}.sequence`,
    [],
    "text"
  ],
  remove: (names, delivered) => [
    `do 0; delete from ${names.outbox} where sequence in ${list(delivered)} and dead_at is null`,
    [],
    "text"
  ],
  // READ COMMITTED, for this statement: it locks rows by their primary keys and no gaps between them, where an
  // application's inserts would have to wait. The row of the relay is locked: a statement that only looked could still
  // remove after a takeover has committed.
  removeFenced: (names, delivered, token) => [
    "set transaction isolation level read committed; " +
    `delete from ${names.outbox} where sequence in ${list(delivered)} and dead_at is null` +
    (token === 0n
      ? ""
      : ` and exists (select 1 from ${names.relay} where id = ${token} lock in share mode)`),
    [],
    "text"
  ],
  defer: (names, { attempts, delayMicros, reason, sequence }) => [
    `update ${names.outbox} set attempts = ?, available_at = ${now} + ?, last_error = ? ` +
    "where sequence = ? and dead_at is null",
    [attempts, delayMicros, reason, String(sequence)]
  ],
  bury: (names, { attempts, policy, reason, sequence }) => [
    `update ${names.outbox} set attempts = ?, exhausted = ?, last_error = ?, dead_at = ${now} ` +
    "where sequence = ? and dead_at is null",
    [attempts, policy, reason, String(sequence)]
  ],
  statistics: (names) => [
    "select sum(case when dead_at is null then 1 else 0 end) as pending, " +
    "sum(case when dead_at is null then 0 else 1 end) as dead, " +
    `coalesce(${now} - min(case when dead_at is null then created_at end), 0) as age from ${names.outbox}`,
    []
  ],
  dead: (names, { limit, topic }) => [
    `select ${columns} from ${names.outbox} where waiting = 1 and dead_at is not null ` +
    (topic === undefined ? "" : "and cast(topic as binary) = cast(? as binary) ") +
    `order by ${names.outbox}.sequence limit ${limit}`,
    topic === undefined ? [] : [topic]
  ],
  redrive: (names, dead) => [
    `do 0; update ${names.outbox} set dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
    `where sequence in ${list(dead)} and dead_at is not null`,
    [],
    "text"
  ],
  discard: (names, dead) => [
    `do 0; delete from ${names.outbox} where sequence in ${list(dead)} and dead_at is not null`,
    [],
    "text"
  ]
}
