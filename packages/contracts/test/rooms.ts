import { Contract } from "@effect-cqrs/contracts"
import { Command, Event, Query, RequestGroup } from "@effect-cqrs/core"
import { Schema } from "effect"

export const RoomId = Schema.NonEmptyString.pipe(Schema.maxLength(64), Schema.brand("RoomId"))

export class UserJoined extends Event.domain<UserJoined>()("UserJoined", { roomId: RoomId }) {}

export class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
  topic: "notices",
  payload: { tenant: Schema.String, roomId: RoomId, at: Schema.Date },
  key: ({ roomId, tenant }) => `${tenant}/${roomId}`
}) {}

export class RoomChanged extends Event.ecst<RoomChanged>()("room_changed", {
  topic: "rooms",
  payload: { roomId: RoomId, members: Schema.Int, state: Schema.Literal("open", "closed") },
  key: (event) => event.roomId,
  version: 2,
  upcasts: {
    1: { payload: { roomId: RoomId, members: Schema.Int }, to: (old) => ({ ...old, state: "open" as const }) }
  }
}) {}

export class RoomMoved extends Event.notification<RoomMoved>()("room_moved", { topic: "rooms" }) {}

export class JoinRoom extends Command.make<JoinRoom>()("JoinRoom", { payload: { roomId: RoomId } }) {}

const Billing = RequestGroup.namespace("Billing")
export class CloseRoom extends Billing.Command<CloseRoom>()("CloseRoom", { payload: { roomId: RoomId } }) {}

export class ReadRoom extends Query.make<ReadRoom>()("ReadRoom", {
  payload: { roomId: RoomId },
  success: Schema.Struct({ members: Schema.Int })
}) {}

export const options = {
  title: "Rooms",
  version: "1.0.0",
  handlers: [
    Contract.handler(JoinRoom, { adds: [RoomChanged], emits: [UserJoined] }),
    Contract.handler(CloseRoom, { adds: [RoomChanged, RoomClosed] }),
    Contract.handler(ReadRoom)
  ],
  consumers: [
    { subscription: { group: "views" }, events: [RoomChanged] },
    { subscription: { group: "audit" }, events: [RoomChanged, RoomClosed, RoomMoved] }
  ]
} satisfies Contract.Options

export const rooms = Contract.make(options)
