import { Command, Handler, Middleware, Outbox, Query, Transaction } from "@effect-cqrs/core"
import { Context, Effect, type Layer, Schema } from "effect"
import { describe, expect, it } from "tstyche"
import {
  Audit,
  Auth,
  CurrentUser,
  JoinMeeting,
  LeaveMeeting,
  MeetingFull,
  Meetings,
  NotFound,
  ReadMeeting,
  roomClosed,
  Unauthorized
} from "./meetings.ts"

class Opening extends Middleware.make<Opening>()("Opening", {
  provides: Transaction.Transactional.provides,
  failure: Transaction.TransactionError
}) {}

type Join<E, R> = Layer.Layer<Handler.Handler<JoinMeeting>, E, R>

describe("a handler's command has the request's type", () => {
  it("in a plain arrow", () => {
    const layer = Handler.layer(JoinMeeting, (command) => {
      expect(command).type.toBe<JoinMeeting>()
      // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
      void command.nope
      return Effect.flatMap(Meetings, (meetings) => meetings.join(command.meetingId, command.userId))
    })
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in a plain function, and in an arrow around Effect.gen", () => {
    Handler.layer(JoinMeeting, function(command) {
      expect(command).type.toBe<JoinMeeting>()
      return Effect.void
    })
    const layer = Handler.layer(JoinMeeting, (command) =>
      Effect.gen(function*() {
        expect(command).type.toBe<JoinMeeting>()
        const meetings = yield* Meetings
        yield* meetings.join(command.meetingId, command.userId)
      }))
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in a plain Effect.fnUntraced", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.fnUntraced(function*(command) {
        expect(command).type.toBe<JoinMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
        void command.nope
        const meetings = yield* Meetings
        yield* meetings.join(command.meetingId, command.userId)
      })
    )
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in a plain Effect.fn, with and without a span's name", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.fn("join")(function*(command) {
        expect(command).type.toBe<JoinMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
        void command.nope
        const meetings = yield* Meetings
        yield* meetings.join(command.meetingId, command.userId)
      })
    )
    expect(layer).type.toBe<Join<never, Meetings>>()
    Handler.layer(
      JoinMeeting,
      Effect.fn(function*(command) {
        expect(command).type.toBe<JoinMeeting>()
        yield* Meetings
      })
    )
  })

  it("in an arrow made by Effect.gen", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.gen(function*() {
        const meetings = yield* Meetings
        return (command) => {
          expect(command).type.toBe<JoinMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
          void command.nope
          return meetings.join(command.meetingId, command.userId)
        }
      })
    )
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in an Effect.fnUntraced made by Effect.gen", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.gen(function*() {
        const meetings = yield* Meetings
        return Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<JoinMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
          void command.nope
          yield* CurrentUser
          yield* meetings.join(command.meetingId, command.userId)
        })
      })
    )
    expect(layer).type.toBe<Join<never, Meetings | CurrentUser>>()
  })

  it("in an Effect.fn made by Effect.gen", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.gen(function*() {
        const meetings = yield* Meetings
        return Effect.fn("join")(function*(command) {
          expect(command).type.toBe<JoinMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
          void command.nope
          yield* meetings.join(command.meetingId, command.userId)
        })
      })
    )
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in an arrow made by Effect.map", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.map(Meetings, (meetings) => (command) => {
        expect(command).type.toBe<JoinMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
        void command.nope
        return meetings.join(command.meetingId, command.userId)
      })
    )
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in an Effect.fnUntraced made by Effect.map", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.map(Meetings, (meetings) =>
        Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<JoinMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
          void command.nope
          yield* meetings.join(command.meetingId, command.userId)
        }))
    )
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in an Effect.fn made by Effect.map", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.map(Meetings, (meetings) =>
        Effect.fn("join")(function*(command) {
          expect(command).type.toBe<JoinMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
          void command.nope
          yield* meetings.join(command.meetingId, command.userId)
        }))
    )
    expect(layer).type.toBe<Join<never, Meetings>>()
  })

  it("in a function made by Effect.succeed, Effect.sync or Effect.flatMap", () => {
    Handler.layer(
      JoinMeeting,
      Effect.succeed((command) => {
        expect(command).type.toBe<JoinMeeting>()
        return Effect.void
      })
    )
    Handler.layer(
      JoinMeeting,
      Effect.sync(() =>
        Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<JoinMeeting>()
          yield* Meetings
        })
      )
    )
    Handler.layer(
      JoinMeeting,
      Effect.flatMap(Meetings, (meetings) =>
        Effect.succeed((command) => {
          expect(command).type.toBe<JoinMeeting>()
          return meetings.join(command.meetingId, command.userId)
        }))
    )
  })

  it("behind a pipe only if it is written there: TypeScript carries no types into a pipe", () => {
    Handler.layer(
      JoinMeeting,
      // @ts-expect-error Parameter 'command' implicitly has an 'any' type
      Meetings.pipe(Effect.map((meetings) => (command) => meetings.join(command.meetingId, command.userId)))
    )
    Handler.layer(
      JoinMeeting,
      Meetings.pipe(Effect.map((meetings) =>
        Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<any>()
          yield* meetings.join(command.meetingId, command.userId)
        })
      ))
    )
    Handler.layer(
      JoinMeeting,
      Meetings.pipe(Effect.map((meetings) =>
        Effect.fnUntraced(function*(command: JoinMeeting) {
          expect(command).type.toBe<JoinMeeting>()
          yield* meetings.join(command.meetingId, command.userId)
        })
      ))
    )
  })

  it("nor behind what is piped, nor into Effect.zipRight", () => {
    Handler.layer(
      JoinMeeting,
      Effect.gen(function*() {
        yield* Meetings
        return Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<any>()
        })
      }).pipe(Effect.withSpan("build"))
    )
    Handler.layer(
      JoinMeeting,
      Effect.zipRight(
        Meetings,
        Effect.succeed(Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<any>()
        }))
      )
    )
  })

  it("and a handler of another request is refused", () => {
    // @ts-expect-error Construct signature return types 'JoinMeeting' and 'LeaveMeeting' are incompatible
    Handler.layer(JoinMeeting, (command: LeaveMeeting) => Effect.log(command.meetingId))
    // @ts-expect-error Construct signature return types 'JoinMeeting' and 'LeaveMeeting' are incompatible
    Handler.layer(JoinMeeting, Effect.succeed((command: LeaveMeeting) => Effect.log(command.meetingId)))
  })

  it("and one that handles more than its request is accepted", () => {
    expect(Handler.layer(JoinMeeting, (command: JoinMeeting | LeaveMeeting) => Effect.log(command.meetingId)))
      .type.toBe<Join<never, never>>()
  })
})

