/** What the meeting rooms promise to others. */
import { Contract } from "@effect-cqrs/contracts"
import * as Domain from "../meeting-rooms/Domain.ts"

// #region contract
export default Contract.make({
  title: "Meeting rooms",
  version: "1.0.0",
  description: "Who is in which room, and when it closes.",
  handlers: [
    Contract.handler(Domain.CreateRoom, { adds: [Domain.RoomChanged] }),
    Contract.handler(Domain.JoinRoom, { adds: [Domain.RoomChanged], emits: [Domain.UserJoined] }),
    Contract.handler(Domain.LeaveRoom, { adds: [Domain.RoomChanged] }),
    Contract.handler(Domain.CloseRoom, { adds: [Domain.RoomChanged, Domain.RoomClosed] }),
    Contract.handler(Domain.ReadRoom)
  ],
  consumers: [
    { subscription: { group: "room-views" }, events: [Domain.RoomChanged] },
    { subscription: { group: "audit" }, events: [Domain.RoomChanged, Domain.RoomClosed] }
  ]
})
// #endregion contract
