import type { Dialect } from "../dialect.ts"
import { now } from "./text.ts"

export const idempotency: Dialect["idempotency"] = {
  claim: (names, { key, scope }, fingerprint) => [
    `insert into ${names.idempotency} (scope, idempotency_key, fingerprint, claimed_at) values ($1, $2, $3, ${now})` +
    " on conflict do nothing",
    [scope, key, fingerprint]
  ],
  isTaken: () => false,
  stored: (names, { key, scope }) => [
    `select fingerprint, outcome, body from ${names.idempotency} where scope = $1 and idempotency_key = $2`,
    [scope, key]
  ],
  answer: (names, { key, scope }, { body, outcome }) => [
    `update ${names.idempotency} set outcome = $1, body = $2 where scope = $3 and idempotency_key = $4`,
    [outcome, body, scope, key]
  ],
  purge: ({ limit, names, retentionMicros, write }) =>
    write([
      `delete from ${names.idempotency} where ctid = any(array(select ctid from ${names.idempotency} ` +
      `where claimed_at < (select ${now}) - $1::bigint order by claimed_at limit $2::bigint for update skip locked))`,
      [retentionMicros, limit]
    ])
}
