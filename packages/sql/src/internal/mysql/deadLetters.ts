import type { DeadWhere, Dialect, Where } from "../dialect.ts"
import { deadColumns } from "../entry.ts"
import { beside, isBeside, isDead } from "../places.ts"
import { among, deleteFrom, equals, join, updateOf } from "./text.ts"

/** The hashes are for the index; what they let pass is looked at. */
export const conditions = ({ after, key, topic }: Where): string =>
  `sequence > ${after ?? smallest}` +
  (topic === undefined ? "" : ` and topic_hash = ${topic.hash} and ${equals("topic", topic.text)}`) +
  (key?.hash === undefined ? "" : ` and key_hash = ${key.hash}`) +
  (key === undefined ? "" : ` and ${equals("partition_key", key.text)}`)

const died = (where: DeadWhere): string =>
  `dead_at is not null and ${conditions(where)}` +
  (where.since === undefined ? "" : ` and dead_at >= ${where.since}`) +
  (where.until === undefined ? "" : ` and dead_at < ${where.until}`)

const smallest = -(2n ** 63n)

export const deadLetters: Dialect["deadLetters"] = (names, buckets) => {
  const table = names.outbox
  const indexed = `${table} force index (${table}_bucket)`
  return {
    bucketsPerList: 256,
    list: (where, { buckets: some, limit }) => {
      const branches = some.map((bucket) =>
        `(select sequence from ${indexed} where bucket = ${beside(bucket)} and ${died(where)} ` +
        `order by sequence limit ${limit})`
      )
      const chosen = `select sequence from (${branches.join(" union all ")}) firsts order by sequence limit ${limit}`
      return [join(table, deadColumns, chosen), [], "text"]
    },
    counts: (where) => [
      `select min(topic) as topic, min(last_error) as reason, count(*) as count from ${indexed} ` +
      `where ${isBeside(buckets)} and ${died(where)} ` +
      "group by cast(topic as binary), cast(last_error as binary)",
      [],
      "text"
    ],
    redrive: (sequences) => [
      `do 0; ${
        updateOf(table)
      } bucket = -1 - bucket, dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
      `where ${among(sequences)} and ${isDead(buckets)}`,
      [],
      "text"
    ],
    discard: (sequences) => [
      `do 0; ${deleteFrom(table)} where ${among(sequences)} and ${isDead(buckets)}`,
      [],
      "text"
    ]
  }
}
