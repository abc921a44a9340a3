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
  relays: (names) => [`select cast(id as text) as id, expires_at > ${now} as alive from ${names.relay}`, []],
  owners: (names) => [`select bucket, cast(relay_id as text) as relay from ${names.lease}`, []],
  reap: (names, relays) => [
    `delete from ${names.relay} where id in (${relays.join(", ")}) and expires_at <= ${now}`,
    []
  ],
  claim: (names, relay, buckets, gone) => [
    `update ${names.lease} set relay_id = ${relay} where bucket in (${buckets.join(", ")}) ` +
    `and (relay_id is null or relay_id in (${gone.length === 0 ? "null" : gone.join(", ")}))`,
    []
  ],
  release: (names, relay, buckets) => [
    `update ${names.lease} set relay_id = null where relay_id = ${relay} and bucket in (${buckets.join(", ")})`,
    []
  ],
  leave: (names, relay) => [`delete from ${names.relay} where id = ${relay}`, []],
  hold: (names, relay) => [`select 1 as held from ${names.relay} where id = ${relay}`, []]
}
