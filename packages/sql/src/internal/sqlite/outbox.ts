import type { Dialect } from "../dialect.ts"
import { list, now, sequences } from "./text.ts"

/** A row that keeps those behind it of its topic and key from being read. */
const blocks = (row: string): string =>
  `(${row}.available_at > 0 or ${row}.dead_at is not null) and ` +
  `((${row}.dead_at is null and ${row}.available_at > ${now}) or (${row}.dead_at is not null and ${row}.exhausted = 'halt'))`

const columns = "cast(sequence as text) as sequence, bucket, id, name, topic, partition_key, attributes, headers, " +
  "content_encoding, correlation_id, causation_id, payload, attempts, last_error, exhausted"

export const outbox: Dialect["outbox"] = {
  heads: (names, { buckets, except, limit }) => {
    const of = (bucket: number | undefined) =>
      `select o.sequence, length(o.payload) as size from ${names.outbox} o ` +
      `where ${
        bucket === undefined ? "" : `o.bucket = ${bucket} and `
      }o.dead_at is null and o.available_at <= ${now} ` +
      "and o.topic not in (select value from json_each(?1)) " +
      `and not exists (select 1 from ${names.outbox} b where b.topic = o.topic and b.partition_key = o.partition_key ` +
      `and b.sequence < o.sequence and ${blocks("b")}) order by o.sequence limit ?2`
    const all = buckets === undefined
      ? of(undefined)
      : buckets.map((bucket) => `select * from (${of(bucket)})`).join(" union all ")
    return [
      `select cast(sequence as text) as sequence, size from (${all}) h order by h.sequence limit ?2`,
      [JSON.stringify(except), limit]
    ]
  },
  rows: (names, chosen) => [
    `select ${columns} from ${names.outbox} where sequence in ${sequences} order by ${names.outbox}.sequence`,
    [list(chosen)]
  ],
  remove: (names, delivered) => outbox.removeFenced(names, delivered, 0n),
  removeFenced: (names, delivered, token) => [
    `delete from ${names.outbox} where sequence in ${sequences} and dead_at is null` +
    (token === 0n ? "" : ` and exists (select 1 from ${names.relay} where id = ${token})`),
    [list(delivered)]
  ],
  defer: (names, { attempts, delayMicros, reason, sequence }) => [
    `update ${names.outbox} set attempts = ?, available_at = ${now} + ?, last_error = ? ` +
    "where sequence = cast(? as integer) and dead_at is null",
    [attempts, delayMicros, reason, String(sequence)]
  ],
  bury: (names, { attempts, policy, reason, sequence }) => [
    `update ${names.outbox} set attempts = ?, exhausted = ?, last_error = ?, dead_at = ${now} ` +
    "where sequence = cast(? as integer) and dead_at is null",
    [attempts, policy, reason, String(sequence)]
  ],
  statistics: (names) => [
    "select count(*) filter (where dead_at is null) as pending, count(*) filter (where dead_at is not null) as dead, " +
    `coalesce(${now} - min(created_at) filter (where dead_at is null), 0) as age from ${names.outbox}`,
    []
  ],
  dead: (names, { limit, topic }) => [
    `select ${columns} from ${names.outbox} where (available_at > 0 or dead_at is not null) and dead_at is not null ` +
    `and (? is null or topic = ?) order by ${names.outbox}.sequence limit ?`,
    [topic ?? null, topic ?? null, limit]
  ],
  redrive: (names, dead) => [
    `update ${names.outbox} set dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
    `where sequence in ${sequences} and dead_at is not null`,
    [list(dead)]
  ],
  discard: (names, dead) => [
    `delete from ${names.outbox} where sequence in ${sequences} and dead_at is not null`,
    [list(dead)]
  ]
}
