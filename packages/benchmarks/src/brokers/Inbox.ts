/**
 * How quickly a consumer with the inbox handles what waits at a broker, beside the raw client and a transaction by hand for
 * each message: the same rows, from a pool of as many connections.
 */
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Mysql from "mysql2/promise"
import type { Server } from "../Database.ts"
import * as Program from "../outbox/Program.ts"
import { WrongResult } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Arrived from "./Arrived.ts"
import type { Kind } from "./Kind.ts"
import { decode } from "./Seen.ts"

/** Enough that the first of each partition, whose start is noted for the case that they kill the process, are few. */
const messages = 20_000

const concurrency = 4

const size = 32

/** `server`: MariaDB. */
export const inbox = (server: Server, kind: Kind): Measurement => ({
  name: `inbox ${kind.title}`,
  needs: [server.variable, kind.variable],
  rounds: { full: 3, quick: 2 },
  rows: [
    {
      id: `inbox/${kind.id}`,
      title: `consumer with inbox on ${server.title}, ${concurrency} at a time`,
      unit: "msg/s",
      subject: { contender: "inbox", figure: "rate" },
      twin: { contender: "by hand", figure: "rate" },
      target: { atLeast: 0.7 }
    },
    {
      id: `inbox-batch/${kind.id}`,
      title: `  batches of ${size}, against one by one`,
      unit: "msg/s",
      subject: { contender: "inbox, batches", figure: "rate" },
      twin: { contender: "inbox", figure: "rate" }
    }
  ],
  contenders: Effect.gen(function*() {
    const program = yield* Program.make(server, concurrency)
    const pool = yield* poolOf(program.database.url)
    const round = yield* Arrived.make(server, kind, program, { name: "bench_inbox", messages })
    const sql = yield* Effect.provide(SqlClient, program.context)
    yield* sql.unsafe("create table bench_effect (name varchar(64) not null, version int not null, text text not null)")
    yield* sql.unsafe("create table bench_by_hand like cqrs_inbox")

    /** Each message has left its row, and its key, once. */
    const checked = (keys: string, handle: (topic: Arrived.Topic) => Effect.Effect<number, unknown>): Round =>
      round((topic) =>
        Effect.gen(function*() {
          yield* sql.unsafe("truncate table bench_effect")
          yield* sql.unsafe(`truncate table ${keys}`)
          const millis = yield* handle(topic)
          for (const table of ["bench_effect", keys]) {
            const [row] = yield* sql.unsafe<{ readonly found: number }>(`select count(*) as found from ${table}`)
            if (Number(row!.found) !== topic.count) {
              return yield* new WrongResult({ message: `${row!.found} rows are in ${table} of ${topic.count}` })
            }
          }
          return millis
        })
      )

    const consumer = (options: { readonly batch?: { readonly size: number } }) =>
      checked(
        "cqrs_inbox",
        (topic) =>
          Arrived.consumer(topic, program, { concurrency, inbox: true, ...options }, (event, done) =>
            Effect.map(
              sql`insert into bench_effect (name, version, text) values (${event.key}, ${event.version}, ${event.text})`,
              done
            ))
      )

    return {
      inbox: consumer({}),
      "inbox, batches": consumer({ batch: { size } }),
      "by hand": checked("bench_by_hand", ({ count, group, seen, topic }) =>
        kind.consume({
          topic,
          group,
          count,
          concurrency,
          handle: async ({ body, id }) => {
            const event = decode(body)
            const connection = await pool.getConnection()
            try {
              await connection.beginTransaction()
              await connection.execute(
                "insert into bench_by_hand (consumer, handler, source, message_id, handled_at) " +
                  "values (?, ?, ?, ?, unix_timestamp(now(6)) * 1000000)",
                [group, "note", "/effect-cqrs", id()]
              )
              await connection.execute("insert into bench_effect (name, version, text) values (?, ?, ?)", [
                event.key,
                event.version,
                event.text
              ])
              await connection.commit()
            } catch (error) {
              await connection.rollback()
              throw error
            } finally {
              connection.release()
            }
            seen.note(event)
          }
        }))
    }
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const poolOf = (url: Redacted.Redacted): Effect.Effect<Mysql.Pool, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Mysql.createPool({ uri: Redacted.value(url), connectionLimit: concurrency })),
    (pool) => Effect.promise(() => pool.end())
  )
