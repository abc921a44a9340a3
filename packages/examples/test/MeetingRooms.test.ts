/** The meeting rooms, tested as an application would be. The guide to testing (docs/guides/testing.md) quotes from here. */
import { Mediator, Outbox, RequestGroup, Subscribers, Transaction } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { Arbitraries, Faults, Mock, Quiescence, Recorder, Scenario, Testbed } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Layer, Logger } from "effect"
import * as Domain from "../src/meeting-rooms/Domain.ts"
import { JoinRoomHandler, OtherHandlers } from "../src/meeting-rooms/Handlers.ts"
import { Ledger } from "../src/meeting-rooms/Ledger.ts"
import { Projection } from "../src/meeting-rooms/Projection.ts"
import { Rooms, RoomsLayer } from "../src/meeting-rooms/Rooms.ts"

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

const changed = (state: Partial<Domain.RoomView>) => new Domain.RoomChanged(room(state))

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

// #region testbed
const handlers = (rooms: Partial<Rooms["Type"]>) =>
  Layer.mergeAll(JoinRoomHandler, OtherHandlers).pipe(
    Layer.provide(Recorder.layerSubscribers(Domain.UserJoined)),
    Layer.provide([mockRooms(rooms), MockLedger]),
    Layer.provideMerge(Testbed.layer())
  )
// #endregion testbed

describe("JoinRoom", () => {
  // #region scenario
  it.effect("announces the room's new state, and greets who joined", () =>
    Scenario.check({
      when: new Domain.JoinRoom({ roomId, userId }),
      then: {
        added: [changed({ members: 2 })],
        emitted: [new Domain.UserJoined({ roomId, userId })]
      }
    }).pipe(Effect.provide(handlers({
      lock: () => Effect.succeed(room({ members: 1 })),
      enter: (view) => Effect.succeed({ ...view, members: view.members + 1 })
    }))))
  // #endregion scenario

  // #region refusals
  it.effect.each(
    [
      ["a full room", room({ members: 2 }), new Domain.RoomFull({ roomId, capacity: 2 })],
      ["a closed room", room({ open: false }), new Domain.RoomIsClosed({ roomId })]
    ] as const
  )("refuses %s, announces nothing and greets nobody", ([, state, failure]) =>
    Scenario.check({
      when: new Domain.JoinRoom({ roomId, userId }),
      then: { failure }
    }).pipe(Effect.provide(handlers({ lock: () => Effect.succeed(state) }))))
  // #endregion refusals
})

describe("CloseRoom", () => {
  it.effect("announces the state first, then the closing", () =>
    Scenario.check({
      when: new Domain.CloseRoom({ roomId }),
      then: { added: [changed({ open: false }), new Domain.RoomClosed({ roomId, version: 7 })] }
    }).pipe(Effect.provide(handlers({
      lock: () => Effect.succeed(room({})),
      close: (view) => Effect.succeed({ ...view, open: false })
    }))))

  it.effect("announces nothing when the room's tables fail half-way", () =>
    Scenario.check({
      when: new Domain.CloseRoom({ roomId }),
      then: { defect: "the disk is full" }
    }).pipe(Effect.provide(handlers({
      lock: () => Effect.succeed(room({})),
      close: () => Effect.die("the disk is full")
    }))))
})

describe("ReadRoom", () => {
  it.effect("answers with the room's state", () =>
    Scenario.check({
      when: new Domain.ReadRoom({ roomId }),
      then: { answer: room({ members: 1 }) }
    }).pipe(Effect.provide(handlers({ read: () => Effect.succeed(room({ members: 1 })) }))))
})

// #region mocked
/** When a room is closed by its landlord, whoever is in it moves to another one. */
const MoveOut = Subscribers.layer(Domain.RoomClosed, {
  moveOut: () => Mediator.send(new Domain.JoinRoom({ roomId: Domain.RoomId.make("red"), userId }))
})

describe("moving out", () => {
  it.effect("joins the other room", () =>
    Scenario.check({
      when: new Domain.RoomClosed({ roomId, version: 7 }),
      then: { sent: [new Domain.JoinRoom({ roomId: Domain.RoomId.make("red"), userId })] }
    }).pipe(Effect.provide(MoveOut.pipe(
      Layer.provide(Mock.answer(Domain.JoinRoom, Effect.void)),
      Layer.provideMerge(Testbed.layer())
    ))))

  it.effect("fails where that one is full, so that it is tried again", () =>
    Scenario.check({
      when: new Domain.RoomClosed({ roomId, version: 7 }),
      then: {
        failure: new Domain.RoomFull({ roomId: Domain.RoomId.make("red"), capacity: 2 }),
        sent: [new Domain.JoinRoom({ roomId: Domain.RoomId.make("red"), userId })]
      }
    }).pipe(Effect.provide(MoveOut.pipe(
      Layer.provide(Mock.handler(Domain.JoinRoom, (command) => new Domain.RoomFull({ ...command, capacity: 2 }))),
      Layer.provideMerge(Testbed.layer())
    ))))
})
// #endregion mocked

