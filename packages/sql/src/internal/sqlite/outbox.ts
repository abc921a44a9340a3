import type { Dialect } from "../dialect.ts"
import { columns } from "../entry.ts"
import { aside, beside, isBeside, isKept, isPending, latestKept, strangePlaces } from "../places.ts"
import { conditions, parameters } from "./deadLetters.ts"
import { join, list, now, sequences } from "./text.ts"

export const outbox: Dialect["outbox"] = (names, buckets) => {
  const table = names.outbox
  const indexed = `${table} indexed by ${table}_bucket`
  const pending = isPending(buckets)

  return {
    // a compound SELECT has at most 500 terms
    rangesPerRead: 200,
    // one text for each number of ranges; a key's hash says its bucket: the hashes of all ranges are left out of each
    read: ({ exceptTopics, from, limit, maxBytes, strange }) => {
      const heads = (where: string, order: string) =>
        `select * from (select sequence, payload_bytes from ${indexed} where ${where} ` +
        "and topic_hash not in (select value from json_each(?1)) and sequence > cast(? as integer) " +
        `and key_hash not in (select value from json_each(?2)) order by ${order} limit ?)`
      const branches = from.map(() => heads("bucket = ?", "sequence"))
      const params: Array<unknown> = from.flatMap((range) => [
        range.bucket,
        String(range.after ?? smallest),
        range.limit
      ])
      if (strange !== undefined) {
        for (const places of strangePlaces(buckets)) {
          branches.push(heads(places, "bucket, sequence"))
          params.push(String(strange.after ?? smallest), strange.limit)
        }
      }
      const chosen = "select sequence from (select sequence, coalesce(sum(payload_bytes) over " +
        "(order by sequence rows between unbounded preceding and 1 preceding), 0) as bytes_before from (" +
        `select sequence, payload_bytes from (${branches.join(" union all ")}) order by sequence limit ?3` +
        ")) where bytes_before < ?4"
      return [numbered(join(table, columns, chosen), 4), [
        JSON.stringify(exceptTopics),
        JSON.stringify(from.flatMap(({ except }) => except)),
        limit,
        maxBytes,
        ...params
      ]]
    },
    pending: (chosen) => [
      `select cast(sequence as text) as sequence, ${columns.join(", ")} from ${table} ` +
      `where sequence in ${sequences} and ${pending}`,
      [list(chosen)]
    ],
    waiting: (some) => [
      `select cast(sequence as text) as sequence, bucket, topic, partition_key, ` +
      `case when dead_at is null then available_at - ${now} end as due from ${indexed} ` +
      "where bucket in (select value from json_each(?)) and (dead_at is null or " +
      "(partition_key is not null and exhausted is not 'skip'))",
      [JSON.stringify(some.map(beside))]
    ],
    tail: [`select cast(max(sequence) as text) as sequence from ${table}`, []],
    deliver: (chosen, { keep, token }) => [
      (keep ? `update ${table} set bucket = -(${now} / 60000000) ` : `delete from ${table} `) +
      `where sequence in ${sequences} and ${pending}` +
      (token === undefined || token === 0n
        ? ""
        : ` and exists (select 1 from ${names.relay} where id = ${token})`),
      [list(chosen)]
    ],
    defer: (chosen, { attempts, delayMicros, reason }) => [
      `update ${table} set bucket = ${aside(buckets)}, attempts = ?2, available_at = ${now} + ?3, dead_at = null, ` +
      `last_error = ?4 where sequence in (select cast(value as integer) from json_each(?1)) and ${pending}`,
      [list(chosen), attempts, delayMicros, reason]
    ],
    bury: (chosen, { attempts, policy, reason }) => [
      `update ${table} set bucket = ${
        aside(buckets)
      }, attempts = ?2, exhausted = ?3, last_error = ?4, dead_at = ${now} ` +
      `where sequence in (select cast(value as integer) from json_each(?1)) and ${pending}`,
      [list(chosen), attempts, policy, reason]
    ],
    purgeable: ({ limit, olderMicros }) => [
      `select cast(sequence as text) as sequence from ${indexed} where ${isKept} ` +
      `and bucket > -((${now} - ?) / 60000000) order by bucket desc, ${table}.sequence desc limit ?`,
      [olderMicros, limit]
    ],
    purgeableCount: (olderMicros) => [
      `select count(*) as count from ${indexed} where ${isKept} and bucket > -((${now} - ?) / 60000000)`,
      [olderMicros]
    ],
    purge: (chosen) => [`delete from ${table} where sequence in ${sequences} and ${isKept}`, [list(chosen)]],
    backlog: (where, limit) => [
      `select cast(sequence as text) as sequence, ${columns.join(", ")}, created_at, last_error, ` +
      `case when ${isBeside(buckets)} then available_at - ${now} end as due from ${table} ` +
      `where ${pending} and ${conditions} order by ${table}.sequence limit ?6`,
      [...parameters(where), limit]
    ],
    backlogCounts: [
      `select topic, count(*) as count, ${now} - min(created_at) as age from ${table} where ${pending} group by topic`,
      []
    ],
    statistics: [
      `select (select count(*) from ${indexed} where bucket >= 0) + ` +
      `(select count(*) from ${indexed} where bucket > ${latestKept} and bucket < ${-buckets}) + ` +
      "beside.deferred as pending, beside.dead as dead, " +
      `${now} - min(coalesce(heads.oldest, ${now}), coalesce(beside.oldest, ${now})) as age from ` +
      "(select count(*) filter (where dead_at is null) as deferred, count(*) filter (where dead_at is not null) as dead, " +
      `min(created_at) filter (where dead_at is null) as oldest from ${indexed} where ${isBeside(buckets)}) beside, ` +
      `(with recursive place (bucket) as (select 0 union all select bucket + 1 from place where bucket + 1 < ${buckets}) ` +
      `select min((select created_at from ${indexed} where bucket = place.bucket order by sequence limit 1)) as oldest ` +
      "from place) heads",
      []
    ]
  }
}

const smallest = -(2n ** 63n)

/** With some parameters numbered, the others are numbered as well, from the next. */
const numbered = (statement: string, count: number): string => {
  let next = count
  return statement.replaceAll(/\?(?!\d)/g, () => `?${++next}`)
}
