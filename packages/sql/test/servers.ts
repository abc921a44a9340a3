import { SqlClient } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"

import { Endpoint } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"

/** What the tests of one kind of server have in common: databases of their own, which go with their scope. */
export interface Server {
  readonly name: string
  readonly variable: string
  /** The endpoint of a database that goes with the scope. */
  readonly database: (url: Redacted.Redacted) => Effect.Effect<Redacted.Redacted, unknown, Scope.Scope>
  /** A client on a database that did not exist before. */
  readonly layerNew: (url: Redacted.Redacted) => Layer.Layer<SqlClient.SqlClient | Database, unknown>
  /** Another client on the same database, as another process would have it. */
  readonly layerOther: (url: Redacted.Redacted) => Layer.Layer<Other, unknown, Database>
  /** A database that goes with the scope, and layers that make clients on it. */
  readonly reopen: (
    url: Redacted.Redacted
  ) => Effect.Effect<Layer.Layer<SqlClient.SqlClient, unknown>, unknown, Scope.Scope>
}

class Database extends Context.Tag("test/Database")<Database, string>() {}

export class Other extends Context.Tag("test/Other")<Other, SqlClient.SqlClient>() {}

let databases = 0

const within = (url: Redacted.Redacted, database: string): Redacted.Redacted => {
  const changed = new URL(Redacted.value(url))
  changed.pathname = `/${database}`
  return Redacted.make(changed.href)
}

const make = (
  name: string,
  variable: string,
  client: (url: Redacted.Redacted) => Layer.Layer<SqlClient.SqlClient, unknown>,
  drop: (database: string) => string
): Server => {
  const layerDatabase = (url: Redacted.Redacted) =>
    Layer.scoped(
      Database,
      Effect.acquireRelease(
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const database = `cqrs_test_${process.pid}_${++databases}`
          yield* sql.unsafe(drop(database))
          yield* sql.unsafe(`create database ${database}`)
          return database
        }).pipe(Effect.provide(client(url))),
        (database) =>
          Effect.ignore(
            Effect.provide(Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(drop(database))), client(url))
          )
      )
    )
  const database = (url: Redacted.Redacted) =>
    Effect.map(Layer.build(layerDatabase(url)), (context) => within(url, Context.get(context, Database)))
  const layerClient = (url: Redacted.Redacted) =>
    Layer.unwrapEffect(Effect.map(Database, (database) => Layer.fresh(client(within(url, database)))))
  return {
    name,
    variable,
    database,
    layerNew: (url) => Layer.provideMerge(layerClient(url), layerDatabase(url)),
    layerOther: (url) => Layer.provide(Layer.effect(Other, SqlClient.SqlClient), layerClient(url)),
    reopen: (url) => Effect.map(database(url), (own) => Layer.suspend(() => Layer.fresh(client(own))))
  }
}

const mariadb = make(
  "MariaDB",
  "EFFECT_CQRS_MARIADB_URL",
  (url) => MysqlClient.layer({ url, maxConnections: 10 }),
  (database) => `drop database if exists ${database}`
)

const mysql = make(
  "MySQL",
  "EFFECT_CQRS_MYSQL_URL",
  (url) => MysqlClient.layer({ url, maxConnections: 10 }),
  (database) => `drop database if exists ${database}`
)

export const postgres = make(
  "PostgreSQL",
  "EFFECT_CQRS_POSTGRES_URL",
  (url) => PgClient.layer({ url, maxConnections: 10 }),
  (database) => `drop database if exists ${database} with (force)`
)

const hint = "`npm run services -- up` finds or starts one."

/** The tests of each kind of server, where there is one. */
export const onEachServer = (tests: (server: Server, url: Redacted.Redacted) => void): void => {
  for (const server of [mariadb, mysql, postgres]) {
    const { name, variable } = server
    Endpoint.suite(
      name,
      server === mysql
        ? { describe, it, variable, hint: "It is optional.", optional: true }
        : { describe, it, variable, hint },
      (url) => tests(server, url)
    )
  }
}

/** Statements that a test needs to have been run. */
export const layerStatements = (statements: ReadonlyArray<string>) =>
  Layer.effectDiscard(
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true }))
  )
