/** Handlers, tested as an application would: what is around them is mocked, what they announce is looked at. */
import { Bootstrap, Idempotency, Mediator, OutboxStorage, Subscribers } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import * as Domain from "../src/meeting-rooms/Domain.ts"
import { JoinRoomHandler, OtherHandlers } from "../src/meeting-rooms/Handlers.ts"
import { Ledger } from "../src/meeting-rooms/Ledger.ts"
import { Rooms } from "../src/meeting-rooms/Rooms.ts"

const roomId = Domain.RoomId.make("blue")
const userId = Domain.UserId.make("ada")

const room = (state: Partial<Domain.RoomView>): Domain.RoomView => ({
  roomId,
  capacity: 2,
  members: 0,
  open: true,
  version: 7,
  ...state
})

/** Rooms in which nothing is expected to happen but what a test says. */
const mockRooms = (rooms: Partial<Rooms["Type"]>) => {
  const unexpected = (call: string) => () => Effect.dieMessage(`Rooms.${call} was not expected`)
  return Layer.succeed(Rooms, {
    create: unexpected("create"),
    lock: unexpected("lock"),
    enter: unexpected("enter"),
    leave: unexpected("leave"),
    close: unexpected("close"),
    read: unexpected("read"),
    ...rooms
  })
}

const MockLedger = Layer.succeed(Ledger, {
  committed: () => Effect.void,
  received: () => Effect.dieMessage("Nothing is received here"),
  judge: Effect.dieMessage("Nothing is judged here"),
  latencies: Effect.succeed([])
})

/** Transactions and an outbox in memory, without a relay: what is announced stays where a test can see it. */
const Infrastructure = Layer.provideMerge(Idempotency.Idempotent.layer, Bootstrap.layerStorageMemory)

/** Names and payloads of the events that wait in the outbox. */
const announced = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => {
  const from = Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket }))
  return Effect.map(
    storage.read({ from, limit: 100, maxBytes: 1_000_000, exceptTopics: [] }),
    (entries) =>
      entries.map(({ message }) => ({
        name: message.name,
        key: message.key,
        payload: JSON.parse(new TextDecoder().decode(message.payload)) as unknown
      }))
  )
})

const changed = (state: Partial<Domain.RoomView>) => ({
  name: "meeting_room_changed",
  key: "blue",
  payload: room(state)
})

describe("JoinRoom", () => {
  const join = Mediator.send(new Domain.JoinRoom({ roomId, userId }))

  const handler = (rooms: Partial<Rooms["Type"]>, greeted: Ref.Ref<ReadonlyArray<string>>) =>
    JoinRoomHandler.pipe(
      Layer.provide(Subscribers.layer(Domain.UserJoined, {
        test: (event) => Ref.update(greeted, (users) => [...users, event.userId])
      })),
      Layer.provide(mockRooms(rooms)),
      Layer.provide(MockLedger)
    )

  it.effect("announces the room's new state, and greets who joined", () =>
    Effect.gen(function*() {
      const greeted = yield* Ref.make<ReadonlyArray<string>>([])
      yield* Effect.provide(
        join,
        handler({
          lock: () => Effect.succeed(room({ members: 1 })),
          enter: (view) => Effect.succeed({ ...view, members: view.members + 1 })
        }, greeted)
      )
      assert.deepStrictEqual(yield* announced, [changed({ members: 2 })])
      assert.deepStrictEqual(yield* greeted, ["ada"])
    }).pipe(Effect.provide(Infrastructure)))

  const refusals = [
    ["a full room", room({ members: 2 }), new Domain.RoomFull({ roomId, capacity: 2 })],
    ["a closed room", room({ open: false }), new Domain.RoomIsClosed({ roomId })]
  ] as const

  for (const [what, state, refusal] of refusals) {
    it.effect(`refuses ${what}, announces nothing and greets nobody`, () =>
      Effect.gen(function*() {
        const greeted = yield* Ref.make<ReadonlyArray<string>>([])
        const error = yield* Effect.flip(
          Effect.provide(join, handler({ lock: () => Effect.succeed(state) }, greeted))
        )
        assert.deepStrictEqual<unknown>(error, refusal)
        assert.deepStrictEqual(yield* announced, [])
        assert.deepStrictEqual(yield* greeted, [])
      }).pipe(Effect.provide(Infrastructure)))
  }
})

describe("CloseRoom", () => {
  const close = Mediator.send(new Domain.CloseRoom({ roomId }))

  const handlers = (rooms: Partial<Rooms["Type"]>) =>
    OtherHandlers.pipe(Layer.provide(mockRooms(rooms)), Layer.provide(MockLedger))

  it.effect("announces the state first, then the closing", () =>
    Effect.gen(function*() {
      yield* Effect.provide(
        close,
        handlers({
          lock: () => Effect.succeed(room({})),
          close: (view) => Effect.succeed({ ...view, open: false })
        })
      )
      assert.deepStrictEqual(yield* announced, [
        changed({ open: false }),
        { name: "meeting_room_closed", key: "blue", payload: { roomId: "blue", version: 7 } }
      ])
    }).pipe(Effect.provide(Infrastructure)))

  it.effect("announces nothing when the room's tables fail half-way", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.provide(
        close,
        handlers({ lock: () => Effect.succeed(room({})), close: () => Effect.die("the disk is full") })
      ))
      assert.isTrue(exit._tag === "Failure")
      assert.deepStrictEqual(yield* announced, [])
    }).pipe(Effect.provide(Infrastructure)))
})

describe("ReadRoom", () => {
  it.effect("answers with the room's state", () =>
    Effect.gen(function*() {
      const view = yield* Mediator.send(new Domain.ReadRoom({ roomId })).pipe(
        Effect.provide(OtherHandlers.pipe(
          Layer.provide(mockRooms({ read: () => Effect.succeed(room({ members: 1 })) })),
          Layer.provide(MockLedger)
        ))
      )
      assert.deepStrictEqual(view, room({ members: 1 }))
    }).pipe(Effect.provide(Infrastructure)))
})
