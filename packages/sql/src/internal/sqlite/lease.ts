import type { Dialect } from "../dialect.ts"
import { now } from "./text.ts"

export const lease: Dialect["lease"] = {
  create: (names, buckets) => [
    "with recursive n (bucket) as (select 0 union all select bucket + 1 from n where bucket + 1 < ?) " +
    `insert or ignore into ${names.lease} (bucket) select bucket from n`,
    [buckets]
  ],
  register: (names, termMicros) => [`insert into ${names.relay} (expires_at) values (${now} + ?)`, [termMicros]],
  registered: (raw) => BigInt((raw as { readonly lastInsertRowid: number | bigint }).lastInsertRowid),
  renew: (names, relay, termMicros) => [
    `update ${names.relay} set expires_at = ${now} + ? where id = ${relay} and expires_at > ${now}`,
    [termMicros]
  ],
  relays: (names) => [
    `select cast(id as text) as id, expires_at > ${now} as alive, ` +
    `expires_at - ${now} as expiresIn, suspended from ${names.relay}`,
    []
  ],
  owners: (names) => [
    "select bucket, cast(relay_id as text) as relay, deaths, cast(suspect as text) as suspect, " +
    `suspect_deaths as suspectDeaths from ${names.lease}`,
    []
  ],
  reap: (names, relays) => [
    `delete from ${names.relay} where id in (${relays.join(", ")}) and expires_at <= ${now}`,
    []
  ],
  claim: (names, relay, buckets, gone) => [
    `update ${names.lease} set relay_id = ${relay}, ` +
    "deaths = deaths + case when relay_id is null then 0 else 1 end, " +
    "suspect_deaths = suspect_deaths + case when relay_id is null or suspect is null then 0 else 1 end " +
    `where bucket in (${buckets.join(", ")}) ` +
    `and (relay_id is null or relay_id in (${gone.length === 0 ? "null" : gone.join(", ")}))`,
    []
  ],
  suspect: (names, relay, bucket, sequence) => [
    `update ${names.lease} set suspect = ${sequence ?? null}, ` +
    `suspect_deaths = case when suspect = ${sequence ?? null} then suspect_deaths else 0 end ` +
    `where bucket = ${bucket} and relay_id = ${relay} and exists (select 1 from ${names.relay} where id = ${relay})`,
    []
  ],
  acquit: (names, relay, buckets) => [
    `update ${names.lease} set deaths = 0, suspect = null, suspect_deaths = 0 ` +
    `where relay_id = ${relay} and bucket in (${buckets.join(", ")})`,
    []
  ],
  report: (names, relay, suspended) => [
    `update ${names.relay} set suspended = ? where id = ${relay}`,
    [suspended]
  ],
  release: (names, relay, buckets) => [
    `update ${names.lease} set relay_id = null where relay_id = ${relay} and bucket in (${buckets.join(", ")})`,
    []
  ],
  leave: (names, relay) => [`delete from ${names.relay} where id = ${relay}`, []],
  hold: (names, relay) => [`select 1 as held from ${names.relay} where id = ${relay}`, []]
}
