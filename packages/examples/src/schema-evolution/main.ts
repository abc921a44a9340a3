/** A message that was written by version 1 of an event is handled by version 3 of it; and what a careless change breaks. */
import { Compatibility, Contract, JsonSchemas } from "@effect-cqrs/contracts"
import { Broker, Consumer, Event, Serialization, Subscribers } from "@effect-cqrs/core"
import { Console, Deferred, Effect, Layer, Schema } from "effect"
import * as Before from "./Version1.ts"
import { RoomBooked } from "./Version3.ts"

// #region consumer
const booked = Effect.gen(function*() {
  const broker = yield* Broker.Broker
  const handled = yield* Deferred.make<string>()
  yield* Layer.build(
    Consumer.layer({ subscription: { group: "signs" }, events: [RoomBooked] }).pipe(
      Layer.provide(Subscribers.layer(RoomBooked, {
        show: ({ minutes, purpose, roomId }) =>
          Deferred.succeed(handled, `${roomId}, ${minutes} minutes, for ${purpose}`)
      }))
    )
  )
  const old = yield* Serialization.encode(new Before.RoomBooked({ room: "blue", minutes: 30 }))
  yield* broker.publish([old])
  yield* Console.log(`version ${old.version} was announced: ${yield* Deferred.await(handled)}`)
}).pipe(Effect.scoped, Effect.provide(Broker.layerMemory()))
// #endregion consumer

/** What somebody would like to have in its place, without a thought for those who read it. */
class Careless extends Event.notification<Careless>()("room_booked", {
  topic: "bookings",
  payload: { roomId: Schema.String, hours: Schema.Number, purpose: Schema.Literal("meeting", "focus") },
  key: (event) => event.roomId,
  version: 3
}) {}

const contract = (event: Event.ClassOf<Event.Integration>) =>
  JsonSchemas.make(Contract.make({ title: "Bookings", version: "1.0.0", announces: [event] }))

const checked = Effect.gen(function*() {
  const today = yield* contract(RoomBooked)
  yield* Console.log(Compatibility.text(Compatibility.compare(today, yield* contract(Careless))))
})

await Effect.runPromise(Effect.zipRight(booked, checked))
