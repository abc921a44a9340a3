import {
  Command,
  Event,
  type Handler,
  Mediator,
  Query,
  RequestGroup,
  Retry,
  type Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { Arbitraries, Mock, Quiescence, Recorder, Scenario, Testbed } from "@effect-cqrs/testing"
import type { Layer } from "effect"
import { Context, Effect, FastCheck, Schedule, Schema } from "effect"
import { describe, expect, it } from "tstyche"

class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { roomId: Schema.String }) {}
class Undeclared extends Schema.TaggedError<Undeclared>()("Undeclared", { roomId: Schema.String }) {}

class JoinRoom extends Command.make<JoinRoom>()("JoinRoom", {
  payload: { roomId: Schema.String },
  failure: RoomFull,
  middleware: [Transaction.Transactional, Retry.by(Schedule.recurs(1))]
}) {}
class CountMembers extends Query.make<CountMembers>()("CountMembers", {
  payload: { roomId: Schema.String },
  success: Schema.Number
}) {}

class Greeted extends Event.domain<Greeted>()("Greeted", { roomId: Schema.String }) {}
class Joined extends Event.notification<Joined>()("joined", { topic: "rooms", payload: { roomId: Schema.String } }) {}
class Changed extends Event.ecst<Changed>()("changed", { topic: "rooms", payload: { roomId: Schema.String } }) {}

class Names extends Context.Tag("Names")<Names, { readonly of: (id: string) => Effect.Effect<string> }>() {}

const full = (roomId: string) => new RoomFull({ roomId })
const join = new JoinRoom({ roomId: "blue" })
const count = new CountMembers({ roomId: "blue" })

describe("a mock", () => {
  it("has the request's type in every spelling, and is a layer of its handler alone", () => {
    const arrow = Mock.handler(JoinRoom, (command) => {
      expect(command).type.toBe<JoinRoom>()
      // @ts-expect-error Property 'nope' does not exist on type 'JoinRoom'
      void command.nope
      return full(command.roomId)
    })
    expect(arrow).type.toBe<Layer.Layer<Handler.Handler<JoinRoom>>>()
    const generator = Mock.handler(
      CountMembers,
      Effect.fnUntraced(function*(query) {
        expect(query).type.toBe<CountMembers>()
        const name = yield* Effect.flatMap(Names, (names) => names.of(query.roomId))
        return name.length
      })
    )
    expect(generator).type.toBe<Layer.Layer<Handler.Handler<CountMembers>, never, Names>>()
    Mock.handler(
      JoinRoom,
      Effect.fn("join")(function*(command) {
        expect(command).type.toBe<JoinRoom>()
        yield* full(command.roomId)
      })
    )
    Mock.handler(JoinRoom, (command) =>
      Effect.gen(function*() {
        expect(command).type.toBe<JoinRoom>()
        yield* full(command.roomId)
      }))
    Mock.handler(JoinRoom, () => new Transaction.TransactionError({ reason: "Unavailable", message: "out" }))
  })

  it("with the wrong success does not compile", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    Mock.handler(CountMembers, () => Effect.succeed("three"))
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    Mock.answer(CountMembers, Effect.succeed("three"))
  })

  it("with a failure that is not declared does not compile", () => {
    // @ts-expect-error "The handler of JoinRoom may fail with Undeclared, which JoinRoom does not declare"
    Mock.handler(JoinRoom, ({ roomId }) => new Undeclared({ roomId }))
    // @ts-expect-error "The handler of JoinRoom may fail with Undeclared, which JoinRoom does not declare"
    Mock.answer(JoinRoom, new Undeclared({ roomId: "blue" }))
    // @ts-expect-error "The handler of CountMembers may fail with RoomFull, which CountMembers does not declare"
    Mock.handler(CountMembers, ({ roomId }) => full(roomId))
  })

  it("that asks for the transaction it stands in place of does not compile", () => {
    // @ts-expect-error "The mock of JoinRoom asks for Transaction: it stands in place of the transaction as well
    Mock.handler(JoinRoom, () => Transaction.afterCommit(Effect.void).pipe(Effect.orDie))
  })

  it("of a group takes those that are expected, and refuses what does not fit", () => {
    const group = RequestGroup.make(JoinRoom, CountMembers)
    const mocks = Mock.handlers(group, {
      JoinRoom: (command) => {
        expect(command).type.toBe<JoinRoom>()
        return Effect.void
      }
    })
    expect(mocks).type.toBe<Layer.Layer<Handler.Handler<JoinRoom> | Handler.Handler<CountMembers>>>()
    Mock.handlers(group, {
      // @ts-expect-error "The parameter of the handler of CountMembers is any: write its type"
      CountMembers: Effect.fnUntraced(function*(_query) {
        return 1
      })
    })
    // @ts-expect-error "The parameter of the handler of JoinRoom is any: write its type"
    Mock.handlers(group, { JoinRoom: (_command: any) => Effect.void })
    // @ts-expect-error "There is no request Clean in this group"
    Mock.handlers(group, { Clean: () => Effect.void })
    // @ts-expect-error "The handler of JoinRoom may fail with Undeclared, which JoinRoom does not declare"
    Mock.handlers(group, { JoinRoom: ({ roomId }) => new Undeclared({ roomId }) })
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    Mock.handlers(group, { CountMembers: () => Effect.succeed("three") })
  })

  it("that is missing is a compile error, as a handler is", () => {
    const both = Effect.zipRight(Mediator.send(join), Mediator.send(count))
    // @ts-expect-error Type 'Handler<CountMembers>' is not assignable to type 'never'
    Effect.runSync(Effect.provide(both, Mock.answer(JoinRoom, Effect.void)))
    expect(Mock.unexpected(JoinRoom, CountMembers)).type.toBe<
      Layer.Layer<Handler.Handler<JoinRoom> | Handler.Handler<CountMembers>>
    >()
  })
})

