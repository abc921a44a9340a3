import { Event, Mediator } from "@effect-cqrs/core"
import { Arbitraries, Recorder, Testbed } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Layer, Option, Schema } from "effect"
import {
  CountMembers,
  Handlers,
  join,
  JoinRoom,
  Members,
  RoomChanged,
  UserGreeted,
  UserJoined
} from "./support/rooms.ts"

class RoomPainted extends Event.ecst<RoomPainted>()("room_painted", {
  topic: "rooms",
  payload: {
    roomId: Schema.NonEmptyString.pipe(Schema.brand("RoomId")),
    colour: Schema.OptionFromNullOr(Schema.Literal("blue", "red")),
    layers: Schema.Int.pipe(Schema.between(1, 3))
  }
}) {}

const Test = Handlers.pipe(
  Layer.provide(Recorder.layerSubscribers(UserGreeted)),
  Layer.provide(Members.layer),
  Layer.provideMerge(Testbed.layer())
)

describe("classes of requests and events in properties", () => {
  it.prop(
    "are arbitraries by themselves, and what comes of them is valid",
    [JoinRoom, RoomPainted],
    ([command, event]) => {
      assert.instanceOf(command, JoinRoom)
      assert.deepStrictEqual(new JoinRoom({ roomId: command.roomId, userId: command.userId }), command)
      assert.instanceOf(event, RoomPainted)
      assert.isTrue(event.roomId.length > 0 && event.layers >= 1 && event.layers <= 3)
      assert.isTrue(Option.isOption(event.colour))
    }
  )

  it.prop("have names of one's own, too", { command: JoinRoom, event: RoomChanged }, ({ command, event }) => {
    assert.isNotEmpty(command.roomId)
    assert.instanceOf(event.since, Date)
  })

  it.effect.prop("can be sent", [JoinRoom], ([command]) =>
    Effect.gen(function*() {
      yield* Mediator.send(command)
      assert.deepStrictEqual(yield* Recorder.added(UserJoined), [
        new UserJoined({ roomId: command.roomId, userId: command.userId })
      ])
    }).pipe(Effect.provide(Layer.fresh(Test))), { fastCheck: { numRuns: 20 }, timeout: 30_000 })

  it.effect.prop(
    "of few ids, meet: however they are joined, a room never has more than two members",
    [
      FastCheck.array(Arbitraries.make(JoinRoom, { roomId: FastCheck.constantFrom("blue", "red") }), { maxLength: 10 })
    ],
    ([commands]) =>
      Effect.gen(function*() {
        const exits = yield* Effect.forEach(commands, (command) => Effect.exit(Mediator.send(command)))
        for (const roomId of ["blue", "red"]) {
          const wanted = commands.filter((command) => command.roomId === roomId).length
          const members = yield* Mediator.send(new CountMembers({ roomId }))
          assert.strictEqual(members, Math.min(2, wanted))
        }
        const done = exits.filter(({ _tag }) => _tag === "Success").length
        assert.strictEqual((yield* Recorder.added(UserJoined)).length, done)
        assert.strictEqual((yield* Recorder.rolledBack(UserJoined)).length, commands.length - done)
      }).pipe(Effect.provide(Layer.fresh(Test))),
    { fastCheck: { numRuns: 20 }, timeout: 30_000 }
  )
})

describe("Arbitraries.make", () => {
  it("takes the fields that it is given, the others from the schema, and validates all of them", () => {
    const joining = Arbitraries.make(JoinRoom, { roomId: FastCheck.constant("blue") })
    for (const command of FastCheck.sample(joining, 20)) assert.deepStrictEqual(command, join(command.userId))
    assert.throws(() => FastCheck.sample(Arbitraries.make(JoinRoom, { roomId: FastCheck.constant("") }), 1), /roomId/)
  })
})