describe("C2: a handler fails with what is declared", () => {
  it("accepts the declared failure, and none", () => {
    expect(Handler.layer(JoinMeeting, () => new MeetingFull({ meetingId: "" }))).type.toBe<Join<never, never>>()
    expect(Handler.layer(JoinMeeting, () => Effect.void)).type.toBe<Join<never, never>>()
    const layer = Handler.layer(
      JoinMeeting,
      (command) => command.userId === "" ? new MeetingFull({ meetingId: command.meetingId }) : Effect.void
    )
    expect(layer).type.toBe<Join<never, never>>()
  })

  it("keeps a failure that is a literal", () => {
    class Book extends Command.make<Book>()("Book", { failure: Schema.Literal("Full", "Closed") }) {}
    expect(Handler.layer(Book, () => Effect.fail("Full"))).type.toBe<Layer.Layer<Handler.Handler<Book>>>()
    // @ts-expect-error "The handler of Book may fail with Late, which Book does not declare"
    Handler.layer(Book, () => Effect.fail("Late"))
  })

  it("refuses another failure, naming the request and the failure", () => {
    // @ts-expect-error "The handler of JoinMeeting may fail with NotFound, which JoinMeeting does not declare"
    Handler.layer(JoinMeeting, (command) => new NotFound({ id: command.meetingId }))
    // @ts-expect-error "The handler of LeaveMeeting may fail with NotFound, which LeaveMeeting does not declare"
    Handler.layer(LeaveMeeting, (command) => new NotFound({ id: command.meetingId }))
    // @ts-expect-error "The handler of ReadMeeting may fail with an untagged error, which ReadMeeting does not declare"
    Handler.layer(ReadMeeting, () => Effect.fail(new Error()))
    Handler.layer(
      JoinMeeting,
      // @ts-expect-error "The handler of JoinMeeting may fail with NotFound, which JoinMeeting does not declare"
      Effect.gen(function*() {
        const meetings = yield* Meetings
        return Effect.fnUntraced(function*(command) {
          yield* meetings.join(command.meetingId, command.userId)
          yield* new NotFound({ id: command.meetingId })
        })
      })
    )
  })

  it("refuses a transaction's failure that is not declared, and takes it when it is", () => {
    // @ts-expect-error "The handler of JoinMeeting may fail with TransactionError, which JoinMeeting does not declare"
    Handler.layer(JoinMeeting, () => Transaction.run(Effect.void))

    class Book extends Command.make<Book>()("Book", {
      failure: Schema.Union(MeetingFull, Transaction.TransactionError)
    }) {}
    expect(Handler.layer(Book, () => Transaction.run(Outbox.add(roomClosed)).pipe(Effect.asVoid))).type.toBe<
      Layer.Layer<Handler.Handler<Book>, never, Layer.Layer.Context<typeof Transaction.Transactional.layer>>
    >()
  })

  it("takes the failure of the request's middleware", () => {
    class Close extends Command.make<Close>()("Close", { failure: NotFound, middleware: [Auth] }) {}
    expect(Handler.layer(Close, () => Effect.fail(new Unauthorized()))).type.toBe<
      Layer.Layer<Handler.Handler<Close>, never, Auth>
    >()
    // @ts-expect-error "The handler of Close may fail with MeetingFull, which Close does not declare"
    Handler.layer(Close, () => new MeetingFull({ meetingId: "" }))
  })

  it("refuses a handler that may do anything", () => {
    const anything = {} as Effect.Effect<any, any, any>
    const anyFailure = {} as Effect.Effect<void, any>
    const anyService = {} as Effect.Effect<void, never, any>
    // @ts-expect-error "The handler of JoinMeeting may fail with anything, which JoinMeeting does not declare"
    Handler.layer(JoinMeeting, () => anything)
    // @ts-expect-error The handler of JoinMeeting
    Handler.layer(JoinMeeting, Effect.succeed(() => anything))
    // @ts-expect-error "The handler of JoinMeeting may fail with anything, which JoinMeeting does not declare"
    Handler.layer(JoinMeeting, () => anyFailure)
    // @ts-expect-error "The handler of JoinMeeting asks for Transaction
    Handler.layer(JoinMeeting, () => anyService)
    // @ts-expect-error "The handler of ReadMeeting may fail with anything, which ReadMeeting does not declare"
    Handler.layer(ReadMeeting, () => anything)
  })

  it("refuses another answer than the request's", () => {
    // @ts-expect-error Property 'link' is missing in type '{ lnk: string; }' but required in type
    Handler.layer(ReadMeeting, () => Effect.succeed({ lnk: "" }))
  })
})

