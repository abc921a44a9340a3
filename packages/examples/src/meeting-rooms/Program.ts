/** The whole, as layers; and its parts, for processes of their own. */
import { Bootstrap, Idempotency, Relay, Serialization } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { Layer } from "effect"
import { Broker } from "./Brokers.ts"
import { Greeter, JoinRoomHandler, OtherHandlers } from "./Handlers.ts"
import { LedgerLayer } from "./Ledger.ts"
import { Audit, Projection } from "./Projection.ts"
import { RoomsLayer } from "./Rooms.ts"
import { Database, type Setting } from "./Setting.ts"

// #region bootstrap
const Infrastructure = (setting: Setting) =>
  Bootstrap.layer({
    storage: SqlStorage.layer({ migrate: true }),
    broker: Broker(setting),
    serialization: { source: "/meeting-rooms" }
  })
// #endregion bootstrap

const Handlers = Layer.mergeAll(
  JoinRoomHandler.pipe(Layer.provide(Greeter)),
  OtherHandlers
).pipe(Layer.provideMerge(RoomsLayer))

/** All of it in one process. */
export const Program = (setting: Setting) =>
  Layer.mergeAll(Handlers, Projection, Audit).pipe(
    Layer.provideMerge(LedgerLayer),
    Layer.provideMerge(Infrastructure(setting)),
    Layer.provide(Database(setting))
  )

/** What every process stands on: the first one makes the tables. */
export const Ground = (setting: Setting) =>
  Layer.merge(LedgerLayer, RoomsLayer).pipe(
    Layer.provideMerge(SqlStorage.layer({ migrate: true })),
    Layer.provide(Database(setting))
  )

// #region processes
/** Handles commands, and leaves what they announce in the outbox. */
export const Writer = (setting: Setting) =>
  Handlers.pipe(
    Layer.provideMerge(Idempotency.Idempotent.layer),
    Layer.provideMerge(Layer.merge(LedgerLayer, SqlStorage.layer())),
    Layer.provideMerge(Serialization.layer({ source: "/meeting-rooms" })),
    Layer.provide(Database(setting))
  )

/** Brings what is in the outbox to the broker. */
export const RelayProcess = (setting: Setting) =>
  Relay.layer().pipe(
    Layer.provide(Layer.merge(SqlStorage.layer(), Broker(setting))),
    Layer.provide(Database(setting))
  )

/** Handles what comes from the broker. */
export const Consumers = (setting: Setting) =>
  Layer.mergeAll(Projection, Audit).pipe(
    Layer.provide(Layer.mergeAll(LedgerLayer, SqlStorage.layer(), Broker(setting))),
    Layer.provide(Database(setting))
  )
// #endregion processes
