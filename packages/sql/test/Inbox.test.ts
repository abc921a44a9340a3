import { SqlStorage } from "@effect-cqrs/sql"
import { InboxSuite, Suite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { folder, layerFile, layerInMemory } from "./sqlite.ts"

const sql = SqlClient.SqlClient

const layer = Layer.provideMerge(
  SqlStorage.layer({ migrate: true }),
  Layer.effectDiscard(Effect.flatMap(sql, (sql) => sql`create table if not exists facts (key text primary key)`))
)

const facts = {
  describe,
  it,
  write: (key: string) => Effect.flatMap(sql, (sql) => sql`insert into facts values (${key})`),
  age: (by: Duration.Duration) =>
    Effect.flatMap(sql, (sql) =>
      Effect.all([
        sql`update cqrs_inbox set handled_at = handled_at - ${Duration.toMillis(by) * 1000}`,
        sql`update cqrs_inbox_start set started_at = started_at - ${Duration.toMillis(by) * 1000}`
      ])),
  read: Effect.flatMap(
    sql,
    (sql) => Effect.map(sql<{ key: string }>`select key from facts`, (rows) => rows.map((row) => row.key))
  )
}

InboxSuite.suite("SQLite in a file", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerFile),
  reopen: (name) =>
    Effect.map(
      folder,
      (path) => Layer.provideMerge(layer, Layer.suspend(() => SqliteClient.layer({ filename: `${path}/${name}.db` })))
    )
})

InboxSuite.suite("SQLite in memory", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerInMemory),
  reopen: Suite.unsupported("a database in memory goes with its connection")
})
