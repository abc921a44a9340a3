import {
  type Broker,
  EventEmitter,
  Handler,
  Mediator,
  type Serialization,
  Subscribers,
  Transaction,
  type Transactor
} from "@effect-cqrs/core"
import { Effect, Layer } from "effect"
import { describe, expect, it } from "tstyche"
import type { MeetingFull, RoomClosed } from "./meetings.ts"
import { JoinMeeting, joinMeeting, MailQueued, roomClosed, roomState, UserJoined, userJoined } from "./meetings.ts"

describe("C5: emitting a domain event requires its subscribers", () => {
  it("and the message names the event", () => {
    expect(EventEmitter.emit(userJoined)).type.toBe<
      Effect.Effect<void, never, Subscribers.Subscribers<UserJoined>>
    >()
    // @ts-expect-error Type 'Subscribers<UserJoined>' is not assignable to type 'never'
    Effect.runSync(EventEmitter.emit(userJoined))
    // @ts-expect-error Type 'Subscribers<UserJoined>' is not assignable to type 'never'
    Effect.runSync(Effect.provide(EventEmitter.emit(userJoined), Subscribers.none(MailQueued)))
  })

  it("and a layer of subscribers fulfils it, or one that says that there are none", () => {
    const Mail = Subscribers.layer(UserJoined, { mail: () => Effect.void })
    expect(Effect.provide(EventEmitter.emit(userJoined), Mail)).type.toBe<Effect.Effect<void>>()
    expect(Effect.provide(EventEmitter.emit(userJoined), Subscribers.none(UserJoined))).type.toBe<Effect.Effect<void>>()
    expect(Effect.provide(EventEmitter.emit(userJoined), Layer.merge(Mail, Subscribers.none(UserJoined)))).type.toBe<
      Effect.Effect<void>
    >()
  })

  it("of a handler that emits, on its layer", () => {
    const JoinHandler = Handler.layer(JoinMeeting, () => EventEmitter.emit(userJoined))
    expect(JoinHandler).type.toBe<
      Layer.Layer<Handler.Handler<JoinMeeting>, never, Subscribers.Subscribers<UserJoined>>
    >()
    // @ts-expect-error Type 'Subscribers<UserJoined>' is not assignable to type 'never'
    Effect.runSync(Effect.provide(Mediator.send(joinMeeting), JoinHandler))
    expect(
      Effect.provide(Mediator.send(joinMeeting), Layer.provide(JoinHandler, Subscribers.none(UserJoined)))
    ).type.toBe<Effect.Effect<void, MeetingFull>>()
  })

  it("of each event of a union", () => {
    expect(EventEmitter.emit({} as UserJoined | MailQueued)).type.toBe<
      Effect.Effect<void, never, Subscribers.Subscribers<UserJoined> | Subscribers.Subscribers<MailQueued>>
    >()
    expect(EventEmitter.emit({} as UserJoined | RoomClosed)).type.toBe<
      Effect.Effect<void, Serialization.SerializationError, Subscribers.Subscribers<UserJoined> | Broker.Broker>
    >()
  })

  it("inside a transaction as well, which it then asks for", () => {
    expect(EventEmitter.emitInTransaction(userJoined)).type.toBe<
      Effect.Effect<
        void,
        Transaction.TransactionError,
        Transaction.Transaction | Subscribers.Subscribers<UserJoined>
      >
    >()
    expect(Transaction.run(EventEmitter.emitInTransaction(userJoined))).type.toBe<
      Effect.Effect<void, Transaction.TransactionError, Transactor.Transactor | Subscribers.Subscribers<UserJoined>>
    >()
    // @ts-expect-error Transaction
    Effect.runSync(Effect.provide(EventEmitter.emitInTransaction(userJoined), Subscribers.none(UserJoined)))
    // @ts-expect-error "The handler of JoinMeeting asks for Transaction: wrap it in Transaction.run
    Handler.layer(JoinMeeting, () => Effect.orDie(EventEmitter.emitInTransaction(userJoined)))
  })
})

describe("C7: only events that leave the process go to a broker", () => {
  it("which emitting them requires, and not subscribers", () => {
    expect(EventEmitter.emit(roomClosed)).type.toBe<
      Effect.Effect<void, Serialization.SerializationError, Broker.Broker>
    >()
    expect(EventEmitter.emit(roomState)).type.toBe<
      Effect.Effect<void, Serialization.SerializationError, Broker.Broker>
    >()
    // @ts-expect-error Type 'Broker' is not assignable to type 'never'
    Effect.runSync(EventEmitter.emit(roomClosed))
  })

  it("and they are not emitted inside a transaction", () => {
    // @ts-expect-error Argument of type 'RoomClosed' is not assignable to parameter of type 'Domain'
    void EventEmitter.emitInTransaction(roomClosed)
    // @ts-expect-error Argument of type 'UserJoined | RoomClosed' is not assignable to parameter of type 'Domain'
    void EventEmitter.emitInTransaction({} as UserJoined | RoomClosed)
  })

  it("and what is no event is not emitted", () => {
    // @ts-expect-error '_tag' does not exist in type 'Any'
    void EventEmitter.emit({ _tag: "UserJoined" })
  })
})
