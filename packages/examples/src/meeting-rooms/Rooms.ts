/** The rooms, in tables of the application's own. */
import { SqlClient } from "@effect/sql"
import { Context, Effect, Layer } from "effect"
import {
  AlreadyInRoom,
  NotInRoom,
  RoomExists,
  type RoomId,
  RoomNotFound,
  type RoomView,
  type UserId
} from "./Domain.ts"

export class Rooms extends Context.Tag("Rooms")<Rooms, {
  readonly create: (roomId: RoomId, capacity: number) => Effect.Effect<RoomView, RoomExists>
  /** Raises the room's version, which locks its row for the rest of the transaction. */
  readonly lock: (roomId: RoomId) => Effect.Effect<RoomView, RoomNotFound>
  readonly enter: (room: RoomView, userId: UserId) => Effect.Effect<RoomView, AlreadyInRoom>
  readonly leave: (room: RoomView, userId: UserId) => Effect.Effect<RoomView, NotInRoom>
  readonly close: (room: RoomView) => Effect.Effect<RoomView>
  readonly read: (roomId: RoomId) => Effect.Effect<RoomView, RoomNotFound>
}>() {}

interface Row {
  readonly id: RoomId
  readonly capacity: number
  readonly members: number | string
  readonly open: number
  readonly version: number
}

const viewOf = ({ capacity, id, members, open, version }: Row): RoomView => ({
  roomId: id,
  capacity,
  // a count is a bigint, which drivers give as text
  members: Number(members),
  open: open === 1,
  version
})

/** Creates the tables and keeps the rooms in them. A database that does not answer is a defect: the transaction fails. */
export const RoomsLayer = Layer.effect(
  Rooms,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table if not exists rooms (
      id varchar(64) primary key, capacity integer not null, open integer not null default 1,
      version integer not null default 1
    )`
    yield* sql`create table if not exists members (
      room_id varchar(64) not null references rooms (id), user_id varchar(64) not null, primary key (room_id, user_id)
    )`

    const read = (roomId: RoomId) =>
      sql<Row>`select id, capacity, open, version,
        (select count(*) from members where room_id = ${roomId}) as members
        from rooms where id = ${roomId}`.pipe(
        Effect.orDie,
        Effect.flatMap(([row]) =>
          row === undefined ? Effect.fail(new RoomNotFound({ roomId })) : Effect.succeed(viewOf(row))
        )
      )

    const exists = (query: Effect.Effect<ReadonlyArray<unknown>, unknown>) =>
      Effect.map(Effect.orDie(query), (rows) => rows.length > 0)

    return Rooms.of({
      read,
      create: (roomId, capacity) =>
        Effect.gen(function*() {
          if (yield* exists(sql`select id from rooms where id = ${roomId}`)) return yield* new RoomExists({ roomId })
          yield* Effect.orDie(sql`insert into rooms (id, capacity) values (${roomId}, ${capacity})`)
          return { roomId, capacity, members: 0, open: true, version: 1 }
        }),
      lock: (roomId) =>
        Effect.zipRight(Effect.orDie(sql`update rooms set version = version + 1 where id = ${roomId}`), read(roomId)),
      enter: (room, userId) =>
        Effect.gen(function*() {
          const { roomId } = room
          if (yield* exists(sql`select 1 from members where room_id = ${roomId} and user_id = ${userId}`)) {
            return yield* new AlreadyInRoom({ roomId, userId })
          }
          yield* Effect.orDie(sql`insert into members (room_id, user_id) values (${roomId}, ${userId})`)
          return { ...room, members: room.members + 1 }
        }),
      leave: (room, userId) =>
        Effect.gen(function*() {
          const { roomId } = room
          if (!(yield* exists(sql`select 1 from members where room_id = ${roomId} and user_id = ${userId}`))) {
            return yield* new NotInRoom({ roomId, userId })
          }
          yield* Effect.orDie(sql`delete from members where room_id = ${roomId} and user_id = ${userId}`)
          return { ...room, members: room.members - 1 }
        }),
      close: (room) =>
        Effect.as(Effect.orDie(sql`update rooms set open = 0 where id = ${room.roomId}`), { ...room, open: false })
    })
  })
)
