import { SqlStorage } from "@effect-cqrs/sql"
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { interruptions } from "./interruptions.ts"
import { layerStatements, onEachServer } from "./servers.ts"

onEachServer((server, url) => {
  const isPostgres = server.name === "PostgreSQL"
  interruptions({
    name: server.name,
    layer: SqlStorage.layer({ migrate: true }).pipe(
      Layer.merge(layerStatements(["create table facts (id varchar(255) primary key)"])),
      Layer.provideMerge(server.layerNew(url))
    ),
    connections: 10,
    assertIdle: (connection) =>
      Effect.map(
        connection.executeUnprepared(
          // in a transaction time stands still
          isPostgres ? "select now() = statement_timestamp() as idle" : "select @@autocommit = 1 as idle",
          [],
          undefined
        ),
        ([row]) => assert.isTrue(Boolean(row.idle))
      )
  })
})
