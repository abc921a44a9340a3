import { SqlStorage } from "@effect-cqrs/sql"
import { Effect, Layer } from "effect"
import { interruptions } from "./interruptions.ts"
import { layerStatements } from "./servers.ts"
import { layerInMemory } from "./sqlite.ts"

interruptions({
  name: "SQLite",
  layer: SqlStorage.layer({ migrate: true }).pipe(
    Layer.merge(layerStatements(["create table facts (id text primary key)"])),
    Layer.provideMerge(layerInMemory)
  ),
  connections: 1,
  // a transaction cannot begin inside another
  assertIdle: (connection) =>
    Effect.zipRight(
      connection.executeUnprepared("begin", [], undefined),
      connection.executeUnprepared("rollback", [], undefined)
    )
})
