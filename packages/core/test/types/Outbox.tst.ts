import { type Event, Handler, Outbox, Transaction, type Transactor } from "@effect-cqrs/core"
import { Effect } from "effect"
import { describe, expect, it } from "tstyche"
import type { UserJoined } from "./meetings.ts"
import { JoinMeeting, RoomClosed, roomClosed, roomState, userJoined } from "./meetings.ts"

type Added<A> = Effect.Effect<A, Transaction.TransactionError, Transaction.Transaction>

describe("C4: an event goes to the outbox only inside a transaction", () => {
  it("which adding asks for, and Transaction.run opens", () => {
    expect(Outbox.add(roomClosed)).type.toBe<Added<string>>()
    expect(Outbox.addAll([roomClosed, roomState])).type.toBe<Added<ReadonlyArray<string>>>()
    expect(Transaction.run(Outbox.add(roomClosed))).type.toBe<
      Effect.Effect<string, Transaction.TransactionError, Transactor.Transactor>
    >()
  })

  it("so that it does not run outside of one", () => {
    // @ts-expect-error Type 'Transaction' is not assignable to type 'never'
    Effect.runSync(Outbox.add(roomClosed))
    // @ts-expect-error Type 'Transaction' is not assignable to type 'never'
    Effect.runSync(Outbox.addAll([roomClosed]))
    // @ts-expect-error Transaction
    Effect.runSync(Effect.zipRight(Transaction.run(Effect.void), Outbox.add(roomClosed)))
  })

  it("nor compiles in a handler outside of one, by the request's name", () => {
    // @ts-expect-error "The handler of JoinMeeting asks for Transaction: wrap it in Transaction.run, or give
    Handler.layer(JoinMeeting, () => Effect.asVoid(Effect.orDie(Outbox.add(roomClosed))))
    Handler.layer(JoinMeeting, () => Effect.asVoid(Effect.orDie(Transaction.run(Outbox.add(roomClosed)))))
  })
})

describe("C7: a domain event does not go to the outbox", () => {
  it("and the message names it", () => {
    // @ts-expect-error "UserJoined is a domain event: it stays in the process. Announce an Event.notification or
    void Outbox.add(userJoined)
    // @ts-expect-error "UserJoined is a domain event: it stays in the process.
    void Outbox.addAll([userJoined])
    // @ts-expect-error "UserJoined is a domain event: it stays in the process.
    void Outbox.addAll([roomClosed, userJoined])
  })

  it("nor hidden in a union of events", () => {
    const either = {} as RoomClosed | UserJoined
    const several = [] as ReadonlyArray<RoomClosed | UserJoined>
    // @ts-expect-error "UserJoined is a domain event: it stays in the process.
    void Outbox.add(either)
    // @ts-expect-error "UserJoined is a domain event: it stays in the process.
    void Outbox.addAll([either])
    // @ts-expect-error "UserJoined is a domain event: it stays in the process.
    void Outbox.addAll(several)
  })

  it("nor as an event of any kind", () => {
    // @ts-expect-error is a domain event: it stays in the process.
    void Outbox.add({} as Event.Any)
    // @ts-expect-error is a domain event: it stays in the process.
    void Outbox.add({} as Event.Domain)
  })

  it("while any event that leaves the process does", () => {
    expect(Outbox.add({} as Event.Integration)).type.toBe<Added<string>>()
    expect(Outbox.add({} as RoomClosed | typeof roomState)).type.toBe<Added<string>>()
    expect(Outbox.addAll([] as ReadonlyArray<Event.Integration>)).type.toBe<Added<ReadonlyArray<string>>>()
  })

  it("and what is no event is refused", () => {
    // @ts-expect-error Property '[TypeId]' is missing in type '{ hello: number; }' but required in type 'Any'
    void Outbox.add({ hello: 1 })
    // @ts-expect-error Property '[TypeId]' is missing in type 'typeof RoomClosed' but required in type 'Any'
    void Outbox.add(RoomClosed)
  })
})
