import type { DeadWhere, Dialect, Where } from "../dialect.ts"
import { deadColumns } from "../entry.ts"
import { beside, isBeside, isDead } from "../places.ts"
import { fromPlace, join, list, smallest } from "./text.ts"

/** The hashes are for the index; what they let pass is looked at. */
export const conditions = "o.sequence > $1::bigint " +
  "and ($2::integer is null or (o.topic_hash = $2 and o.topic = $3::text)) " +
  "and ($4::bigint is null or o.key_hash = $4) and ($5::text is null or o.partition_key = $5)"

export const parameters = ({ after, key, topic }: Where): ReadonlyArray<unknown> => [
  String(after ?? smallest),
  topic?.hash ?? null,
  topic?.text ?? null,
  key?.hash ?? null,
  key?.text ?? null
]

const died = `o.dead_at is not null and ${conditions} ` +
  "and ($6::bigint is null or o.dead_at >= $6) and ($7::bigint is null or o.dead_at < $7)"

const parametersOf = (where: DeadWhere): ReadonlyArray<unknown> => [
  ...parameters(where),
  where.since ?? null,
  where.until ?? null
]

export const deadLetters: Dialect["deadLetters"] = (names, buckets) => {
  const table = names.outbox
  return {
    bucketsPerList: 4096,
    list: (where, { buckets: some, limit }) => {
      const firsts = "select head.sequence from unnest($8::integer[]) as place (bucket) cross join lateral " +
        `(select o.sequence from ${table} o where ${fromPlace("place.bucket", "$1::bigint")} and ${died} ` +
        "order by o.bucket, o.sequence limit $9) head order by head.sequence limit $9"
      return [join(table, deadColumns, firsts), [...parametersOf(where), some.map(beside), limit]]
    },
    counts: (where) => [
      `select topic, last_error as reason, count(*) as count from ${table} o ` +
      `where ${isBeside(buckets)} and ${died} group by topic, last_error`,
      parametersOf(where)
    ],
    redrive: (sequences) => [
      `update ${table} set bucket = -1 - bucket, dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
      `where sequence = any($1::bigint[]) and ${isDead(buckets)}`,
      [list(sequences)]
    ],
    discard: (sequences) => [
      `delete from ${table} where sequence = any($1::bigint[]) and ${isDead(buckets)}`,
      [list(sequences)]
    ]
  }
}
