import type { Dialect } from "../dialect.ts"
import { columns } from "../entry.ts"
import { aside, beside, isBeside, isKept, isPending, latestKept, strangePlaces } from "../places.ts"
import { conditions } from "./deadLetters.ts"
import { among, committed, deleteFrom, join, now, text, updateOf } from "./text.ts"

export const outbox: Dialect["outbox"] = (names, buckets) => {
  const table = names.outbox
  const indexed = `${table} force index (${table}_bucket)`
  const pending = isPending(buckets)

  return {
    rangesPerRead: 256,
    // The index is forced: a wrong guess of the optimizer sorts the whole backlog. Only its entries are looked at until the
    // rows are chosen.
    read: ({ exceptTopics, from, limit, maxBytes, strange }) => {
      const topics = exceptTopics.length === 0 ? "" : ` and topic_hash not in (${exceptTopics.join(", ")})`
      const after = (sequence: bigint | undefined) => sequence === undefined ? "" : ` and sequence > ${sequence}`
      const heads = (where: string, order: string, most: number) =>
        `(select sequence, payload_bytes from ${indexed} where ${where}${topics} order by ${order} limit ${most})`
      const branches = from.map((range) =>
        heads(
          `bucket = ${range.bucket}${after(range.after)}` +
            (range.except.length === 0 ? "" : ` and key_hash not in (${range.except.join(", ")})`),
          "sequence",
          range.limit
        )
      )
      if (strange !== undefined) {
        for (const places of strangePlaces(buckets)) {
          branches.push(heads(places + after(strange.after), "bucket, sequence", strange.limit))
        }
      }
      const chosen = "select sequence from (select sequence, coalesce(sum(payload_bytes) over " +
        "(order by sequence rows between unbounded preceding and 1 preceding), 0) as bytes_before from (" +
        `select sequence, payload_bytes from (${branches.join(" union all ")}) heads order by sequence limit ${limit}` +
        `) firsts) measured where bytes_before < ${maxBytes} order by sequence`
      return [join(table, columns, chosen), [], "text"]
    },
    pending: (sequences) => [
      `select sequence, ${columns.join(", ")} from ${table} force index (primary) where ${
        among(sequences)
      } and ${pending}`,
      [],
      "text"
    ],
    waiting: (some) => [
      `select sequence, bucket, topic, partition_key, ` +
      `case when dead_at is null then available_at - ${now} end as due from ${indexed} ` +
      `where bucket in (${some.map(beside).join(", ")}) and (dead_at is null or ` +
      "(partition_key is not null and coalesce(exhausted, '') <> 'skip'))",
      [],
      "text"
    ],
    tail: [`select max(sequence) as sequence from ${table}`, []],
    // The row of the relay is locked: a statement that only looked could still change something after a takeover has
    // committed
    deliver: (sequences, { keep, token }) => [
      (token === undefined ? "do 0; " : `${committed}; `) +
      (keep ? `${updateOf(table)} bucket = -(${now} div 60000000) ` : `${deleteFrom(table)} `) +
      `where ${among(sequences)} and ${pending}` +
      (token === undefined || token === 0n
        ? ""
        : ` and exists (select 1 from ${names.relay} where id = ${token} lock in share mode)`),
      [],
      "text"
    ],
    defer: (sequences, { attempts, delayMicros, reason }) => [
      `do 0; ${updateOf(table)} bucket = ${aside(buckets)}, attempts = ${attempts}, ` +
      `available_at = ${now} + ${delayMicros}, dead_at = null, last_error = ${text(reason)} ` +
      `where ${among(sequences)} and ${pending}`,
      [],
      "text"
    ],
    bury: (sequences, { attempts, policy, reason }) => [
      `do 0; ${updateOf(table)} bucket = ${aside(buckets)}, attempts = ${attempts}, exhausted = '${policy}', ` +
      `last_error = ${text(reason)}, dead_at = ${now} where ${among(sequences)} and ${pending}`,
      [],
      "text"
    ],
    purgeable: ({ limit, olderMicros }) => [
      `select sequence from ${indexed} where ${isKept} and bucket > -((${now} - ${olderMicros}) div 60000000) ` +
      `order by bucket desc, sequence desc limit ${limit}`,
      [],
      "text"
    ],
    purgeableCount: (olderMicros) => [
      `select count(*) as count from ${indexed} where ${isKept} ` +
      `and bucket > -((${now} - ${olderMicros}) div 60000000)`,
      [],
      "text"
    ],
    purge: (sequences) => [
      `${committed}; ${deleteFrom(table)} where ${among(sequences)} and ${isKept}`,
      [],
      "text"
    ],
    backlog: (where, limit) => [
      `select sequence, ${columns.join(", ")}, created_at, last_error, ` +
      `case when ${isBeside(buckets)} then available_at - ${now} end as due from ${table} force index (primary) ` +
      `where ${pending} and ${conditions(where)} order by sequence limit ${limit}`,
      [],
      "text"
    ],
    backlogCounts: [
      `select min(topic) as topic, count(*) as count, ${now} - min(created_at) as age from ${table} where ${pending} ` +
      "group by cast(topic as binary)",
      [],
      "text"
    ],
    // the heads by a row for each bucket, made of digits: what the optimizer makes of a GROUP BY is its own affair
    statistics: [
      `select (select count(*) from ${indexed} where bucket >= 0) + ` +
      `(select count(*) from ${indexed} where bucket > ${latestKept} and bucket < ${-buckets}) + ` +
      "deferred.entries as pending, dead.entries as dead, " +
      `${now} - least(coalesce(heads.oldest, ${now}), coalesce(deferred.oldest, ${now})) as age from ` +
      `(select count(*) as entries, min(created_at) as oldest from ${indexed} ` +
      `where ${isBeside(buckets)} and dead_at is null) deferred, ` +
      `(select count(*) as entries from ${indexed} where ${isBeside(buckets)} and dead_at is not null) dead, ` +
      `(select min(created_at) as oldest from (select (select o.created_at from ${table} o ` +
      `force index (${table}_bucket) where o.bucket = a.n + 16 * b.n + 256 * c.n order by o.sequence limit 1) ` +
      `as created_at from ${digits("a", Math.min(buckets, 16))}, ${
        digits("b", Math.min(Math.ceil(buckets / 16), 16))
      }, ` +
      `${digits("c", Math.ceil(buckets / 256))} where a.n + 16 * b.n + 256 * c.n < ${buckets}) firsts) heads`,
      [],
      "text"
    ]
  }
}

/** The numbers from 0, as a table. */
const digits = (name: string, count: number): string =>
  `(${Array.from({ length: count }, (_, n) => n === 0 ? "select 0 as n" : `select ${n}`).join(" union all ")}) ${name}`
