import type { Dialect } from "../dialect.ts"
import { list, now } from "./text.ts"

/** A row that keeps those behind it of its topic and key from being read. */
const blocks = (row: string): string =>
  `(${row}.available_at > 0 or ${row}.dead_at is not null) and ` +
  `((${row}.dead_at is null and ${row}.available_at > ${now}) or (${row}.dead_at is not null and ${row}.exhausted = 'halt'))`

const columns = "sequence::text as sequence, bucket, id, name, topic, partition_key, attributes, headers, " +
  "content_encoding, correlation_id, causation_id, payload, attempts, last_error, exhausted"

export const outbox: Dialect["outbox"] = {
  heads: (names, { buckets, except, limit }) => {
    const of = (bucket: number | undefined) =>
      `select o.sequence, length(o.payload) as size from ${names.outbox} o ` +
      `where ${
        bucket === undefined ? "" : `o.bucket = ${bucket} and `
      }o.dead_at is null and o.available_at <= ${now} ` +
      "and o.topic <> all($1::text[]) " +
      `and not exists (select 1 from ${names.outbox} b where b.topic = o.topic and b.partition_key = o.partition_key ` +
      `and b.sequence < o.sequence and ${blocks("b")}) order by o.sequence limit $2`
    const all = buckets === undefined ? of(undefined) : buckets.map((bucket) => `(${of(bucket)})`).join(" union all ")
    return [`select sequence::text as sequence, size from (${all}) h order by h.sequence limit $2`, [except, limit]]
  },
  rows: (names, chosen) => [
    `select ${columns} from ${names.outbox} where sequence = any($1::bigint[]) order by ${names.outbox}.sequence`,
    [list(chosen)]
  ],
  remove: (names, delivered) => outbox.removeFenced(names, delivered, 0n),
  // the row of the relay is locked: a statement that only looked could still remove after a takeover has committed
  removeFenced: (names, delivered, token) =>
    token === 0n
      ? [`delete from ${names.outbox} where sequence = any($1::bigint[]) and dead_at is null`, [list(delivered)]]
      : [
        `with held as (select id from ${names.relay} where id = $2::bigint for share) ` +
        `delete from ${names.outbox} where sequence = any($1::bigint[]) and dead_at is null ` +
        "and exists (select 1 from held)",
        [list(delivered), String(token)]
      ],
  defer: (names, { attempts, delayMicros, reason, sequence }) => [
    `update ${names.outbox} set attempts = $1, available_at = ${now} + $2::bigint, last_error = $3 ` +
    "where sequence = $4::bigint and dead_at is null",
    [attempts, delayMicros, reason, String(sequence)]
  ],
  bury: (names, { attempts, policy, reason, sequence }) => [
    `update ${names.outbox} set attempts = $1, exhausted = $2, last_error = $3, dead_at = ${now} ` +
    "where sequence = $4::bigint and dead_at is null",
    [attempts, policy, reason, String(sequence)]
  ],
  statistics: (names) => [
    "select count(*) filter (where dead_at is null) as pending, count(*) filter (where dead_at is not null) as dead, " +
    `coalesce(${now} - min(created_at) filter (where dead_at is null), 0) as age from ${names.outbox}`,
    []
  ],
  dead: (names, { limit, topic }) => [
    `select ${columns} from ${names.outbox} where (available_at > 0 or dead_at is not null) and dead_at is not null ` +
    `and ($1::text is null or topic = $1) order by ${names.outbox}.sequence limit $2`,
    [topic ?? null, limit]
  ],
  redrive: (names, dead) => [
    `update ${names.outbox} set dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
    "where sequence = any($1::bigint[]) and dead_at is not null",
    [list(dead)]
  ],
  discard: (names, dead) => [
    `delete from ${names.outbox} where sequence = any($1::bigint[]) and dead_at is not null`,
    [list(dead)]
  ]
}
