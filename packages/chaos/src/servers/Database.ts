/** What the databases have in common. */
import { SqlClient } from "@effect/sql"
import { Effect, Layer, Schedule } from "effect"
import type { Daemon } from "./Local.ts"
import type { DatabaseServer } from "./Server.ts"

/** The database of the run, on its server. */
export const name = "chaos"

interface Options {
  readonly name: string
  readonly port: number
  readonly urlAt: (port: number, database?: string) => string
  readonly daemon: Daemon
  /** A client of a database that is always there. */
  readonly client: Layer.Layer<SqlClient.SqlClient, unknown>
  /** Sees to it that the database of the run is there. */
  readonly prepare: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>
  /** What ends it, without a word to anybody if it is killed. */
  readonly signals: { readonly stopped: NodeJS.Signals; readonly killed: NodeJS.Signals }
}

/** Starts it; answers when the server does. */
export const make = (options: Options): Effect.Effect<DatabaseServer, unknown> => {
  const { client, daemon, name, port, prepare, signals, urlAt } = options
  const ready = Effect.flatMap(SqlClient.SqlClient, prepare).pipe(
    Effect.provide(Layer.fresh(client)),
    Effect.retry(Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(300)))
  )
  const start = Effect.asVoid(Effect.zipRight(daemon.start, ready))
  return Effect.as(start, {
    name,
    port,
    urlAt,
    restart: (how) => Effect.zipRight(daemon.stop(signals[how]), start)
  })
}
