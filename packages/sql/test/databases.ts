import type { OutboxStorage, Transactor } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { Suite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { Context, Deferred, Effect, Layer, type Redacted } from "effect"
import { layerStatements, Other, postgres, type Server } from "./servers.ts"
import { layerInMemory, outside } from "./sqlite.ts"

const sql = SqlClient.SqlClient

/** A client on another database, which has the same tables. */
export class Second extends Context.Tag("test/Second")<Second, SqlClient.SqlClient>() {}

export type Services = SqlClient.SqlClient | Second | Transactor.Transactor | OutboxStorage.OutboxStorage

/** What the tests of transactions have to know of one kind of database. `R` is what its statements need beside a client. */
export interface Database<R> {
  readonly name: string
  /** New, with the library's tables and these: `facts (id)`, `notes (id, text)` which counts its ids. */
  readonly layer: Layer.Layer<Services | R, unknown>
  /** A statement that succeeds, and after which COMMIT fails. */
  readonly uncommittable: Suite.Feature<Effect.Effect<unknown, unknown, SqlClient.SqlClient | R>>
  /** Closes the connection that the open transaction is on. */
  readonly disconnecting: Suite.Feature<Effect.Effect<unknown, unknown, SqlClient.SqlClient | R>>
  /** A statement that fails, and after which the open transaction can do nothing but be rolled back. */
  readonly aborting: Suite.Feature<Effect.Effect<unknown, unknown, SqlClient.SqlClient | R>>
  /** A statement that fails, and with which the whole transaction is gone. */
  readonly losing: Suite.Feature<Effect.Effect<unknown, unknown, SqlClient.SqlClient | R>>
  /** A statement that commits what came before it. */
  readonly implicitCommit: Suite.Feature<Effect.Effect<unknown, unknown, SqlClient.SqlClient | R>>
  /** Whether rows can be read as a stream. */
  readonly streams: Suite.Feature<true>
}

const layerSecond = (layer: Layer.Layer<SqlClient.SqlClient, unknown>) =>
  Layer.scoped(Second, Effect.map(Layer.build(layer), (context) => Context.get(context, sql)))

/**
 * Two transactions that wait for each other: the one inside is the victim, since it has changed less than the other.
 */
export const deadlock = Effect.gen(function*() {
  const mine = yield* sql
  const others = yield* Other
  const locked = yield* Deferred.make<void>()
  yield* mine.unsafe("update locks set n = n + 1 where id = 1")
  yield* Effect.forkDaemon(outside(others.withTransaction(Effect.gen(function*() {
    yield* others.unsafe("update locks set n = n + 1 where id > 1")
    yield* Deferred.succeed(locked, undefined)
    yield* others.unsafe("update locks set n = n + 1 where id = 1")
  }))))
  yield* Deferred.await(locked)
  yield* Effect.sleep("100 millis")
  yield* mine.unsafe("update locks set n = n + 1 where id = 2")
})

/** The tables of a server's database. */
export const layerTables = (server: Server) =>
  layerStatements([
    "create table facts (id varchar(255) primary key not null)",
    `create table notes (id ${
      server === postgres ? "serial" : "int auto_increment"
    } primary key, text varchar(255) not null)`,
    "create table locks (id int primary key not null, n int not null)",
    `insert into locks values ${Array.from({ length: 200 }, (_, i) => `(${i + 1}, 0)`).join(", ")}`,
    ...(server === postgres
      ? [
        "create table parents (id int primary key)",
        "create table children (parent int references parents (id) deferrable initially deferred)"
      ]
      : [])
  ])

const refusingNull = Effect.flatMap(sql, (sql) => sql`insert into facts values (null)`)

const orphan = Effect.flatMap(sql, (sql) => sql`insert into children values (1)`)

const disconnecting = (isPostgres: boolean) =>
  Effect.gen(function*() {
    const mine = yield* sql
    const others = yield* Other
    const [own] = yield* mine.unsafe<{ id: number }>(
      `select ${isPostgres ? "pg_backend_pid()" : "connection_id()"} as id`
    )
    const id = own!.id
    yield* outside(others.unsafe(isPostgres ? `select pg_terminate_backend(${id})` : `kill ${id}`))
    const is = isPostgres
      ? `select pid from pg_stat_activity where pid = ${id}`
      : `select id from information_schema.processlist where id = ${id}`
    yield* Effect.repeat(outside(others.unsafe(is)), { until: (rows) => rows.length === 0 })
    // the driver hears of it with its socket
    yield* Effect.ignore(mine.unsafe("select 1"))
  })

export const ofServer = (server: Server, url: Redacted.Redacted): Database<Other> => {
  const isPostgres = server === postgres
  const tables = layerTables(server)
  return {
    name: server.name,
    layer: SqlStorage.layer({ migrate: true }).pipe(
      Layer.provideMerge(tables),
      Layer.provideMerge(server.layerOther(url)),
      Layer.provideMerge(server.layerNew(url)),
      Layer.merge(layerSecond(Layer.provideMerge(tables, server.layerNew(url))))
    ),
    uncommittable: isPostgres ? orphan : Suite.unsupported("there are no deferred constraints"),
    disconnecting: disconnecting(isPostgres),
    aborting: isPostgres
      ? refusingNull
      : Suite.unsupported("a statement that fails is undone by itself, and the transaction goes on"),
    losing: isPostgres
      ? Suite.unsupported("a failed statement leaves the transaction open, refusing all but a rollback")
      : deadlock,
    implicitCommit: isPostgres
      ? Suite.unsupported("no statement commits by itself")
      : Effect.flatMap(sql, (sql) => sql`create table other (id int)`),
    streams: true
  }
}

const layerSqliteTables = layerStatements([
  "pragma foreign_keys = on",
  "create table facts (id text primary key not null)",
  "create table notes (id integer primary key autoincrement, text text not null)",
  "create table parents (id integer primary key)",
  "create table children (parent integer references parents (id) deferrable initially deferred)"
])

export const sqlite: Database<never> = {
  name: "SQLite",
  layer: SqlStorage.layer({ migrate: true }).pipe(
    Layer.provideMerge(layerSqliteTables),
    Layer.provideMerge(layerInMemory),
    Layer.merge(layerSecond(Layer.provideMerge(layerSqliteTables, layerInMemory)))
  ),
  uncommittable: orphan,
  disconnecting: Suite.unsupported("the database is in the process, and there is no connection to lose"),
  aborting: Suite.unsupported("a statement that fails is undone by itself, and the transaction goes on"),
  losing: Effect.flatMap(sql, (sql) => sql`insert or rollback into facts values (null)`),
  implicitCommit: Suite.unsupported("no statement commits by itself"),
  streams: Suite.unsupported("the client has no streams")
}
