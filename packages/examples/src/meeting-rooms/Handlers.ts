/** What happens when a room is asked for something. */
import { EventEmitter, Handler, Outbox, RequestGroup, Subscribers } from "@effect-cqrs/core"
import { Effect } from "effect"
import * as Domain from "./Domain.ts"
import { Ledger } from "./Ledger.ts"
import { Rooms } from "./Rooms.ts"

/** Announces a change, and notes in the ledger, as part of the same transaction, that it did. */
const announce = Effect.fnUntraced(function*(event: Domain.RoomChanged | Domain.RoomClosed) {
  const ledger = yield* Ledger
  const eventId = yield* Outbox.add(event)
  yield* ledger.committed({ eventId, event: event._tag, roomId: event.roomId, version: event.version })
})

// #region handler
export const JoinRoomHandler = Handler.layer(
  Domain.JoinRoom,
  Effect.gen(function*() {
    const rooms = yield* Rooms
    return Effect.fnUntraced(function*({ roomId, userId }) {
      const room = yield* rooms.lock(roomId)
      if (!room.open) return yield* new Domain.RoomIsClosed({ roomId })
      if (room.members >= room.capacity) return yield* new Domain.RoomFull({ roomId, capacity: room.capacity })
      yield* announce(new Domain.RoomChanged(yield* rooms.enter(room, userId)))
      yield* EventEmitter.emit(new Domain.UserJoined({ roomId, userId }))
    })
  })
)
// #endregion handler

// #region group
/** The others at once: a handler that is missing here does not compile. */
export const OtherHandlers = RequestGroup.make(
  Domain.CreateRoom,
  Domain.LeaveRoom,
  Domain.CloseRoom,
  Domain.ReadRoom
).layer(Effect.gen(function*() {
  const rooms = yield* Rooms
  return {
    CreateRoom: Effect.fnUntraced(function*({ capacity, roomId }) {
      yield* announce(new Domain.RoomChanged(yield* rooms.create(roomId, capacity)))
    }),
    LeaveRoom: Effect.fnUntraced(function*({ roomId, userId }) {
      const room = yield* rooms.lock(roomId)
      yield* announce(new Domain.RoomChanged(yield* rooms.leave(room, userId)))
    }),
    CloseRoom: Effect.fnUntraced(function*({ roomId }) {
      const room = yield* rooms.lock(roomId)
      if (!room.open) return yield* new Domain.RoomIsClosed({ roomId })
      const closed = yield* rooms.close(room)
      yield* announce(new Domain.RoomChanged(closed))
      yield* announce(new Domain.RoomClosed(closed))
    }),
    ReadRoom: ({ roomId }) => rooms.read(roomId)
  }
}))
// #endregion group

// #region subscriber
/** A domain event's handler: in this process, after the commit. */
export const Greeter = Subscribers.layer(Domain.UserJoined, {
  greet: ({ roomId, userId }) => Effect.logDebug(`${userId} joined ${roomId}`)
})
// #endregion subscriber
