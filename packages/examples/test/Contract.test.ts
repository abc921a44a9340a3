/** The contract says what the handlers do. */
import { Parser } from "@asyncapi/parser"
import { AsyncApi, Contract } from "@effect-cqrs/contracts"
import { Idempotency, Mediator, OutboxStorage, type Request } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import contract from "../src/contracts/meetingRooms.ts"
import * as Domain from "../src/meeting-rooms/Domain.ts"
import { Greeter, JoinRoomHandler, OtherHandlers } from "../src/meeting-rooms/Handlers.ts"
import { LedgerLayer } from "../src/meeting-rooms/Ledger.ts"
import { RoomsLayer } from "../src/meeting-rooms/Rooms.ts"

/** The handlers on a database of their own, without a relay: what they announce stays in the outbox. */
const Program = Layer.merge(Layer.provide(JoinRoomHandler, Greeter), OtherHandlers).pipe(
  Layer.provide(Layer.mergeAll(RoomsLayer, LedgerLayer, Idempotency.Idempotent.layer)),
  Layer.provideMerge(SqlStorage.layer({ migrate: true })),
  Layer.provide(SqliteClient.layer({ filename: ":memory:" }))
)

const pending = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => {
  const from = Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket }))
  return Effect.map(
    storage.read({ from, limit: 100, maxBytes: 1_000_000, exceptTopics: [] }),
    (entries) => entries.map(({ message }) => message)
  )
})

const roomId = Domain.RoomId.make("blue")
const userId = Domain.UserId.make("ada")

it.effect("each command announces what the contract says, and nothing else", () =>
  Effect.gen(function*() {
    // #region undeclared
    const check = Effect.fnUntraced(function*<E, R>(request: Request.AnyClass, send: Effect.Effect<void, E, R>) {
      const before = yield* pending
      yield* send
      const added = (yield* pending).slice(before.length)
      assert.deepStrictEqual(Contract.undeclared(contract, added, request), [])
      return new Set(added.map(({ name }) => name))
    })
    yield* check(Domain.CreateRoom, Mediator.send(new Domain.CreateRoom({ roomId, capacity: 2 })))
    // #endregion undeclared
    yield* check(Domain.JoinRoom, Mediator.send(new Domain.JoinRoom({ roomId, userId })))
    yield* check(Domain.LeaveRoom, Mediator.send(new Domain.LeaveRoom({ roomId, userId })))
    const closed = yield* check(Domain.CloseRoom, Mediator.send(new Domain.CloseRoom({ roomId })))
    assert.deepStrictEqual(closed, new Set(["meeting_room_changed", "meeting_room_closed"]))
  }).pipe(Effect.provide(Program)))

for (const broker of ["kafka", "amqp"] as const) {
  it.effect(`the official parser has nothing to say to the document for ${broker}`, () =>
    Effect.gen(function*() {
      const text = JSON.stringify(yield* AsyncApi.make(contract, { broker }))
      const { diagnostics } = yield* Effect.promise(() => new Parser().parse(text))
      // that 3.1 is out, which adds bindings of other brokers
      assert.deepStrictEqual(diagnostics.filter(({ code }) => code !== "asyncapi-latest-version"), [])
    }), 60_000)
}
