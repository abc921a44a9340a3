import { EventEmitter, Message, Outbox, Subscribers, Transaction, type Transactor } from "@effect-cqrs/core"
import { Effect, Layer } from "effect"
import { describe, expect, it } from "tstyche"
import { Audit, Mailer, MailQueued, mailQueued, NotFound, RoomClosed, roomClosed, UserJoined } from "./meetings.ts"

describe("a subscriber's event has the event's type", () => {
  it("in an object of arrows, Effect.fnUntraced and Effect.fn", () => {
    const layer = Subscribers.layer(UserJoined, {
      arrow: (event) => {
        expect(event).type.toBe<UserJoined>()
        // @ts-expect-error Property 'nope' does not exist on type 'UserJoined'
        void event.nope
        return Effect.void
      },
      untraced: Effect.fnUntraced(function*(event) {
        expect(event).type.toBe<UserJoined>()
        // @ts-expect-error Property 'nope' does not exist on type 'UserJoined'
        void event.nope
        yield* Mailer
      }),
      traced: Effect.fn("traced")(function*(event) {
        expect(event).type.toBe<UserJoined>()
        // @ts-expect-error Property 'nope' does not exist on type 'UserJoined'
        void event.nope
      })
    })
    expect(layer).type.toBe<Layer.Layer<Subscribers.Subscribers<UserJoined>, never, Mailer>>()
  })

  it("also with middleware", () => {
    const layer = Subscribers.layer(UserJoined, {
      arrow: (event) => {
        expect(event).type.toBe<UserJoined>()
        return Effect.void
      },
      untraced: Effect.fnUntraced(function*(event) {
        expect(event).type.toBe<UserJoined>()
        yield* Mailer
      }),
      traced: Effect.fn("traced")(function*(event) {
        expect(event).type.toBe<UserJoined>()
      })
    }, { middleware: [Audit] })
    expect(layer).type.toBe<Layer.Layer<Subscribers.Subscribers<UserJoined>, never, Mailer | Audit>>()
  })

  it("in an object made by Effect.gen", () => {
    const layer = Subscribers.layer(
      UserJoined,
      Effect.gen(function*() {
        const mailer = yield* Mailer
        return {
          arrow: (event) => {
            expect(event).type.toBe<UserJoined>()
            // @ts-expect-error Property 'nope' does not exist on type 'UserJoined'
            void event.nope
            return mailer.send(event.userId)
          },
          untraced: Effect.fnUntraced(function*(event) {
            expect(event).type.toBe<UserJoined>()
          }),
          traced: Effect.fn("traced")(function*(event) {
            expect(event).type.toBe<UserJoined>()
          })
        }
      })
    )
    expect(layer).type.toBe<Layer.Layer<Subscribers.Subscribers<UserJoined>, never, Mailer>>()
  })

  it("in generators in an object made by Effect.map, where an arrow needs its type written", () => {
    Subscribers.layer(
      UserJoined,
      // @ts-expect-error "The parameter of the subscriber arrow of UserJoined is any: write its type"
      Effect.map(Mailer, (mailer) => ({
        untraced: Effect.fnUntraced(function*(event) {
          expect(event).type.toBe<UserJoined>()
          yield* mailer.send(event.userId)
        }),
        traced: Effect.fn("traced")(function*(event) {
          expect(event).type.toBe<UserJoined>()
        }),
        // @ts-expect-error Parameter 'event' implicitly has an 'any' type
        arrow: (event) => Effect.log(event)
      }))
    )
  })

  it("and is never `any`: where TypeScript finds none it must be written", () => {
    Subscribers.layer(
      UserJoined,
      Mailer.pipe(Effect.map((mailer) => ({
        mail: Effect.fnUntraced(function*(event) {
          expect(event).type.toBe<UserJoined>()
          yield* mailer.send(event.userId)
        })
      })))
    )
    Subscribers.layer(
      RoomClosed,
      // @ts-expect-error "The parameter of the subscriber mail of meeting_room_closed is any: write its type"
      Effect.gen(function*() {
        yield* Mailer
        return {
          mail: Effect.fn("mail")(function*(event) {
            yield* Effect.log(event.room)
          })
        }
      }).pipe(Effect.withSpan("build"))
    )
    Subscribers.layer(
      UserJoined,
      Mailer.pipe(Effect.map((mailer) => ({
        mail: Effect.fnUntraced(function*(event: UserJoined) {
          yield* mailer.send(event.userId)
        }),
        none: () => Effect.void,
        unknown: (event: unknown) => Effect.log(event)
      })))
    )
  })

  it("and a subscriber of another event is refused", () => {
    // @ts-expect-error Property 'to' is missing in type 'UserJoined' but required in type 'MailQueued'
    Subscribers.layer(UserJoined, { mail: (event: MailQueued) => Effect.log(event.to) })
  })
})

