import type { Dialect } from "../dialect.ts"
import { now } from "./text.ts"

export const idempotency: Dialect["idempotency"] = {
  claim: (names, { key, scope }, fingerprint) => [
    `insert into ${names.idempotency} (scope, idempotency_key, fingerprint, claimed_at) values (?, ?, ?, ${now})` +
    " on conflict do nothing",
    [scope, key, fingerprint]
  ],
  isTaken: () => false,
  stored: (names, { key, scope }) => [
    `select fingerprint, outcome, body from ${names.idempotency} where scope = ? and idempotency_key = ?`,
    [scope, key]
  ],
  answer: (names, { key, scope }, { body, outcome }) => [
    `update ${names.idempotency} set outcome = ?, body = ? where scope = ? and idempotency_key = ?`,
    [outcome, body, scope, key]
  ],
  purge: ({ limit, names, retentionMicros, write }) =>
    write([
      `delete from ${names.idempotency} where (scope, idempotency_key) in (select scope, idempotency_key ` +
      `from ${names.idempotency} where claimed_at < ${now} - ? order by claimed_at limit ?)`,
      [retentionMicros, limit]
    ])
}
