import * as Effect from "effect/Effect"
import type { Dialect } from "../dialect.ts"
import { codeOf } from "../errors.ts"
import { committed, now } from "./text.ts"

export const idempotency: Dialect["idempotency"] = {
  // neither INSERT IGNORE, which would cut what is too long, nor ON DUPLICATE KEY, which counts alike
  claim: (names, { key, scope }, fingerprint) => [
    `insert into ${names.idempotency} (scope, idempotency_key, fingerprint, claimed_at) values (?, ?, ?, ${now})`,
    [scope, key, fingerprint]
  ],
  isTaken: (error) => codeOf(error) === "ER_DUP_ENTRY",
  stored: (names, { key, scope }) => [
    `select fingerprint, outcome, body from ${names.idempotency} where scope = ? and idempotency_key = ? ` +
    // at REPEATABLE READ a plain one sees what was there when the transaction first read
    "lock in share mode",
    [scope, key]
  ],
  answer: (names, { key, scope }, { body, outcome }) => [
    `update ${names.idempotency} set outcome = ?, body = ? where scope = ? and idempotency_key = ?`,
    [outcome, body, scope, key]
  ],
  // as the inbox: read without locks, then removed by primary key at READ COMMITTED, so that no claim waits
  purge: ({ limit, names, query, retentionMicros, write }) => {
    const isOld = `claimed_at < ${now} - ${retentionMicros}`
    return Effect.flatMap(
      query([
        `select scope, idempotency_key from ${names.idempotency} where ${isOld} order by claimed_at limit ${limit}`,
        [],
        "text"
      ]),
      (rows) => {
        const keys = rows as ReadonlyArray<Record<"scope" | "idempotency_key", Uint8Array>>
        return keys.length === 0 ? Effect.succeed(0) : write([
          `${committed}; delete old from ${names.idempotency} old force index (primary) where ${isOld} ` +
          `and (scope, idempotency_key) in (${keys.map(() => "(?, ?)").join(", ")})`,
          keys.flatMap(({ idempotency_key, scope }) => [scope, idempotency_key]),
          "text"
        ])
      }
    )
  }
}
