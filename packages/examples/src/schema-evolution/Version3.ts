/** As it is today. */
import { Event } from "@effect-cqrs/core"
import { Schema } from "effect"

// #region event
const Purpose = Schema.Literal("meeting", "focus", "unknown")

export class RoomBooked extends Event.notification<RoomBooked>()("room_booked", {
  topic: "bookings",
  payload: { roomId: Schema.String, minutes: Schema.Int, purpose: Purpose },
  key: (event) => event.roomId,
  version: 3,
  upcasts: {
    // version 2 gave the room another name
    1: {
      payload: { room: Schema.String, minutes: Schema.Int },
      to: ({ minutes, room }) => ({ roomId: room, minutes })
    },
    // version 3 says what for, which nobody had been asked before
    2: {
      payload: { roomId: Schema.String, minutes: Schema.Int },
      to: (old) => ({ ...old, purpose: "unknown" as const })
    }
  }
}) {}
// #endregion event
