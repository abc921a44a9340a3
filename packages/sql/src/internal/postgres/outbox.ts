import type { Dialect } from "../dialect.ts"
import { columns } from "../entry.ts"
import { aside, beside, isBeside, isKept, isPending, latestKept, strangePlaces } from "../places.ts"
import { conditions, parameters } from "./deadLetters.ts"
import { fromPlace, join, list, now, smallest } from "./text.ts"

export const outbox: Dialect["outbox"] = (names, buckets) => {
  const table = names.outbox
  const pending = isPending(buckets)

  return {
    rangesPerRead: 4096,
    // One text whatever the ranges. A key's hash says its bucket: the hashes of all ranges are left out of each. The inner
    // limit is the largest one, and a constant: not knowing how few rows are wanted, the planner would expect a tenth of
    // the backlog, and compile the statement for it.
    read: ({ exceptTopics, from, limit, maxBytes, strange }) => {
      const heads = "select head.sequence, head.payload_bytes from unnest($1::integer[], $2::bigint[], $3::bigint[]) " +
        "as range (bucket, after, most) cross join lateral (select * from (select o.sequence, o.payload_bytes " +
        `from ${table} o where ${fromPlace("range.bucket", "range.after")} and o.topic_hash <> all ($4::integer[]) ` +
        "and o.key_hash <> all ($5::bigint[]) order by o.bucket, o.sequence limit $8) firsts limit range.most) head"
      const others = strange === undefined
        ? []
        : strangePlaces(buckets).map((places) =>
          `(select o.sequence, o.payload_bytes from ${table} o where ${places} and o.sequence > $9::bigint ` +
          "and o.topic_hash <> all ($4::integer[]) order by o.bucket, o.sequence limit $10)"
        )
      const chosen = "select sequence from (select sequence, coalesce(sum(payload_bytes) over " +
        "(order by sequence rows between unbounded preceding and 1 preceding), 0) as bytes_before from (" +
        `select sequence, payload_bytes from (${[heads, ...others].join(" union all ")}) heads ` +
        "order by sequence limit $6) firsts) measured where bytes_before < $7::bigint"
      return [join(table, columns, chosen), [
        from.map((range) => range.bucket),
        from.map(({ after }) => String(after ?? smallest)),
        from.map((range) => range.limit),
        exceptTopics,
        from.flatMap(({ except }) => except),
        limit,
        maxBytes,
        Math.max(...from.map((range) => range.limit)),
        ...(strange === undefined ? [] : [String(strange.after ?? smallest), strange.limit])
      ]]
    },
    pending: (sequences) => [
      `select sequence::text as sequence, ${columns.join(", ")} from ${table} ` +
      `where sequence = any($1::bigint[]) and ${pending}`,
      [list(sequences)]
    ],
    waiting: (some) => [
      `select sequence::text as sequence, bucket, topic, partition_key, ` +
      `case when dead_at is null then available_at - ${now} end as due from ${table} ` +
      "where bucket = any($1::integer[]) and (dead_at is null or " +
      "(partition_key is not null and exhausted is distinct from 'skip'))",
      [some.map(beside)]
    ],
    tail: [`select max(sequence)::text as sequence from ${table}`, []],
    // The row of the relay is locked: a statement that only looked could still change something after a takeover has
    // committed
    deliver: (sequences, { keep, token }) => {
      const change = (keep ? `update ${table} set bucket = -(${now} / 60000000)::integer ` : `delete from ${table} `) +
        `where sequence = any($1::bigint[]) and ${pending}`
      return token === undefined || token === 0n
        ? [change, [list(sequences)]]
        : [
          `with held as (select id from ${names.relay} where id = $2::bigint for share) ` +
          `${change} and exists (select 1 from held)`,
          [list(sequences), String(token)]
        ]
    },
    defer: (sequences, { attempts, delayMicros, reason }) => [
      `update ${table} set bucket = ${aside(buckets)}, attempts = $2, available_at = ${now} + $3::bigint, ` +
      `dead_at = null, last_error = $4 where sequence = any($1::bigint[]) and ${pending}`,
      [list(sequences), attempts, delayMicros, reason]
    ],
    bury: (sequences, { attempts, policy, reason }) => [
      `update ${table} set bucket = ${aside(buckets)}, attempts = $2, exhausted = $3, last_error = $4, ` +
      `dead_at = ${now} where sequence = any($1::bigint[]) and ${pending}`,
      [list(sequences), attempts, policy, reason]
    ],
    purgeable: ({ limit, olderMicros }) => [
      `select sequence::text as sequence from ${table} ` +
      `where ${isKept} and bucket > -((${now} - $1::bigint) / 60000000) order by bucket desc, ${table}.sequence desc limit $2`,
      [olderMicros, limit]
    ],
    purgeableCount: (olderMicros) => [
      `select count(*) as count from ${table} where ${isKept} and bucket > -((${now} - $1::bigint) / 60000000)`,
      [olderMicros]
    ],
    purge: (sequences) => [`delete from ${table} where sequence = any($1::bigint[]) and ${isKept}`, [list(sequences)]],
    backlog: (where, limit) => [
      `select o.sequence::text as sequence, ${columns.map((column) => `o.${column}`).join(", ")}, ` +
      `o.created_at, o.last_error, case when ${isBeside(buckets)} then o.available_at - ${now} end as due ` +
      `from ${table} o where ${pending} and ${conditions} order by o.sequence limit $6`,
      [...parameters(where), limit]
    ],
    backlogCounts: [
      `select topic, count(*) as count, ${now} - min(created_at) as age from ${table} where ${pending} group by topic`,
      []
    ],
    statistics: [
      `select (select count(*) from ${table} where bucket >= 0) + ` +
      `(select count(*) from ${table} where bucket > ${latestKept} and bucket < ${-buckets}) + ` +
      "beside.deferred as pending, beside.dead, " +
      `${now} - least(heads.oldest, beside.oldest, ${now}) as age from ` +
      "(select count(*) filter (where dead_at is null) as deferred, count(*) filter (where dead_at is not null) as dead, " +
      `min(created_at) filter (where dead_at is null) as oldest from ${table} where ${isBeside(buckets)}) beside, ` +
      `(select min(head.created_at) as oldest from generate_series(0, ${buckets - 1}) as place (bucket) ` +
      `cross join lateral (select o.created_at from ${table} o where ${fromPlace("place.bucket", String(smallest))} ` +
      "order by o.bucket, o.sequence limit 1) head) heads",
      []
    ]
  }
}
