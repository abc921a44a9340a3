import { SqlStorage } from "@effect-cqrs/sql"
import { Suite, TransactionSuite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { layerStatements, onEachServer, Other, postgres } from "./servers.ts"
import { outside } from "./sqlite.ts"

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

/**
 * Two transactions that wait for each other: the one inside is the victim, since it has changed less than the other.
 */
const deadlock = Effect.gen(function*() {
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

onEachServer((server, url) => {
  const isPostgres = server === postgres
  const tables = layerStatements([
    "create table facts (id varchar(255) primary key not null)",
    "create table locks (id int primary key not null, n int not null)",
    `insert into locks values ${Array.from({ length: 200 }, (_, i) => `(${i + 1}, 0)`).join(", ")}`,
    ...(isPostgres
      ? [
        "create table parents (id int primary key)",
        "create table children (parent int references parents (id) deferrable initially deferred)"
      ]
      : [])
  ])
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
