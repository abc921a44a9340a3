/** What other services would do with the events. */
import { Consumer, Message, Subscribers } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { Effect, Layer } from "effect"
import { RoomChanged, RoomClosed } from "./Domain.ts"
import { Ledger } from "./Ledger.ts"

const Handlers = Subscribers.layer(
  RoomChanged,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table if not exists room_views (
      room_id varchar(64) primary key, members integer not null, open integer not null, version integer not null
    )`
    // #region ifNewer
    // the state of a redelivered event may be older than what is there
    const ifNewer = sql.literal(sql.onDialectOrElse({
      mysql: () =>
        `on duplicate key update members = if(values(version) > version, values(members), members),
          open = if(values(version) > version, values(open), open), version = greatest(version, values(version))`,
      orElse: () =>
        `on conflict (room_id) do update
          set members = excluded.members, open = excluded.open, version = excluded.version
          where excluded.version > room_views.version`
    }))
    // #endregion ifNewer
    return {
      view: ({ members, open, roomId, version }) =>
        sql`insert into room_views (room_id, members, open, version)
          values (${roomId}, ${members}, ${open ? 1 : 0}, ${version}) ${ifNewer}`
    }
  })
)

/** Of the consumers below. */
export const groups = ["room-views", "audit"] as const

// #region consumer
/** Keeps a copy of the rooms' state: each event once, by the inbox. */
export const Projection = Consumer.layer({
  subscription: { group: "room-views" },
  events: [RoomChanged],
  inbox: true
}).pipe(Layer.provide(Handlers))
// #endregion consumer

const Auditors = Effect.gen(function*() {
  const ledger = yield* Ledger
  const note = Effect.fnUntraced(function*(event: RoomChanged | RoomClosed) {
    const message = yield* Message.Received
    yield* ledger.received({
      eventId: message.id,
      event: message.name,
      roomId: event.roomId,
      version: event.version,
      time: message.time
    })
  })
  return { note }
})

/** Notes every message that arrives, however often: without the inbox, on purpose. */
export const Audit = Consumer.layer({ subscription: { group: "audit" }, events: [RoomChanged, RoomClosed] }).pipe(
  Layer.provide(Layer.mergeAll(Subscribers.layer(RoomChanged, Auditors), Subscribers.layer(RoomClosed, Auditors)))
)
