import type { Dialect } from "../dialect.ts"
import { list, now } from "./text.ts"

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
  relays: (names) => [`select cast(id as char) as id, expires_at > ${now} as alive from ${names.relay}`, []],
  owners: (names) => [`select bucket, cast(relay_id as char) as relay from ${names.lease}`, []],
  reap: (names, relays) => [
    `do 0; delete from ${names.relay} where id in ${list(relays)} and expires_at <= ${now}`,
    [],
    "text"
  ],
  claim: (names, relay, buckets, gone) => [
    `do 0; update ${names.lease} set relay_id = ${relay} where bucket in (${buckets.join(", ")}) ` +
    `and (relay_id is null or relay_id in (${gone.length === 0 ? "null" : gone.join(", ")}))`,
    [],
    "text"
  ],
  release: (names, relay, buckets) => [
    `do 0; update ${names.lease} set relay_id = null where relay_id = ${relay} and bucket in (${buckets.join(", ")})`,
    [],
    "text"
  ],
  leave: (names, relay) => [`delete from ${names.relay} where id = ?`, [String(relay)]],
  hold: (names, relay) => [`select 1 as held from ${names.relay} where id = ? lock in share mode`, [String(relay)]]
}
