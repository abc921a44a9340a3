/** A small program to test with the kit. */
import { Command, Event, EventEmitter, Handler, Outbox, Query, Transaction } from "@effect-cqrs/core"
import { Context, Effect, Layer, Schema } from "effect"

export class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { roomId: Schema.String }) {}

export class JoinRoom extends Command.make<JoinRoom>()("JoinRoom", {
  payload: { roomId: Schema.NonEmptyString, userId: Schema.NonEmptyString },
  failure: RoomFull,
  middleware: [Transaction.Transactional]
}) {}

export class CountMembers extends Query.make<CountMembers>()("CountMembers", {
  payload: { roomId: Schema.String },
  success: Schema.Number
}) {}

export class UserGreeted extends Event.domain<UserGreeted>()("UserGreeted", { userId: Schema.String }) {}

export class UserJoined extends Event.notification<UserJoined>()("user_joined", {
  topic: "rooms",
  payload: { roomId: Schema.String, userId: Schema.String },
  key: (event) => event.roomId
}) {}

export class RoomChanged extends Event.ecst<RoomChanged>()("room_changed", {
  topic: "states",
  payload: { roomId: Schema.String, members: Schema.Array(Schema.String), since: Schema.Date },
  key: (event) => event.roomId
}) {}

export class Members extends Context.Tag("test/Members")<Members, Map<string, ReadonlyArray<string>>>() {
  static readonly layer = Layer.sync(Members, () => new Map())
}

export const joined = (userId: string, roomId = "blue") => new UserJoined({ roomId, userId })
export const join = (userId: string, roomId = "blue") => new JoinRoom({ roomId, userId })
export const changed = (...members: ReadonlyArray<string>) =>
  new RoomChanged({ roomId: "blue", members, since: new Date(0) })

/** Two have room. */
export const Handlers = Layer.mergeAll(
  Handler.layer(
    JoinRoom,
    Effect.gen(function*() {
      const members = yield* Members
      return Effect.fnUntraced(function*({ roomId, userId }) {
        const before = members.get(roomId) ?? []
        yield* Transaction.afterRollback(Effect.sync(() => members.set(roomId, before)))
        members.set(roomId, [...before, userId])
        yield* Outbox.add(joined(userId, roomId))
        yield* EventEmitter.emit(new UserGreeted({ userId }))
        if (before.length === 2) return yield* new RoomFull({ roomId })
      })
    })
  ),
  Handler.layer(
    CountMembers,
    Effect.map(Members, (members) => ({ roomId }) => Effect.sync(() => members.get(roomId)?.length ?? 0))
  )
)
