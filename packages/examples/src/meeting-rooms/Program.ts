/** The whole, as layers. */
import { Bootstrap } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { Greeter, JoinRoomHandler, OtherHandlers } from "./Handlers.ts"
import { LedgerLayer } from "./Ledger.ts"
import { Audit, Projection } from "./Projection.ts"
import { RoomsLayer } from "./Rooms.ts"

const Database = (filename: string) =>
  Layer.effectDiscard(
    // survives a crash of the process, not of the machine: enough for a demonstration, and without a disk sync per commit
    Effect.flatMap(SqlClient.SqlClient, (sql) => sql`pragma synchronous = normal`)
  ).pipe(Layer.provideMerge(SqliteClient.layer({ filename })))

// #region bootstrap
const Infrastructure = Bootstrap.layer({
  storage: SqlStorage.layer({ migrate: true }),
  serialization: { source: "/meeting-rooms" }
})
// #endregion bootstrap

export const Program = (filename: string) =>
  Layer.mergeAll(
    JoinRoomHandler.pipe(Layer.provide(Greeter)),
    OtherHandlers,
    Projection,
    Audit
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(RoomsLayer, LedgerLayer)),
    Layer.provideMerge(Infrastructure),
    Layer.provide(Database(filename))
  )
