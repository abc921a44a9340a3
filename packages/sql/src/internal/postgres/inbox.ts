import * as Effect from "effect/Effect"
import type { Dialect } from "../dialect.ts"
import { now } from "./text.ts"

export const inbox: Dialect["inbox"] = {
  register: (names, { consumer, handler, messageId, source }) => [
    `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values ($1, $2, $3, $4, ${now}) ` +
    "on conflict do nothing",
    [consumer, handler, source, messageId]
  ],
  isNew: (raw) => (raw as { readonly rowCount: number | null }).rowCount === 1,
  isDuplicate: () => false,
  isStarted: (names, { consumer, messageId, source }) => [
    `select 1 as started from ${names.inboxStart} where consumer = $1 and source = $2 and message_id = $3 limit 1`,
    [consumer, source, messageId]
  ],
  start: (names, { consumer, handler, messageId, source }, { incarnation, isAlone }) => [
    `insert into ${names.inboxStart} as last ` +
    "(consumer, source, message_id, handler, incarnation, is_alone, deaths, started_at) " +
    `values ($1, $2, $3, $4, $5, $6, 0, ${now}) on conflict (consumer, source, message_id, handler) do update set ` +
    "deaths = last.deaths + case when last.incarnation = excluded.incarnation then 0 else last.is_alone end, " +
    "incarnation = excluded.incarnation, is_alone = excluded.is_alone, started_at = excluded.started_at " +
    "returning deaths",
    [consumer, source, messageId, handler, incarnation, isAlone ? 1 : 0]
  ],
  deaths: (raw) => (raw as { readonly rows: readonly [{ readonly deaths: number }] }).rows[0].deaths,
  forget: (names, { consumer, handler, messageId, source }) => [
    `delete from ${names.inboxStart} where consumer = $1 and source = $2 and message_id = $3 and handler = $4`,
    [consumer, source, messageId, handler]
  ],
  // a select of its own, for the clock to be read once and the index to be used; rows of another purge are passed over
  purge: ({ limit, names, retentionMicros, write }) => {
    const remove = (table: string, time: string) =>
      write([
        `delete from ${table} where ctid = any(array(select ctid from ${table} ` +
        `where ${time} < (select ${now}) - $1::bigint order by ${time} limit $2::bigint for update skip locked))`,
        [retentionMicros, limit]
      ])
    return Effect.zipWith(
      remove(names.inbox, "handled_at"),
      remove(names.inboxStart, "started_at"),
      (keys, starts) => keys + starts
    )
  }
}
