/** The language of the meeting rooms: what can be asked, what can go wrong, and what can have happened. */
import { Command, Event, Idempotency, Query } from "@effect-cqrs/core"
import { Schema } from "effect"

export const RoomId = Schema.NonEmptyString.pipe(Schema.maxLength(64), Schema.brand("RoomId"))
export const UserId = Schema.NonEmptyString.pipe(Schema.maxLength(64), Schema.brand("UserId"))
export type RoomId = typeof RoomId.Type
export type UserId = typeof UserId.Type

// ── What can go wrong ───────────────────────────────────────────────────────────────────────────────────────────────

export class RoomExists extends Schema.TaggedError<RoomExists>()("RoomExists", { roomId: RoomId }) {}
export class RoomNotFound extends Schema.TaggedError<RoomNotFound>()("RoomNotFound", { roomId: RoomId }) {}
export class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", {
  roomId: RoomId,
  capacity: Schema.Number
}) {}
export class RoomIsClosed extends Schema.TaggedError<RoomIsClosed>()("RoomIsClosed", { roomId: RoomId }) {}
export class AlreadyInRoom extends Schema.TaggedError<AlreadyInRoom>()("AlreadyInRoom", {
  roomId: RoomId,
  userId: UserId
}) {}
export class NotInRoom extends Schema.TaggedError<NotInRoom>()("NotInRoom", { roomId: RoomId, userId: UserId }) {}

// ── What can be asked ───────────────────────────────────────────────────────────────────────────────────────────────

export class CreateRoom extends Command.make<CreateRoom>()("CreateRoom", {
  payload: { roomId: RoomId, capacity: Schema.Int.pipe(Schema.between(1, 1000)) },
  failure: RoomExists,
  middleware: [Idempotency.Idempotent]
}) {}

// #region request
export class JoinRoom extends Command.make<JoinRoom>()("JoinRoom", {
  payload: { roomId: RoomId, userId: UserId },
  failure: Schema.Union(RoomNotFound, RoomIsClosed, RoomFull, AlreadyInRoom),
  middleware: [Idempotency.Idempotent]
}) {}
// #endregion request

export class LeaveRoom extends Command.make<LeaveRoom>()("LeaveRoom", {
  payload: { roomId: RoomId, userId: UserId },
  failure: Schema.Union(RoomNotFound, NotInRoom),
  middleware: [Idempotency.Idempotent]
}) {}

export class CloseRoom extends Command.make<CloseRoom>()("CloseRoom", {
  payload: { roomId: RoomId },
  failure: Schema.Union(RoomNotFound, RoomIsClosed),
  middleware: [Idempotency.Idempotent]
}) {}

export const RoomView = Schema.Struct({
  roomId: RoomId,
  capacity: Schema.Number,
  members: Schema.Number,
  open: Schema.Boolean,
  version: Schema.Number
})
export type RoomView = typeof RoomView.Type

export class ReadRoom extends Query.make<ReadRoom>()("ReadRoom", {
  payload: { roomId: RoomId },
  success: RoomView,
  failure: RoomNotFound
}) {}

// ── What can have happened ──────────────────────────────────────────────────────────────────────────────────────────

// #region events
/** Stays in this process. */
export class UserJoined extends Event.domain<UserJoined>()("UserJoined", { roomId: RoomId, userId: UserId }) {}

/** Tells other services that a room was closed; who wants to know more asks. */
export class RoomClosed extends Event.notification<RoomClosed>()("meeting_room_closed", {
  topic: "meeting_room_notifications",
  payload: { roomId: RoomId, version: Schema.Number },
  key: (event) => event.roomId
}) {}

/** Carries the room's state to whoever keeps a copy of it. */
export class RoomChanged extends Event.ecst<RoomChanged>()("meeting_room_changed", {
  topic: "meeting_rooms",
  payload: RoomView.fields,
  key: (event) => event.roomId
}) {}
// #endregion events
