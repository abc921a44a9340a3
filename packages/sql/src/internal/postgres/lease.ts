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
    `select id::text as id, case when expires_at > ${now} then 1 else 0 end as alive from ${names.relay}`,
    []
  ],
  owners: (names) => [`select bucket, relay_id::text as relay from ${names.lease}`, []],
  reap: (names, relays) => [
    `delete from ${names.relay} where id = any($1::bigint[]) and expires_at <= ${now}`,
    [list(relays)]
  ],
  claim: (names, relay, buckets, gone) => [
    `update ${names.lease} set relay_id = $1::bigint where bucket = any($2::integer[]) ` +
    "and (relay_id is null or relay_id = any($3::bigint[]))",
    [String(relay), buckets, list(gone)]
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
