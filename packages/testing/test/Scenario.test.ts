import { EventEmitter, Handler, Outbox, Subscribers, Transaction } from "@effect-cqrs/core"
import { Mock, Recorder, Scenario, Testbed } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer } from "effect"
import {
  changed,
  CountMembers,
  Handlers,
  join,
  joined,
  JoinRoom,
  Members,
  RoomChanged,
  RoomFull,
  UserGreeted
} from "./support/rooms.ts"

const Test = Handlers.pipe(
  Layer.provide(Recorder.layerSubscribers(UserGreeted)),
  Layer.provideMerge(Members.layer),
  Layer.provideMerge(Testbed.layer())
)

const greeted = (userId: string) => new UserGreeted({ userId })

const full = Effect.map(Members, (members) => members.set("blue", ["ada", "grace"]))

const count = new CountMembers({ roomId: "blue" })

/** The message of a scenario that is to fail. */
const complaint = <R>(scenario: Effect.Effect<void, Scenario.ScenarioError, R>) =>
  Effect.map(Effect.flip(scenario), ({ message }) => message.split("\n"))

describe("a scenario", () => {
  it.effect("passes where a command did what was expected, and nothing else", () =>
    Scenario.check({
      when: join("ada"),
      then: { added: [joined("ada")], emitted: [greeted("ada")] }
    }).pipe(Effect.provide(Test)))

  it.effect("begins behind what was given, of which nothing counts", () =>
    Scenario.check({
      given: [join("ada"), join("grace")],
      when: count,
      then: { answer: 2 }
    }).pipe(Effect.provide(Test)))

  it.effect("takes state from an effect, and knows a failure and what was rolled back with it", () =>
    Scenario.check({
      given: [full],
      when: join("linus"),
      then: { failure: new RoomFull({ roomId: "blue" }), rolledBack: [joined("linus")] }
    }).pipe(Effect.provide(Test)))

  it.effect("brings received events to their subscribers, whose failure is its own", () =>
    Effect.gen(function*() {
      const Projection = Subscribers.layer(
        RoomChanged,
        Effect.map(Members, (members) => ({
          copy: (event: RoomChanged): Effect.Effect<unknown, RoomFull> =>
            event.members.length > 2
              ? new RoomFull({ roomId: event.roomId })
              : Effect.sync(() => members.set(event.roomId, event.members))
        }))
      )
      yield* Scenario.check({ given: [changed("ada")], when: count, then: { answer: 1 } }).pipe(
        Effect.provide(Projection)
      )
      yield* Scenario.check({
        when: changed("ada", "grace", "linus"),
        then: { failure: new RoomFull({ roomId: "blue" }) }
      }).pipe(Effect.provide(Projection))
    }).pipe(Effect.provide(Test)))

  it.effect("takes effects and domain events under test as well", () =>
    Effect.gen(function*() {
      yield* Scenario.check({ when: greeted("ada"), then: { emitted: [greeted("ada")] } })
      yield* Scenario.check({ when: EventEmitter.emit(changed("ada")), then: { published: [changed("ada")] } })
      yield* Scenario.check({
        when: Transaction.run(Effect.zipRight(Outbox.add(joined("ada")), Effect.die("the disk is full"))),
        then: { defect: "the disk is full", rolledBack: [joined("ada")] }
      })
    }).pipe(
      Effect.provide(Layer.provideMerge(Recorder.layerSubscribers(UserGreeted), Testbed.layer()))
    ))

  it.effect("shows of what differs what differs, and of the rest how much it was", () =>
    Effect.gen(function*() {
      const test = Transaction.run(Outbox.addAll([joined("ada"), changed("ada"), joined("grace")]))
      const lines = yield* complaint(Scenario.check({
        when: test,
        then: {
          added: [
            joined("ada"),
            new RoomChanged({ roomId: "blue", members: ["ada", "linus"], since: new Date(0) }),
            joined("grace"),
            joined("linus", "red")
          ]
        }
      }))
      assert.deepStrictEqual(lines, [
        "When an effect: not what was expected (- expected, + received)",
        "added:",
        "    (1 as expected)",
        "  - room_changed { members[1]: 'linus' }",
        "  + room_changed { members[1]: nothing }",
        "    (1 as expected)",
        "  - user_joined { roomId: 'red', userId: 'linus' }"
      ])
    }).pipe(Effect.provide(Test)))

  it.effect("complains of what nobody mentioned: an event, an answer in place of a failure, another order", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* complaint(Scenario.check({ when: join("ada"), then: { added: [joined("ada")] } })),
        [
          "When JoinRoom: not what was expected (- expected, + received)",
          "emitted:",
          "  + UserGreeted { userId: 'ada' }"
        ]
      )
      assert.deepStrictEqual(
        yield* complaint(Scenario.check({
          when: join("grace"),
          then: { failure: new RoomFull({ roomId: "blue" }) }
        })),
        [
          "When JoinRoom: not what was expected (- expected, + received)",
          "failure / answer:",
          "  - the failure RoomFull { roomId: 'blue' }",
          "  + the answer undefined",
          "added:",
          "  + user_joined { roomId: 'blue', userId: 'grace' }",
          "emitted:",
          "  + UserGreeted { userId: 'grace' }"
        ]
      )
      assert.deepStrictEqual(
        (yield* complaint(Scenario.check({
          when: Transaction.run(Outbox.addAll([joined("ada"), joined("grace")])),
          then: { added: [joined("grace"), joined("ada")] }
        }))).slice(1),
        [
          "added:",
          "  - user_joined { roomId: 'blue', userId: 'grace' }",
          "    (1 as expected)",
          "  + user_joined { roomId: 'blue', userId: 'grace' }"
        ]
      )
      assert.deepStrictEqual((yield* complaint(Scenario.check({ when: count, then: { answer: 3 } }))).slice(1), [
        "answer:",
        "  - 3",
        "  + 2"
      ])
    }).pipe(Effect.provide(Test)))

  it.effect("shows another failure by its fields, and an answer where none was looked at not at all", () =>
    Effect.gen(function*() {
      const lines = yield* complaint(Scenario.check({
        given: [full],
        when: join("linus"),
        then: { failure: new RoomFull({ roomId: "red" }) }
      }))
      assert.deepStrictEqual(lines.slice(1), ["failure:", "  - roomId: 'red'", "  + roomId: 'blue'"])
      yield* Scenario.check({ when: count, then: {} })
      const died = yield* complaint(Scenario.check({ when: join("linus"), then: {} }))
      assert.deepStrictEqual(died.slice(1), [
        "answer / failure:",
        "  - any answer",
        "  + the failure RoomFull { roomId: 'blue' }"
      ])
    }).pipe(Effect.provide(Test)))

  it.effect("says which step of what was given failed", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Scenario.check({ given: [full, join("linus")], when: count, then: { answer: 2 } })
      )
      assert.strictEqual(error.reason, "Given")
      assert.include(error.message, "Given JoinRoom (step 2): it was to succeed, and did not")
      assert.include(error.message, "RoomFull")
    }).pipe(Effect.provide(Test)))

  it.effect("carries both sides, for the difference that the test runner draws", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Scenario.check({ when: count, then: { answer: 3, added: [joined("ada")] } }))
      assert.deepStrictEqual(error.expected, { answer: 3, added: [joined("ada")] })
      assert.deepStrictEqual(error.actual, { answer: 0, added: [] })
      // what @effect/vitest throws is made from the cause
      const [thrown] = Cause.prettyErrors(Cause.fail(error))
      assert.deepInclude<object>(thrown!, { expected: error.expected, actual: error.actual })
    }).pipe(Effect.provide(Test)))

  it.effect("tells a subscriber that died, and what mocks were sent", () =>
    Effect.gen(function*() {
      const Dying = Subscribers.layer(UserGreeted, { greet: () => Effect.dieMessage("no voice") })
      const lines = yield* complaint(
        Effect.provide(Scenario.check({ when: EventEmitter.emit(greeted("ada")), then: {} }), Dying)
      )
      assert.include(lines.join("\n"), "failed emissions:")
      assert.include(lines.join("\n"), "The subscriber greet of UserGreeted failed")
      yield* Effect.provide(
        Scenario.check({ when: join("ada"), then: { sent: [join("ada")] } }),
        Mock.answer(JoinRoom, Effect.void)
      )
    }).pipe(Effect.provide(Testbed.layer())))

  it.effect("runs without a verdict, for what a test looks at itself", () =>
    Effect.gen(function*() {
      const { entries, exit } = yield* Scenario.run({ given: [join("ada")], when: join("grace") })
      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(entries.map(({ _tag }) => _tag), ["Added", "Emitted"])
    }).pipe(Effect.provide(Test)))
})

it.layer(Layer.provideMerge(
  Handler.layer(CountMembers, ({ roomId }) => Effect.succeed(roomId.length)),
  Testbed.layer()
))("scenarios that share a layer", (it) => {
  it.effect.each([["blue", 4], ["red", 3]] as const)(
    "%s",
    ([roomId, answer]) => Scenario.check({ when: new CountMembers({ roomId }), then: { answer } })
  )
})
