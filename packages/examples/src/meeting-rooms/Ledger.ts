/**
 * The truth the demonstration judges by: what each transaction says it announced, written by the transaction itself, and
 * what an independent consumer says it received. Neither is this program's memory.
 */
import { Transaction } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { Clock, Context, Effect, Layer, Record } from "effect"

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
  /** `time`: when the event was made, in milliseconds since 1970. */
  readonly received: (arrival: Announcement & { readonly time: number }) => Effect.Effect<void>
  readonly judge: Effect.Effect<Judgement>
  /**
   * Milliseconds to the arrival at the consumer, ascending: from the commit if that was in this process, or else from
   * when the event was made.
   */
  readonly latencies: Effect.Effect<ReadonlyArray<number>>
}>() {}

export const LedgerLayer = Layer.effect(
  Ledger,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table if not exists ledger (
      event_id varchar(64) not null, event varchar(64) not null, room_id varchar(64) not null, version integer not null
    )`
    const place = sql.literal(sql.onDialectOrElse({
      mysql: () => "place bigint auto_increment primary key",
      pg: () => "place bigint generated always as identity primary key",
      orElse: () => "place integer primary key autoincrement"
    }))
    // without a unique key: a duplicate shall be seen
    yield* sql`create table if not exists deliveries (
      ${place}, event_id varchar(64) not null, event varchar(64) not null, room_id varchar(64) not null,
      version integer not null, latency double precision not null
    )`
    const commits = new Map<string, bigint>()

    const latencyOf = ({ eventId, time }: { readonly eventId: string; readonly time: number }) =>
      Effect.map(Effect.zip(Clock.currentTimeNanos, Clock.currentTimeMillis), ([nanos, millis]) => {
        const committed = commits.get(eventId)
        commits.delete(eventId)
        return committed === undefined ? millis - time : Number(nanos - committed) / 1e6
      })

    return Ledger.of({
      committed: ({ event, eventId, roomId, version }) =>
        Effect.zipRight(
          Effect.orDie(sql`insert into ledger (event_id, event, room_id, version)
            values (${eventId}, ${event}, ${roomId}, ${version})`),
          Transaction.afterCommit(Effect.map(Clock.currentTimeNanos, (now) => commits.set(eventId, now)))
        ),
      received: (arrival) =>
        Effect.flatMap(latencyOf(arrival), (latency) => {
          const { event, eventId, roomId, version } = arrival
          return Effect.orDie(sql`insert into deliveries (event_id, event, room_id, version, latency)
            values (${eventId}, ${event}, ${roomId}, ${version}, ${latency})`)
        }),
      judge: Effect.orDie(Effect.map(
        sql<{ readonly [K in keyof Judgement]: number | string }>`
          with first_ones as (
            select event_id, event, room_id, version, min(place) as place from deliveries
            group by event_id, event, room_id, version
          ), ordered as (
            select version, lag(version) over (partition by event, room_id order by place) as previous from first_ones
          )
          select
            (select count(*) from ledger) as ${sql("committed")},
            (select count(*) from deliveries) as ${sql("delivered")},
            (select count(*) from deliveries) - (select count(*) from first_ones) as ${sql("duplicates")},
            (select count(*) from ledger where event_id not in (select event_id from deliveries)) as ${sql("lost")},
            (select count(*) from first_ones where event_id not in (select event_id from ledger)) as ${sql("phantom")},
            (select count(*) from ordered where previous >= version) as ${sql("outOfOrder")}`,
        ([judgement]) => Record.map(judgement!, Number)
      )),
      latencies: Effect.orDie(Effect.map(
        sql<{ readonly latency: number }>`select latency from deliveries order by latency`,
        (rows) => rows.map(({ latency }) => latency)
      ))
    })
  })
)