describe("C5: subscribers of a domain event", () => {
  it("have no failures, and the message names the subscriber, the event and the failure", () => {
    // @ts-expect-error "The subscriber mail of UserJoined may fail with NotFound: handle it"
    Subscribers.layer(UserJoined, { audit: () => Effect.void, mail: (event) => new NotFound({ id: event.userId }) })
    Subscribers.layer(
      UserJoined,
      // @ts-expect-error "The subscriber mail of UserJoined may fail with NotFound: handle it"
      Effect.gen(function*() {
        yield* Mailer
        return { mail: () => new NotFound({ id: "" }) }
      })
    )
    // @ts-expect-error "The subscriber mail of UserJoined may fail with anything: handle it"
    Subscribers.layer(UserJoined, { mail: () => ({}) as Effect.Effect<void, any> })
  })

  it("require the subscribers of what they emit in turn", () => {
    const Mail = Subscribers.layer(UserJoined, { mail: () => EventEmitter.emit(mailQueued) })
    expect(Mail).type.toBe<
      Layer.Layer<Subscribers.Subscribers<UserJoined>, never, Subscribers.Subscribers<MailQueued>>
    >()
    // @ts-expect-error Type 'Subscribers<MailQueued>' is not assignable to type 'never'
    Effect.runSync(Effect.scoped(Layer.build(Mail)))
    expect(Layer.provide(Mail, Subscribers.none(MailQueued))).type.toBe<
      Layer.Layer<Subscribers.Subscribers<UserJoined>>
    >()
  })

  it("have no message to ask for", () => {
    expect(Subscribers.layer(UserJoined, { mail: () => Effect.asVoid(Message.Received) })).type.toBe<
      Layer.Layer<Subscribers.Subscribers<UserJoined>, never, Message.Received>
    >()
  })

  it("can be none, of that event only", () => {
    expect(Subscribers.none(UserJoined)).type.toBe<Layer.Layer<Subscribers.Subscribers<UserJoined>>>()
    expect<Subscribers.Subscribers<MailQueued>>().type.not.toBeAssignableTo<Subscribers.Subscribers<UserJoined>>()
  })
})

describe("C5: subscribers of an event that left the process", () => {
  it("may fail with anything, and may ask for the message", () => {
    expect(
      Subscribers.layer(RoomClosed, {
        project: (event) => new NotFound({ id: event.roomId }),
        log: () => Effect.asVoid(Message.Received),
        fail: () => Effect.fail(new Error())
      })
    ).type.toBe<Layer.Layer<Subscribers.Subscribers<RoomClosed>>>()
  })
})

describe("C4: subscribers and transactions", () => {
  it("a subscriber that asks for one is refused, by its name and the event's", () => {
    // @ts-expect-error "The subscriber mail of UserJoined asks for Transaction: wrap it in Transaction.run"
    Subscribers.layer(UserJoined, { mail: () => Effect.orDie(Outbox.add(roomClosed)) })
    // @ts-expect-error "The subscriber next of meeting_room_closed asks for Transaction: wrap it in Transaction.run"
    Subscribers.layer(RoomClosed, { next: () => Outbox.add(roomClosed) })
    expect(Subscribers.layer(RoomClosed, { next: () => Transaction.run(Outbox.add(roomClosed)) })).type.toBe<
      Layer.Layer<Subscribers.Subscribers<RoomClosed>, never, Transactor.Transactor>
    >()
  })

  it("nor may it ask for a scope, while the scope of the build is the layer's own", () => {
    // @ts-expect-error "The subscriber mail of UserJoined asks for Scope: close it inside, with Effect.scoped"
    Subscribers.layer(UserJoined, { mail: () => Effect.addFinalizer(() => Effect.void) })
    const layer = Subscribers.layer(
      RoomClosed,
      Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.void)
        yield* new NotFound({ id: "" })
        return { log: () => Effect.void }
      })
    )
    expect(layer).type.toBe<Layer.Layer<Subscribers.Subscribers<RoomClosed>, NotFound>>()
  })
})
