import { Command, Handler, Mediator, Query, RequestGroup, Retry, Transaction } from "@effect-cqrs/core"
import { Mock, Recorder, Testbed } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schedule, Schema } from "effect"
import { CountMembers, join, JoinRoom, RoomFull } from "./support/rooms.ts"

class Invite extends Command.make<Invite>()("Invite", {
  payload: { userId: Schema.String },
  success: Schema.Number,
  failure: RoomFull
}) {}

/** What a test of the application's would be about: a handler that sends other requests. */
const InviteHandler = Handler.layer(Invite, ({ userId }) =>
  Mediator.send(join(userId)).pipe(
    Effect.catchTag("TransactionError", Effect.die),
    Effect.zipRight(Mediator.send(new CountMembers({ roomId: "blue" })))
  ))

const inviting = (mocks: Layer.Layer<Handler.Handler<JoinRoom> | Handler.Handler<CountMembers>>) =>
  Layer.provide(InviteHandler, mocks)

const invite = Mediator.send(new Invite({ userId: "ada" }))

const defectOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none"

describe("a mock", () => {
  it.effect("answers by a function of the request, and needs none of its middleware", () =>
    Effect.gen(function*() {
      const count = yield* invite
      assert.strictEqual(count, 3)
    }).pipe(Effect.provide(inviting(Layer.merge(
      Mock.handler(JoinRoom, ({ userId }) => userId === "ada" ? Effect.void : Effect.dieMessage(userId)),
      Mock.answer(CountMembers, Effect.succeed(3))
    )))))

  it.effect("fails with a declared failure, of the request or of its middleware", () =>
    Effect.gen(function*() {
      const full = yield* Effect.flip(
        Effect.provide(Mediator.send(join("ada")), Mock.answer(JoinRoom, new RoomFull({ roomId: "blue" })))
      )
      assert.deepStrictEqual<unknown>(full, new RoomFull({ roomId: "blue" }))
      const error = new Transaction.TransactionError({ reason: "Unavailable", message: "no database" })
      const out = yield* Effect.flip(Effect.provide(Mediator.send(join("ada")), Mock.answer(JoinRoom, error)))
      assert.strictEqual<unknown>(out, error)
    }))

  it.effect("runs no middleware of its request", () =>
    Effect.gen(function*() {
      class Stubborn extends Query.make<Stubborn>()("Stubborn", {
        failure: RoomFull,
        middleware: [Retry.by(Schedule.recurs(3))]
      }) {}
      let calls = 0
      yield* Effect.flip(Effect.provide(
        Mediator.send(new Stubborn()),
        Mock.handler(Stubborn, () => {
          calls += 1
          return new RoomFull({ roomId: "blue" })
        })
      ))
      assert.strictEqual(calls, 1)
    }))

  it.effect("of a group says by name that a request was not expected", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(invite)
      assert.include(defectOf(exit), "CountMembers was sent, and the test does not expect it")
    }).pipe(Effect.provide(inviting(
      Mock.handlers(RequestGroup.make(JoinRoom, CountMembers), { JoinRoom: () => Effect.void })
    ))))

  it.effect("that is not expected dies with the request's name", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(invite)
      assert.include(defectOf(exit), "JoinRoom was sent, and the test does not expect it")
    }).pipe(Effect.provide(inviting(Mock.unexpected(JoinRoom, CountMembers)))))

  it.effect("and another of the same request are refused, as two handlers are", () =>
    Effect.gen(function*() {
      const two = Layer.merge(Mock.answer(JoinRoom, Effect.void), Mock.handler(JoinRoom, () => Effect.void))
      assert.include(defectOf(yield* Effect.exit(Layer.launch(two))), "Two layers implement the request JoinRoom")
    }))
})

it.layer(Layer.provideMerge(
  inviting(Layer.merge(Mock.answer(JoinRoom, Effect.void), Mock.answer(CountMembers, Effect.succeed(1)))),
  Testbed.layer()
))("mocks of a layer", (it) => {
  it.effect("tell the recorder what they were sent, in order", () =>
    Effect.gen(function*() {
      yield* invite
      assert.deepStrictEqual(yield* Recorder.sent(JoinRoom), [join("ada")])
      assert.deepStrictEqual(yield* Recorder.sent(JoinRoom, CountMembers), [
        join("ada"),
        new CountMembers({ roomId: "blue" })
      ])
    }))
})
