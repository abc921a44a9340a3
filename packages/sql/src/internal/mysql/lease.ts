import type { Dialect } from "../dialect.ts"
import { committed, deleteFrom, list, now, updateOf } from "./text.ts"

export const lease: Dialect["lease"] = {
  create: (names, buckets) => [
    `insert ignore into ${names.lease} (bucket) values ` +
    Array.from({ length: buckets }, (_, bucket) => `(${bucket})`).join(", "),
    []
  ],
  register: (names, termMicros) => [`insert into ${names.relay} (expires_at) values (${now} + ?)`, [termMicros]],
  registered: (raw) => BigInt((raw as { readonly insertId: number | string }).insertId),
  renew: (names, relay, termMicros) => [
    `update ${names.relay} set expires_at = ${now} + ? where id = ? and expires_at > ${now}`,
    [termMicros, String(relay)]
  ],
  relays: (
    names
  ) => [
    `select cast(id as char) as id, expires_at > ${now} as alive, expires_at - ${now} as expiresIn, suspended from ${names.relay}`,
    []
  ],
  owners: (names) => [
    "select bucket, cast(relay_id as char) as relay, deaths, cast(suspect as char) as suspect, " +
    `suspect_deaths as suspectDeaths from ${names.lease}`,
    []
  ],
  reap: (names, relays) => [
    `${committed}; ${deleteFrom(names.relay)} where id in ${list(relays)} and expires_at <= ${now}`,
    [],
    "text"
  ],
  // the assignments take effect from left to right
  claim: (names, relay, buckets, gone) => [
    `${committed}; ${updateOf(names.lease)} ` +
    "suspect_deaths = suspect_deaths + case when relay_id is null or suspect is null then 0 else 1 end, " +
    `deaths = deaths + case when relay_id is null then 0 else 1 end, relay_id = ${relay} ` +
    `where bucket in (${buckets.join(", ")}) ` +
    `and (relay_id is null or relay_id in (${gone.length === 0 ? "null" : gone.join(", ")}))`,
    [],
    "text"
  ],
  suspect: (names, relay, bucket, sequence) => [
    `${committed}; ${updateOf(names.lease)} ` +
    `suspect_deaths = case when suspect = ${sequence ?? null} then suspect_deaths else 0 end, ` +
    `suspect = ${sequence ?? null} where bucket = ${bucket} and relay_id = ${relay} ` +
    `and exists (select 1 from ${names.relay} where id = ${relay})`,
    [],
    "text"
  ],
  acquit: (names, relay, buckets) => [
    `${committed}; ${updateOf(names.lease)} deaths = 0, suspect = null, suspect_deaths = 0 ` +
    `where relay_id = ${relay} and bucket in (${buckets.join(", ")})`,
    [],
    "text"
  ],
  report: (names, relay, suspended) => [
    `update ${names.relay} set suspended = ? where id = ?`,
    [suspended, String(relay)]
  ],
  release: (names, relay, buckets) => [
    `${committed}; ${updateOf(names.lease)} relay_id = null where relay_id = ${relay} and bucket in (${
      buckets.join(", ")
    })`,
    [],
    "text"
  ],
  leave: (names, relay) => [`delete from ${names.relay} where id = ?`, [String(relay)]],
  hold: (names, relay) => [`select 1 as held from ${names.relay} where id = ? lock in share mode`, [String(relay)]]
}
