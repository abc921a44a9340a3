import * as Effect from "effect/Effect"
import type { Dialect } from "../dialect.ts"
import { now } from "./text.ts"

export const inbox: Dialect["inbox"] = {
  register: (names, { consumer, handler, messageId, source }) => [
    `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values (?, ?, ?, ?, ${now}) ` +
    "on conflict do nothing",
    [consumer, handler, source, messageId]
  ],
  isNew: (raw) => (raw as { readonly changes: number }).changes === 1,
  isDuplicate: () => false,
  isStarted: (names, { consumer, messageId, source }) => [
    `select 1 as started from ${names.inboxStart} where consumer = ? and source = ? and message_id = ? limit 1`,
    [consumer, source, messageId]
  ],
  start: (names, { consumer, handler, messageId, source }, { incarnation, isAlone }) => [
    `insert into ${names.inboxStart} ` +
    "(consumer, source, message_id, handler, incarnation, is_alone, deaths, started_at) " +
    `values (?, ?, ?, ?, ?, ?, 0, ${now}) on conflict (consumer, source, message_id, handler) do update set ` +
    "deaths = deaths + case when incarnation = excluded.incarnation then 0 else is_alone end, " +
    "incarnation = excluded.incarnation, is_alone = excluded.is_alone, started_at = excluded.started_at " +
    "returning deaths",
    [consumer, source, messageId, handler, incarnation, isAlone ? 1 : 0]
  ],
  deaths: (raw) => Number((raw as readonly [{ readonly deaths: number | bigint }])[0].deaths),
  forget: (names, { consumer, handler, messageId, source }) => [
    `delete from ${names.inboxStart} where consumer = ? and source = ? and message_id = ? and handler = ?`,
    [consumer, source, messageId, handler]
  ],
  purge: ({ limit, names, retentionMicros, write }) => {
    const remove = (table: string, time: string) =>
      write([
        `delete from ${table} where (consumer, source, message_id, handler) in ` +
        `(select consumer, source, message_id, handler from ${table} where ${time} < ${now} - ? order by ${time} limit ?)`,
        [retentionMicros, limit]
      ])
    return Effect.zipWith(
      remove(names.inbox, "handled_at"),
      remove(names.inboxStart, "started_at"),
      (keys, starts) => keys + starts
    )
  }
}
