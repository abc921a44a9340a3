import { SqlStorage } from "@effect-cqrs/sql"
import { Suite, TransactionSuite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { layerFile, layerInMemory, layerOther, Other, outside } from "./sqlite.ts"

const sql = SqlClient.SqlClient

const tables = Layer.effectDiscard(Effect.flatMap(sql, (sql) =>
  Effect.forEach([
    "pragma foreign_keys = on",
    "create table facts (key text primary key not null)",
    "create table parents (id integer primary key)",
    "create table children (parent integer references parents (id) deferrable initially deferred)"
  ], (statement) => sql.unsafe(statement))))

const facts = {
  describe,
  it,
  write: (key: string) => Effect.flatMap(sql, (sql) => sql`insert into facts ${sql.insert({ key })}`),
  read: Effect.flatMap(
    sql,
    (sql) => Effect.map(sql<{ key: string }>`select key from facts`, (rows) => rows.map((row) => row.key))
  ),
  breakOutbox: Effect.flatMap(sql, (sql) => sql`drop table cqrs_outbox`),
  failing: Effect.flatMap(sql, (sql) => sql`insert into facts values (null)`),
  losing: Effect.flatMap(sql, (sql) => sql`insert or rollback into facts values (null)`),
  uncommittable: Effect.flatMap(sql, (sql) => sql`insert into children values (1)`),
  implicitCommit: Suite.unsupported("no statement of SQLite commits by itself"),
  withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(sql, (sql) => sql.withTransaction(effect)),
  statement: (text: string) => Effect.flatMap(sql, (sql) => sql.unsafe(text))
}

const layer = Layer.provideMerge(SqlStorage.layer({ migrate: true }), tables)

TransactionSuite.suite<SqlClient.SqlClient | Other>("SQLite in a file", {
  ...facts,
  layer: () => layer.pipe(Layer.provideMerge(layerOther), Layer.provideMerge(layerFile)),
  // another connection has no chance against a transaction that writes
  conflict: Effect.flatMap(Other, (sql) => outside(sql`insert into facts values ('other')`))
})

TransactionSuite.suite("SQLite in memory", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerInMemory),
  conflict: Suite.unsupported("the only connection has nobody to conflict with")
})
