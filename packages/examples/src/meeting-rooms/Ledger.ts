/**
 * The truth the demonstration judges by: what each transaction says it announced, written by the transaction itself, and
 * what an independent consumer says it received. Neither is this program's memory.
 */
import { Transaction } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { Clock, Context, Effect, Layer } from "effect"

export interface Announcement {
  readonly eventId: string
  readonly event: string
  readonly roomId: string
  readonly version: number
}

export interface Judgement {
  readonly committed: number
  readonly delivered: number
  readonly duplicates: number
  readonly lost: number
  readonly phantom: number
  readonly outOfOrder: number
}

export class Ledger extends Context.Tag("Ledger")<Ledger, {
  /** Part of the open transaction. */
  readonly committed: (
    announcement: Announcement
  ) => Effect.Effect<void, Transaction.TransactionError, Transaction.Transaction>
  readonly received: (announcement: Announcement) => Effect.Effect<void>
  readonly judge: Effect.Effect<Judgement>
  /** Milliseconds from each commit to the arrival at the consumer, ascending. */
  readonly latencies: Effect.Effect<ReadonlyArray<number>>
}>() {}

export const LedgerLayer = Layer.effect(
  Ledger,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table if not exists ledger (
      event_id text not null, event text not null, room_id text not null, version integer not null
    )`
    // without a unique key: a duplicate shall be seen
    yield* sql`create table if not exists deliveries (
      place integer primary key autoincrement,
      event_id text not null, event text not null, room_id text not null, version integer not null
    )`
    const commits = new Map<string, bigint>()
    const latencies: Array<number> = []

    return Ledger.of({
      committed: ({ event, eventId, roomId, version }) =>
        Effect.zipRight(
          Effect.orDie(sql`insert into ledger (event_id, event, room_id, version)
            values (${eventId}, ${event}, ${roomId}, ${version})`),
          Transaction.afterCommit(Effect.map(Clock.currentTimeNanos, (now) => commits.set(eventId, now)))
        ),
      received: ({ event, eventId, roomId, version }) =>
        Effect.gen(function*() {
          const committed = commits.get(eventId)
          if (committed !== undefined) latencies.push(Number((yield* Clock.currentTimeNanos) - committed) / 1e6)
          commits.delete(eventId)
          yield* Effect.orDie(sql`insert into deliveries (event_id, event, room_id, version)
            values (${eventId}, ${event}, ${roomId}, ${version})`)
        }),
      judge: Effect.orDie(Effect.map(
        sql<Judgement>`
          with first as (
            select event_id, event, room_id, version, min(place) as place from deliveries group by event_id
          ), ordered as (
            select version, lag(version) over (partition by event, room_id order by place) as previous from first
          )
          select
            (select count(*) from ledger) as committed,
            (select count(*) from deliveries) as delivered,
            (select count(*) from deliveries) - (select count(*) from first) as duplicates,
            (select count(*) from ledger where event_id not in (select event_id from deliveries)) as lost,
            (select count(*) from first where event_id not in (select event_id from ledger)) as phantom,
            (select count(*) from ordered where previous >= version) as outOfOrder`,
        ([judgement]) => judgement!
      )),
      latencies: Effect.sync(() => [...latencies].sort((a, b) => a - b))
    })
  })
)
