import * as Effect from "effect/Effect"
import type { Dialect } from "../dialect.ts"
import { codeOf } from "../errors.ts"
import { bytes, committed, now } from "./text.ts"

export const inbox: Dialect["inbox"] = {
  // neither INSERT IGNORE, which would cut what is too long, nor ON DUPLICATE KEY, which counts alike
  register: (names, { consumer, handler, messageId, source }) => [
    // as text it shares the round trip that begins the transaction
    `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values ` +
    `(${[consumer, handler, source, messageId].map(bytes).join(", ")}, ${now})`,
    [],
    "text"
  ],
  isNew: () => true,
  isDuplicate: (error) => codeOf(error) === "ER_DUP_ENTRY",
  isStarted: (names, { consumer, messageId, source }) => [
    `select 1 as started from ${names.inboxStart} where consumer = ? and source = ? and message_id = ? limit 1`,
    [consumer, source, messageId]
  ],
  // last_insert_id(x) is answered with the insert; the assignments are made from left to right
  start: (names, { consumer, handler, messageId, source }, { incarnation, isAlone }) => [
    `insert into ${names.inboxStart} ` +
    "(consumer, source, message_id, handler, incarnation, is_alone, deaths, started_at) " +
    `values (?, ?, ?, ?, ?, ?, last_insert_id(0), ${now}) on duplicate key update ` +
    "deaths = last_insert_id(if(incarnation = ?, deaths, deaths + is_alone)), " +
    `incarnation = ?, is_alone = ?, started_at = ${now}`,
    [
      consumer,
      source,
      messageId,
      handler,
      incarnation,
      isAlone ? 1 : 0,
      incarnation,
      incarnation,
      isAlone ? 1 : 0
    ]
  ],
  deaths: (raw) => Number((raw as { readonly insertId: number | string }).insertId),
  forget: (names, { consumer, handler, messageId, source }) => [
    `delete from ${names.inboxStart} where consumer = ? and source = ? and message_id = ? and handler = ?`,
    [consumer, source, messageId, handler]
  ],
  // Read without locks, then removed by primary key: a DELETE that looks for old rows waits for whoever writes the first
  // young one. READ COMMITTED, for this one statement: else the gap of a row that is gone is locked, and a registration
  // waits for it.
  purge: ({ limit, names, query, retentionMicros, write }) => {
    const remove = (table: string, time: string) => {
      const isOld = `${time} < ${now} - ${retentionMicros}`
      return Effect.flatMap(
        query([
          `select consumer, handler, source, message_id from ${table} where ${isOld} order by ${time} limit ${limit}`,
          [],
          "text"
        ]),
        (rows) => {
          const keys = rows as ReadonlyArray<Record<"consumer" | "handler" | "source" | "message_id", Uint8Array>>
          return keys.length === 0 ? Effect.succeed(0) : write([
            `${committed}; delete old from ${table} old force index (primary) where ${isOld} ` +
            `and (consumer, handler, source, message_id) in (${keys.map(() => "(?, ?, ?, ?)").join(", ")})`,
            keys.flatMap(({ consumer, handler, message_id, source }) => [consumer, handler, source, message_id]),
            "text"
          ])
        }
      )
    }
    return Effect.zipWith(
      remove(names.inbox, "handled_at"),
      remove(names.inboxStart, "started_at"),
      (keys, starts) => keys + starts
    )
  }
}