describe("C2: a handler's services are its layer's", () => {
  it("those of the build, those of the handler, and the failure of the build", () => {
    class Config extends Context.Tag("Config")<Config, string>() {}
    const layer = Handler.layer(
      JoinMeeting,
      Effect.gen(function*() {
        yield* Config
        if (Math.random() > 2) yield* new NotFound({ id: "" })
        return Effect.fnUntraced(function*(command) {
          const meetings = yield* Meetings
          yield* meetings.join(command.meetingId, command.userId)
        })
      })
    )
    expect(layer).type.toBe<Join<NotFound, Config | Meetings>>()
  })

  it("but the scope of the build is the layer's own", () => {
    const layer = Handler.layer(
      JoinMeeting,
      Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.void)
        return () => Effect.void
      })
    )
    expect(layer).type.toBe<Join<never, never>>()
  })

  it("and what its middleware provides is taken off, while the middleware is required", () => {
    class Close extends Command.make<Close>()("Close", { middleware: [Audit, Auth] }) {}
    expect(Handler.layer(Close, () => Effect.asVoid(Effect.zip(CurrentUser, Meetings)))).type.toBe<
      Layer.Layer<Handler.Handler<Close>, never, Audit | Auth | Meetings>
    >()
    expect(Handler.layer(LeaveMeeting, () => Effect.asVoid(CurrentUser))).type.toBe<
      Layer.Layer<Handler.Handler<LeaveMeeting>, never, CurrentUser>
    >()
  })

  it("and it may not ask its caller for a scope", () => {
    // @ts-expect-error "The handler of JoinMeeting asks for Scope: close it inside, with Effect.scoped"
    Handler.layer(JoinMeeting, () => Effect.addFinalizer(() => Effect.void))
    expect(Handler.layer(JoinMeeting, () => Effect.scoped(Effect.addFinalizer(() => Effect.void))))
      .type.toBe<Join<never, never>>()
  })
})

describe("C4: a handler and transactions", () => {
  it("refuses a command that asks for one without the middleware, saying what to do", () => {
    // @ts-expect-error "The handler of JoinMeeting asks for Transaction: wrap it in Transaction.run, or give
    Handler.layer(JoinMeeting, () => Effect.asVoid(Effect.orDie(Outbox.add(roomClosed))))
    Handler.layer(
      JoinMeeting,
      // @ts-expect-error "The handler of JoinMeeting asks for Transaction: wrap it in Transaction.run
      Effect.gen(function*() {
        yield* Meetings
        return Effect.fnUntraced(function*() {
          yield* Effect.orDie(Outbox.add(roomClosed))
        })
      })
    )
  })

  it("accepts a command that asks for one with the middleware", () => {
    class Close extends Command.make<Close>()("Close", {
      payload: { roomId: Schema.String },
      middleware: [Transaction.Transactional]
    }) {}
    expect(Handler.layer(Close, () => Effect.asVoid(Outbox.add(roomClosed)))).type.toBe<
      Layer.Layer<Handler.Handler<Close>, never, Transaction.Transactional>
    >()
  })

  it("refuses a query that asks for one", () => {
    // @ts-expect-error "The handler of the query ReadMeeting asks for Transaction: a query does not write"
    Handler.layer(ReadMeeting, () => Effect.as(Effect.orDie(Outbox.add(roomClosed)), { link: "" }))
    Handler.layer(
      ReadMeeting,
      // @ts-expect-error "The handler of the query ReadMeeting asks for Transaction: a query does not write"
      Effect.gen(function*() {
        return Effect.fnUntraced(function*(query) {
          yield* Effect.orDie(Outbox.add(roomClosed))
          return { link: query.meetingId }
        })
      })
    )
  })

  it("refuses it in a query whose own middleware opens one", () => {
    class List extends Query.make<List>()("List", { middleware: [Opening] }) {}
    // @ts-expect-error "The handler of the query List asks for Transaction: a query does not write"
    Handler.layer(List, () => Effect.asVoid(Effect.orDie(Outbox.add(roomClosed))))
  })
})
