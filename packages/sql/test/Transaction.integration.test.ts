import { SqlStorage } from "@effect-cqrs/sql"
import { Suite, TransactionSuite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { deadlock, layerTables } from "./databases.ts"
import type { Other } from "./servers.ts"
import { onEachServer, postgres } from "./servers.ts"

const sql = SqlClient.SqlClient

const facts = {
  describe,
  it,
  write: (key: string) => Effect.flatMap(sql, (sql) => sql`insert into facts ${sql.insert({ id: key })}`),
  read: Effect.flatMap(
    sql,
    (sql) => Effect.map(sql<{ id: string }>`select id from facts`, (rows) => rows.map((row) => row.id))
  ),
  breakOutbox: Effect.flatMap(sql, (sql) => sql`drop table cqrs_outbox`),
  failing: Effect.flatMap(sql, (sql) => sql`insert into facts values (null)`),
  withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(sql, (sql) => sql.withTransaction(effect)),
  statement: (text: string) => Effect.flatMap(sql, (sql) => sql.unsafe(text).unprepared)
}

onEachServer((server, url) => {
  const isPostgres = server === postgres
  const tables = layerTables(server)
  TransactionSuite.suite<SqlClient.SqlClient | Other>(server.name, {
    ...facts,
    layer: () =>
      Layer.provideMerge(SqlStorage.layer({ migrate: true }), tables).pipe(
        Layer.provideMerge(server.layerOther(url)),
        Layer.provideMerge(server.layerNew(url))
      ),
    losing: isPostgres
      ? Suite.unsupported("a failed statement leaves the transaction open, refusing all but a rollback")
      : deadlock,
    uncommittable: isPostgres
      ? Effect.flatMap(sql, (sql) => sql`insert into children values (1)`)
      : Suite.unsupported("there are no deferred constraints"),
    implicitCommit: isPostgres
      ? Suite.unsupported("no statement commits by itself")
      : Effect.flatMap(sql, (sql) => sql`create table other (id int)`),
    conflict: isPostgres
      ? Effect.flatMap(
        sql,
        (sql) => sql.unsafe("do $$ begin raise exception 'victim' using errcode = '40001'; end $$")
      )
      : deadlock,
    timeout: 60_000
  })
})
