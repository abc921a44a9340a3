import { type Broker, Consumer, EventMediator, type Inbox, Subscribers, type Transactor } from "@effect-cqrs/core"
import { Effect, Layer } from "effect"
import { describe, expect, it } from "tstyche"
import { RoomClosed, RoomState, UserJoined } from "./meetings.ts"

const group = "projections"

describe("a consumer requires", () => {
  it("a broker and the subscribers of its events", () => {
    expect(Consumer.layer({ subscription: { group }, events: [RoomClosed, RoomState] })).type.toBe<
      Layer.Layer<
        never,
        Broker.BrokerError,
        Broker.Broker | Subscribers.Subscribers<RoomClosed> | Subscribers.Subscribers<RoomState>
      >
    >()
    expect(Consumer.layer({ subscription: { group }, events: [RoomClosed], inbox: false })).type.toBe<
      Layer.Layer<never, Broker.BrokerError, Broker.Broker | Subscribers.Subscribers<RoomClosed>>
    >()
  })

  it("with the inbox, its storage and a transactor as well", () => {
    expect(Consumer.layer({ subscription: { group }, events: [RoomClosed], inbox: true })).type.toBe<
      Layer.Layer<
        never,
        Broker.BrokerError,
        Broker.Broker | Subscribers.Subscribers<RoomClosed> | Transactor.Transactor | Inbox.InboxStorage
      >
    >()
    expect(Consumer.layer({ subscription: { group }, events: [RoomClosed], inbox: {} as boolean })).type.toBe<
      Layer.Layer<
        never,
        Broker.BrokerError,
        Broker.Broker | Subscribers.Subscribers<RoomClosed> | Transactor.Transactor | Inbox.InboxStorage
      >
    >()
  })

  it("and a program that forgets the subscribers does not compile, by the event's name", () => {
    const layer = Consumer.layer({ subscription: { group }, events: [RoomClosed, RoomState] }).pipe(
      Layer.provide(Subscribers.none(RoomState)),
      Layer.provide({} as Layer.Layer<Broker.Broker>)
    )
    // @ts-expect-error Type 'Subscribers<RoomClosed>' is not assignable to type 'never'
    void Effect.runPromise(Layer.launch(layer))
  })

  it("and it consumes no domain event (C7)", () => {
    // @ts-expect-error Type 'typeof UserJoined' is not assignable to type 'ClassOf<Integration>'
    Consumer.layer({ subscription: { group }, events: [RoomClosed, UserJoined] })
  })
})

describe("an event mediator requires", () => {
  it("the subscribers of its events", () => {
    expect(EventMediator.make([RoomClosed, RoomState])).type.toBe<
      Effect.Effect<
        EventMediator.EventMediator,
        never,
        Subscribers.Subscribers<RoomClosed> | Subscribers.Subscribers<RoomState>
      >
    >()
    // @ts-expect-error Type 'Subscribers<RoomClosed>' is not assignable to type 'never'
    Effect.runSync(EventMediator.make([RoomClosed]))
    // @ts-expect-error Type 'typeof UserJoined' is not assignable to type 'ClassOf<Integration>'
    void EventMediator.make([UserJoined])
  })
})
