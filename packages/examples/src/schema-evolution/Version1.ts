/** As it was deployed a year ago. */
import { Event } from "@effect-cqrs/core"
import { Schema } from "effect"

// #region event
export class RoomBooked extends Event.notification<RoomBooked>()("room_booked", {
  topic: "bookings",
  payload: { room: Schema.String, minutes: Schema.Int },
  key: (event) => event.room
}) {}
// #endregion event