// #region database
/** The handlers on a database of their own: the application's tables and the outbox in one. */
const OnSqlite = Layer.mergeAll(JoinRoomHandler, OtherHandlers, Projection).pipe(
  Layer.provide(Recorder.layerSubscribers(Domain.UserJoined)),
  Layer.provide([RoomsLayer, MockLedger]),
  Layer.provideMerge(Testbed.layerRunning({ storage: SqlStorage.layer({ migrate: true }) })),
  Layer.provideMerge(SqliteClient.layer({ filename: ":memory:" })),
  Layer.provideMerge(Logger.remove(Logger.defaultLogger))
)

const create = new Domain.CreateRoom({ roomId, capacity: 2 })

describe("on SQLite", () => {
  it.effect("a room that somebody has joined has a member", () =>
    Scenario.check({
      given: [create, new Domain.JoinRoom({ roomId, userId })],
      when: new Domain.ReadRoom({ roomId }),
      then: { answer: room({ members: 1, version: 2 }) }
    }).pipe(Effect.provide(OnSqlite)))

  it.effect("what is undone was never announced", () =>
    Scenario.check({
      given: [create, new Domain.JoinRoom({ roomId, userId })],
      when: Transaction.run(
        Effect.zipRight(Mediator.send(new Domain.LeaveRoom({ roomId, userId })), Effect.fail("changed my mind"))
      ),
      then: { failure: "changed my mind", rolledBack: [changed({ members: 0, version: 3 })] }
    }).pipe(Effect.provide(OnSqlite)))
})
// #endregion database

describe("on SQLite, in a savepoint of the application's own", () => {
  it.effect("what is undone is known as rolled back", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* Scenario.check({
        given: [create],
        when: Transaction.run(Effect.gen(function*() {
          yield* Outbox.add(new Domain.RoomClosed({ roomId, version: 1 }))
          yield* Effect.ignore(sql.withTransaction(
            Effect.zipRight(Outbox.add(new Domain.RoomClosed({ roomId, version: 2 })), Effect.fail("no"))
          ))
          yield* Outbox.add(new Domain.RoomClosed({ roomId, version: 3 }))
        })),
        then: {
          added: [1, 3].map((version) => new Domain.RoomClosed({ roomId, version })),
          rolledBack: [new Domain.RoomClosed({ roomId, version: 2 })]
        }
      })
    }).pipe(Effect.provide(OnSqlite)))
})

// #region quiescence
const views = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select room_id, members, version from room_views`)

describe("the copy of the rooms", () => {
  it.effect("has the state of a room once everything has arrived, outage or not", () =>
    Effect.gen(function*() {
      yield* Faults.out()
      yield* Effect.fork(Effect.delay(Faults.recover, "10 seconds"))
      yield* Quiescence.run(Effect.all([
        Mediator.send(create),
        Mediator.send(new Domain.JoinRoom({ roomId, userId }))
      ]))
      assert.deepStrictEqual(yield* views, [{ room_id: "blue", members: 1, version: 2 }])
      assert.deepStrictEqual(yield* Recorder.published(Domain.RoomChanged), [
        changed({ version: 1 }),
        changed({ members: 1, version: 2 })
      ])
    }).pipe(Effect.provide(OnSqlite)))

  it.effect("is not harmed by an event that comes twice", () =>
    Effect.gen(function*() {
      yield* Faults.loseAcknowledgement(Domain.RoomChanged)
      yield* Quiescence.run(Mediator.send(create))
      assert.strictEqual((yield* Recorder.published(Domain.RoomChanged)).length, 1)
      assert.deepStrictEqual(yield* views, [{ room_id: "blue", members: 0, version: 1 }])
    }).pipe(Effect.provide(OnSqlite)))
})
// #endregion quiescence

// #region property
const fields = {
  roomId: FastCheck.constant(roomId),
  userId: FastCheck.constantFrom(...["ada", "grace", "linus"].map((name) => Domain.UserId.make(name)))
}

const orders = FastCheck.array(
  FastCheck.oneof(Arbitraries.make(Domain.JoinRoom, fields), Arbitraries.make(Domain.LeaveRoom, fields)),
  { maxLength: 12 }
)

describe("whatever is asked of a room", () => {
  it.effect.prop("its last announced state is its state", [orders], ([commands]) =>
    Effect.gen(function*() {
      yield* Mediator.send(create)
      yield* Effect.forEach(commands, (command) => Effect.ignore(Mediator.send(command)))
      const announced = yield* Recorder.added(Domain.RoomChanged)
      const { capacity, members } = yield* Mediator.send(new Domain.ReadRoom({ roomId }))
      assert.strictEqual(announced.at(-1)?.members, members)
      assert.isAtMost(members, capacity)
    }).pipe(Effect.provide(Layer.fresh(OnSqlite))), { fastCheck: { numRuns: 10 }, timeout: 30_000 })
})
// #endregion property

describe("a mock", () => {
  it.effect.prop("a handler is sent what it was given", [Domain.CreateRoom], ([command]) =>
    Effect.gen(function*() {
      yield* Mediator.send(command)
      assert.deepStrictEqual(yield* Recorder.sent(Domain.CreateRoom), [command])
    }).pipe(Effect.provide(Layer.provideMerge(
      Mock.handlers(RequestGroup.make(Domain.CreateRoom, Domain.ReadRoom), { CreateRoom: () => Effect.void }),
      Testbed.layer()
    ))), { fastCheck: { numRuns: 20 }, timeout: 30_000 })
})