describe("what was recorded", () => {
  it("has the types of the classes it is asked for by", () => {
    expect(Recorder.added(Joined, Changed)).type.toBe<
      Effect.Effect<ReadonlyArray<Joined | Changed>, never, Recorder.Recorder>
    >()
    expect(Recorder.emitted(Greeted)).type.toBe<Effect.Effect<ReadonlyArray<Greeted>, never, Recorder.Recorder>>()
    expect(Recorder.sent(JoinRoom)).type.toBe<Effect.Effect<ReadonlyArray<JoinRoom>, never, Recorder.Recorder>>()
    // @ts-expect-error is not assignable to parameter of type 'ClassOf<Integration>'
    Recorder.added(Greeted)
    // @ts-expect-error is not assignable to parameter of type 'ClassOf<Domain>'
    Recorder.emitted(Joined)
  })
})

describe("a scenario", () => {
  it("asks for the handlers of what it sends, and for a recorder", () => {
    expect(Scenario.check({ given: [join, new Joined({ roomId: "blue" })], when: count, then: { answer: 1 } })).type
      .toBe<
        Effect.Effect<
          void,
          Scenario.ScenarioError,
          | Handler.Handler<JoinRoom>
          | Handler.Handler<CountMembers>
          | Subscribers.Subscribers<Joined>
          | Recorder.Recorder
        >
      >()
  })

  it("asks for nothing more where nothing is given", () => {
    expect(Scenario.check({ when: join, then: {} })).type.toBe<
      Effect.Effect<void, Scenario.ScenarioError, Handler.Handler<JoinRoom> | Recorder.Recorder>
    >()
    expect(Scenario.check({ when: Effect.fail("no"), then: { failure: "no" } })).type.toBe<
      Effect.Effect<void, Scenario.ScenarioError, Recorder.Recorder>
    >()
  })

  it("expects answers and failures that can be", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    Scenario.check({ when: count, then: { answer: "three" } })
    Scenario.check({ when: join, then: { failure: full("blue") } })
    // @ts-expect-error is not assignable
    Scenario.check({ when: join, then: { failure: new Undeclared({ roomId: "blue" }) } })
    // @ts-expect-error is not assignable
    Scenario.check({ when: count, then: { failure: full("blue") } })
    // @ts-expect-error is not assignable
    Scenario.check({ when: count, then: { answer: 1, defect: "none" } })
  })

  it("expects events where they can be", () => {
    // @ts-expect-error is not assignable
    Scenario.check({ when: join, then: { added: [new Greeted({ roomId: "blue" })] } })
    // @ts-expect-error is not assignable
    Scenario.check({ when: join, then: { emitted: [new Joined({ roomId: "blue" })] } })
  })
})

describe("the rest", () => {
  it("a testbed has all but the handlers, and quiescence needs what it has", () => {
    expect(Testbed.layer()).type.toBe<Layer.Layer<Testbed.Services>>()
    const test = Quiescence.run(Effect.succeed(1))
    expect(test).type.toBeAssignableTo<
      Effect.Effect<number, unknown, Layer.Layer.Success<ReturnType<typeof Testbed.layerRunning>>>
    >()
  })

  it("an arbitrary's fields are those of its class", () => {
    expect(Arbitraries.make(JoinRoom, { roomId: FastCheck.constant("blue") })).type.toBe<
      FastCheck.Arbitrary<JoinRoom>
    >()
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    Arbitraries.make(JoinRoom, { roomId: FastCheck.constant(1) })
    // @ts-expect-error 'nope' does not exist
    Arbitraries.make(JoinRoom, { nope: FastCheck.constant("blue") })
  })
})
