import type { Dialect } from "../dialect.ts"
import { list, now } from "./text.ts"

export const lease: Dialect["lease"] = {
  create: (names, buckets) => [
    `insert into ${names.lease} (bucket) select generate_series(0, $1::integer - 1) on conflict (bucket) do nothing`,
    [buckets]
  ],
  register: (names, termMicros) => [
    `insert into ${names.relay} (expires_at) values (${now} + $1::bigint) returning id::text as id`,
    [termMicros]
  ],
  registered: (raw) => BigInt((raw as { readonly rows: readonly [{ readonly id: string }] }).rows[0].id),
  renew: (names, relay, termMicros) => [
    `update ${names.relay} set expires_at = ${now} + $1::bigint where id = $2::bigint and expires_at > ${now}`,
    [termMicros, String(relay)]
  ],
  relays: (names) => [
    `select id::text as id, case when expires_at > ${now} then 1 else 0 end as alive, ` +
    `(expires_at - ${now})::text as "expiresIn", suspended from ${names.relay}`,
    []
  ],
  owners: (names) => [
    "select bucket, relay_id::text as relay, deaths, suspect::text as suspect, " +
    `suspect_deaths as "suspectDeaths" from ${names.lease}`,
    []
  ],
  reap: (names, relays) => [
    `delete from ${names.relay} where id = any($1::bigint[]) and expires_at <= ${now}`,
    [list(relays)]
  ],
  claim: (names, relay, buckets, gone) => [
    `update ${names.lease} set relay_id = $1::bigint, ` +
    "deaths = deaths + case when relay_id is null then 0 else 1 end, " +
    "suspect_deaths = suspect_deaths + case when relay_id is null or suspect is null then 0 else 1 end " +
    "where bucket = any($2::integer[]) and (relay_id is null or relay_id = any($3::bigint[]))",
    [String(relay), buckets, list(gone)]
  ],
  suspect: (names, relay, bucket, sequence) => [
    `update ${names.lease} set suspect = $3::bigint, ` +
    "suspect_deaths = case when suspect = $3::bigint then suspect_deaths else 0 end " +
    "where bucket = $2 and relay_id = $1::bigint " +
    `and exists (select 1 from ${names.relay} where id = $1::bigint)`,
    [String(relay), bucket, sequence === undefined ? null : String(sequence)]
  ],
  acquit: (names, relay, buckets) => [
    `update ${names.lease} set deaths = 0, suspect = null, suspect_deaths = 0 ` +
    "where relay_id = $1::bigint and bucket = any($2::integer[])",
    [String(relay), buckets]
  ],
  report: (names, relay, suspended) => [
    `update ${names.relay} set suspended = $2 where id = $1::bigint`,
    [String(relay), suspended]
  ],
  release: (names, relay, buckets) => [
    `update ${names.lease} set relay_id = null where relay_id = $1::bigint and bucket = any($2::integer[])`,
    [String(relay), buckets]
  ],
  leave: (names, relay) => [`delete from ${names.relay} where id = $1::bigint`, [String(relay)]],
  hold: (names, relay) => [
    `select 1 as held from ${names.relay} where id = $1::bigint for share`,
    [String(relay)]
  ]
}
