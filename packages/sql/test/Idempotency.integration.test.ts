import { SqlStorage } from "@effect-cqrs/sql"
import { IdempotencySuite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { layerStatements, onEachServer } from "./servers.ts"

const layer = Layer.provideMerge(
  SqlStorage.layer({ migrate: true }),
  layerStatements(["create table if not exists facts (id varchar(255) primary key)"])
)

onEachServer((server, url) => {
  IdempotencySuite.suite(server.name, {
    describe,
    it,
    write: (key) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into facts values (${key})`),
    age: (by: Duration.Duration) =>
      Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`update cqrs_idempotency set claimed_at = claimed_at - ${Duration.toMillis(by) * 1000}`
      ),
    read: Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => Effect.map(sql<{ id: string }>`select id from facts`, (rows) => rows.map((row) => row.id))
    ),
    layer: () => Layer.provideMerge(layer, server.layerNew(url)),
    reopen: () => Effect.map(server.reopen(url), (client) => Layer.provideMerge(layer, client))
  })
})
