/**
 * The database servers, and databases of a measurement's own on them.
 */
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as PgClient from "@effect/sql-pg/PgClient"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Mysql from "mysql2/promise"
import Pg from "pg"

/** A connection of the raw driver's, for what is done by hand. */
export interface Hand {
  readonly query: (text: string) => Promise<ReadonlyArray<Record<string, unknown>>>
}

/** A kind of server. */
export interface Server {
  /** As it stands in the names of rows. */
  readonly id: "mariadb" | "postgres"
  readonly title: string
  readonly variable: string
  readonly client: (url: Redacted.Redacted, connections: number) => Layer.Layer<SqlClient, unknown>
  readonly hand: (url: Redacted.Redacted) => Effect.Effect<Hand, unknown, Scope.Scope>
  readonly drop: (database: string) => string
  /** A column's value that no other row has. */
  readonly newId: string
  /** The columns of a table that an INSERT has to give, but for those that count by themselves. */
  readonly columns: (table: string) => string
  /** Waits until what was deleted is out of the way, as it would be in a database that is not hurried. */
  readonly rest: (table: string) => Effect.Effect<void, SqlError, SqlClient>
  /** Statements that open a transaction which sees the database as it is now, for as long as it lasts. */
  readonly snapshot: ReadonlyArray<string>
  /** Raises the version of a row of `bench_room`, in one round trip; answers the one that it had. */
  readonly raise: (sql: SqlClient, room: number) => Effect.Effect<number, SqlError>
  /** What the report says of the server. */
  readonly settings: string
}

/** A database that goes with its scope. */
export interface Database {
  readonly server: Server
  readonly url: Redacted.Redacted
}

const mariadb: Server = {
  id: "mariadb",
  title: "MariaDB",
  variable: "EFFECT_CQRS_MARIADB_URL",
  client: (url, maxConnections) => MysqlClient.layer({ url, maxConnections }),
  hand: (url) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.tryPromise(() => Mysql.createConnection({ uri: Redacted.value(url), multipleStatements: true })),
        (connection) => Effect.promise(() => connection.end())
      ),
      (connection) => ({
        query: async (text) => (await connection.query(text))[0] as unknown as ReadonlyArray<Record<string, unknown>>
      })
    ),
  drop: (database) => `drop database if exists ${database}`,
  newId: "uuid()",
  columns: (table) =>
    `select column_name as name from information_schema.columns where table_schema = database() ` +
    `and table_name = '${table}' and extra not like '%auto_increment%' and extra not like '%generated%' ` +
    "order by ordinal_position",
  rest: () =>
    Effect.flatMap(
      SqlClient,
      (sql) =>
        sql.unsafe<{ readonly Value: string }>("show global status like 'Innodb_history_list_length'").pipe(
          Effect.repeat({
            until: ([row]) => Number(row?.Value) < 1000,
            schedule: Schedule.spaced("200 millis").pipe(Schedule.upTo("20 seconds"))
          }),
          Effect.asVoid
        )
    ),
  snapshot: [
    "set transaction isolation level repeatable read",
    "start transaction with consistent snapshot"
  ],
  raise: (sql, room) =>
    Effect.map(
      sql`update bench_room set version = last_insert_id(version + 1) where id = ${room}`.raw,
      (header) => (header as { readonly insertId: number }).insertId - 1
    ),
  settings: "select version() as version, @@innodb_flush_log_at_trx_commit as innodb_flush_log_at_trx_commit, " +
    "@@innodb_buffer_pool_size div 1048576 as innodb_buffer_pool_mib, " +
    "@@innodb_log_file_size div 1048576 as innodb_log_file_mib, @@log_bin as log_bin"
}

export const postgres: Server = {
  id: "postgres",
  title: "PostgreSQL",
  variable: "EFFECT_CQRS_POSTGRES_URL",
  client: (url, maxConnections) => PgClient.layer({ url, maxConnections }),
  hand: (url) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.tryPromise(async () => {
          const client = new Pg.Client({ connectionString: Redacted.value(url) })
          await client.connect()
          return client
        }),
        (client) => Effect.promise(() => client.end())
      ),
      (client) => ({ query: async (text) => (await client.query(text)).rows })
    ),
  drop: (database) => `drop database if exists ${database} with (force)`,
  newId: "gen_random_uuid()::text",
  columns: (table) =>
    `select column_name as name from information_schema.columns where table_schema = current_schema() ` +
    `and table_name = '${table}' and is_identity = 'NO' and is_generated = 'NEVER' order by ordinal_position`,
  rest: (table) => Effect.flatMap(SqlClient, (sql) => Effect.asVoid(sql.unsafe(`vacuum analyze ${table}`))),
  snapshot: ["begin isolation level repeatable read"],
  raise: (sql, room) =>
    Effect.map(
      sql<
        { readonly version: number }
      >`update bench_room set version = version + 1 where id = ${room} returning version`,
      ([row]) => row!.version - 1
    ),
  settings: "select current_setting('server_version') as version, current_setting('fsync') as fsync, " +
    "current_setting('synchronous_commit') as synchronous_commit, current_setting('shared_buffers') as shared_buffers, " +
    "current_setting('max_wal_size') as max_wal_size, current_setting('autovacuum') as autovacuum"
}

export const servers: ReadonlyArray<Server> = [mariadb, postgres]

/** A database that did not exist before, and is dropped with the scope, also when the run is interrupted. */
export const make = (server: Server): Effect.Effect<Database, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const admin = Redacted.make(process.env[server.variable] ?? "")
    const name = `cqrs_bench_${process.pid}_${++databases}`
    const run = (...statements: ReadonlyArray<string>) =>
      Effect.scoped(Effect.flatMap(server.hand(admin), (hand) =>
        Effect.forEach(statements, (statement) =>
          Effect.tryPromise(() =>
            hand.query(statement)
          ), { discard: true })))
    yield* Effect.acquireRelease(
      run(server.drop(name), `create database ${name}`),
      () =>
        Effect.orDie(Effect.timeout(run(server.drop(name)), Duration.seconds(60)))
    )
    const url = new URL(Redacted.value(admin))
    url.pathname = `/${name}`
    return { server, url: Redacted.make(url.href) }
  })

/** What the report says of each server whose address is known; one that does not answer says so there. */
export const settings: Effect.Effect<Readonly<Record<string, Readonly<Record<string, string>>>>> = Effect.map(
  Effect.forEach(
    servers.filter(({ variable }) => (process.env[variable] ?? "") !== ""),
    (server) =>
      Effect.scoped(
        Effect.flatMap(server.hand(Redacted.make(process.env[server.variable]!)), (hand) =>
          Effect.tryPromise(() => hand.query(server.settings)))
      ).pipe(
        Effect.map(([row]) =>
          Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, String(value)]))
        ),
        Effect.orElseSucceed(() => ({ version: "does not answer" })),
        Effect.map((found) =>
          [server.title, found] as const
        )
      )
  ),
  Object.fromEntries
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

let databases = 0
