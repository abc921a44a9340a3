import type { DeadWhere, Dialect, Where } from "../dialect.ts"
import { deadColumns } from "../entry.ts"
import { beside, isBeside, isDead } from "../places.ts"
import { join, list, sequences } from "./text.ts"

/** The hashes are for the index; what they let pass is looked at. */
export const conditions = "sequence > cast(?1 as integer) " +
  "and (?2 is null or (topic_hash = ?2 and topic = ?3)) and (?4 is null or key_hash = ?4) " +
  "and (?5 is null or partition_key = ?5)"

export const parameters = ({ after, key, topic }: Where): ReadonlyArray<unknown> => [
  String(after ?? -(2n ** 63n)),
  topic?.hash ?? null,
  topic?.text ?? null,
  key?.hash ?? null,
  key?.text ?? null
]

const died = `dead_at is not null and ${conditions} and (?6 is null or dead_at >= ?6) and (?7 is null or dead_at < ?7)`

const parametersOf = (where: DeadWhere): ReadonlyArray<unknown> => [
  ...parameters(where),
  where.since ?? null,
  where.until ?? null
]

export const deadLetters: Dialect["deadLetters"] = (names, buckets) => {
  const table = names.outbox
  const indexed = `${table} indexed by ${table}_bucket`
  return {
    bucketsPerList: 200,
    list: (where, { buckets: some, limit }) => {
      const firsts = some.map((bucket) =>
        `select * from (select sequence from ${indexed} where bucket = ${beside(bucket)} and ${died} ` +
        "order by sequence limit ?8)"
      )
      const chosen = `select sequence from (${firsts.join(" union all ")}) order by sequence limit ?8`
      return [join(table, deadColumns, chosen), [...parametersOf(where), limit]]
    },
    counts: (where) => [
      `select topic, last_error as reason, count(*) as count from ${indexed} ` +
      `where ${isBeside(buckets)} and ${died} group by topic, last_error`,
      parametersOf(where)
    ],
    redrive: (chosen) => [
      `update ${table} set bucket = -1 - bucket, dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
      `where sequence in ${sequences} and ${isDead(buckets)}`,
      [list(chosen)]
    ],
    discard: (chosen) => [
      `delete from ${table} where sequence in ${sequences} and ${isDead(buckets)}`,
      [list(chosen)]
    ]
  }
}
