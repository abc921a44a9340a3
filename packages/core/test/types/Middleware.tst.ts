import {
  Command,
  Handler,
  Mediator,
  Middleware,
  Outbox,
  Query,
  RequestGroup,
  Retry,
  Subscribers,
  Timeout,
  Transaction
} from "@effect-cqrs/core"
import { Context, Effect, type Layer, Schedule, Schema } from "effect"
import { describe, expect, it } from "tstyche"
import {
  Audit,
  Auth,
  CurrentUser,
  JoinMeeting,
  Mailer,
  MeetingFull,
  NotFound,
  RoomClosed,
  roomClosed,
  Tenant,
  Unauthorized,
  UserJoined
} from "./meetings.ts"

/** Provides two. */
class Session extends Middleware.make<Session>()("Session", { provides: [CurrentUser, Tenant] }) {}
class ForCommands extends Middleware.make<ForCommands>()("ForCommands", { kinds: ["command"] }) {}
class ForRequests extends Middleware.make<ForRequests>()("ForRequests", { kinds: ["command", "query"] }) {}
class ForEvents extends Middleware.make<ForEvents>()("ForEvents", { kinds: ["event"] }) {}

describe("C6: what a middleware says shows in what it wraps", () => {
  it("its failure in send, its services off the handler's layer, itself on it", () => {
    class Close extends Command.make<Close>()("Close", { failure: NotFound, middleware: [Audit, Auth] }) {}
    expect(Mediator.send(new Close())).type.toBe<
      Effect.Effect<void, NotFound | Unauthorized, Handler.Handler<Close>>
    >()
    const CloseHandler = Handler.layer(Close, () => Effect.asVoid(CurrentUser))
    expect(CloseHandler).type.toBe<Layer.Layer<Handler.Handler<Close>, never, Audit | Auth>>()
    // @ts-expect-error Type 'Audit | Auth' is not assignable to type 'never'
    Effect.runSync(Effect.provide(Mediator.send(new Close()), CloseHandler))
  })

  it("each of several services", () => {
    class Open extends Query.make<Open>()("Open", { middleware: [Session] }) {}
    expect(Handler.layer(Open, () => Effect.asVoid(Effect.all([CurrentUser, Tenant, Mailer])))).type.toBe<
      Layer.Layer<Handler.Handler<Open>, never, Session | Mailer>
    >()
  })

  it("the same round the handlers of events", () => {
    const layer = Subscribers.layer(UserJoined, { mail: () => Effect.asVoid(Effect.all([CurrentUser, Tenant])) }, {
      middleware: [Audit, Session]
    })
    expect(layer).type.toBe<Layer.Layer<Subscribers.Subscribers<UserJoined>, never, Audit | Session>>()
  })

  it("and a service without its middleware stays on the layer", () => {
    const JoinHandler = Handler.layer(JoinMeeting, () => Effect.asVoid(CurrentUser))
    expect(JoinHandler).type.toBe<Layer.Layer<Handler.Handler<JoinMeeting>, never, CurrentUser>>()
    // @ts-expect-error Type 'CurrentUser' is not assignable to type 'never'
    Effect.runSync(Effect.provide(Mediator.send({} as JoinMeeting), JoinHandler))
  })

  it("an inline one as well", () => {
    const checking = Middleware.inline({
      name: "Checking",
      failure: Unauthorized,
      wrap: (next, call) => call.name === "" ? Effect.fail(new Unauthorized()) : next
    })
    class Close extends Command.make<Close>()("Close", { failure: NotFound, middleware: [checking] }) {}
    expect(Mediator.send(new Close())).type.toBe<
      Effect.Effect<void, NotFound | Unauthorized, Handler.Handler<Close>>
    >()
    expect(Handler.layer(Close, () => Effect.void)).type.toBe<Layer.Layer<Handler.Handler<Close>>>()
  })

  it("also the shipped ones: a timeout's failure, a retry's none", () => {
    class Slow extends Query.make<Slow>()("Slow", {
      middleware: [Retry.by(Schedule.recurs(3)), Timeout.after("1 second")]
    }) {}
    expect(Mediator.send(new Slow())).type.toBe<Effect.Effect<void, Timeout.TimedOut, Handler.Handler<Slow>>>()
    expect(Handler.layer(Slow, () => Effect.void)).type.toBe<Layer.Layer<Handler.Handler<Slow>>>()
    // @ts-expect-error "The handler of Slow may fail with NotFound, which Slow does not declare"
    Handler.layer(Slow, () => new NotFound({ id: "" }))
  })

  it("and a list that has lost its types is refused, by the request's name", () => {
    const list: ReadonlyArray<Middleware.Any> = [Auth]
    // @ts-expect-error "A middleware of the command Close has lost its type: list each one as it was defined"
    class _Close extends Command.make<_Close>()("Close", { middleware: list }) {}
    // @ts-expect-error "A middleware of the event meeting_room_closed has lost its type: list each one as it was
    Subscribers.layer(RoomClosed, { mail: () => Effect.void }, { middleware: list })
  })
})

describe("C6: what a middleware does is what it says", () => {
  it("it answers what it wraps answered", () => {
    expect(Middleware.layer(Audit, (next) => next)).type.toBe<Layer.Layer<Audit>>()
    expect(Middleware.layer(Audit, (next, call) => Effect.zipLeft(next, Effect.logDebug(call.name)))).type.toBe<
      Layer.Layer<Audit>
    >()
    // @ts-expect-error Type 'void' is not assignable to type 'A'
    Middleware.layer(Audit, () => Effect.void)
    // @ts-expect-error Type 'void' is not assignable to type 'A'
    Middleware.layer(Audit, (next) => Effect.asVoid(next))
    // @ts-expect-error Type 'void | A' is not assignable to type 'A'
    Middleware.inline({ name: "Swallowing", wrap: (next) => Effect.catchAll(next, () => Effect.void) })
    // @ts-expect-error is not assignable to type
    Middleware.layer(Audit, Effect.succeed(() => Effect.succeed(1)))
  })

  it("it fails as what it wraps, or as it says", () => {
    expect(
      Middleware.layer(
        Auth,
        (next, call) => call.name === "" ? new Unauthorized() : Effect.provideService(next, CurrentUser, { id: "ada" })
      )
    ).type.toBe<Layer.Layer<Auth>>()
    expect(
      Middleware.layer(Auth, (next, call) =>
        Effect.gen(function*() {
          if (call.name === "") yield* new Unauthorized()
          return yield* Effect.provideService(next, CurrentUser, { id: "ada" })
        }))
    ).type.toBe<Layer.Layer<Auth>>()
    // @ts-expect-error Type 'NotFound | E' is not assignable to type 'E'
    Middleware.layer(Audit, (next) => Effect.zipRight(new NotFound({ id: "" }), next))
    // @ts-expect-error Type 'Effect<A, NotFound | E, never>' is not assignable to type 'Effect<A, E, never>'
    Middleware.inline({ name: "Failing", wrap: (next) => Effect.zipRight(new NotFound({ id: "" }), next) })
  })

  it("it provides what it promises, all of it", () => {
    expect(
      Middleware.layer(
        Auth,
        Effect.gen(function*() {
          const mailer = yield* Mailer
          return (next, call) =>
            Effect.zipLeft(Effect.provideService(next, CurrentUser, { id: "" }), mailer.send(call.name))
        })
      )
    ).type.toBe<Layer.Layer<Auth, never, Mailer>>()
    // @ts-expect-error "The middleware Auth does not provide what it promises to its handlers"
    Middleware.layer(Auth, (next) => next)
    Middleware.layer(
      Auth,
      // @ts-expect-error "The middleware Auth does not provide what it promises to its handlers"
      Effect.gen(function*() {
        yield* Mailer
        return (next) => next
      })
    )
    // @ts-expect-error "The middleware Session does not provide what it promises to its handlers"
    Middleware.layer(Session, (next) => Effect.provideService(next, Tenant, ""))
    expect(
      Middleware.layer(
        Session,
        (next) => next.pipe(Effect.provideService(Tenant, ""), Effect.provideService(CurrentUser, { id: "" }))
      )
    ).type.toBe<Layer.Layer<Session>>()
  })

  it("what it needs is its layer's; an inline one needs nothing", () => {
    expect(Middleware.layer(Audit, (next) => Effect.zipRight(Mailer, next))).type.toBe<
      Layer.Layer<Audit, never, Mailer>
    >()
    class Config extends Context.Tag("Config")<Config, string>() {}
    expect(
      Middleware.layer(
        Audit,
        Effect.gen(function*() {
          yield* Config
          yield* Effect.addFinalizer(() => Effect.void)
          yield* new NotFound({ id: "" })
          return (next) => Effect.zipRight(Mailer, next)
        })
      )
    ).type.toBe<Layer.Layer<Audit, NotFound, Mailer | Config>>()
    // @ts-expect-error Type 'Effect<A, E, Mailer>' is not assignable to type 'Effect<A, E, never>'
    Middleware.inline({ name: "Asking", wrap: (next) => Effect.zipRight(Mailer, next) })
  })

  it("it asks neither for a transaction nor for a scope", () => {
    // @ts-expect-error "The middleware Audit asks for Transaction: wrap it in Transaction.run"
    Middleware.layer(Audit, (next) => Effect.zipLeft(next, Effect.orDie(Outbox.add(roomClosed))))
    // @ts-expect-error "The middleware Audit asks for Scope: close it inside, with Effect.scoped"
    Middleware.layer(Audit, (next) => Effect.zipLeft(next, Effect.addFinalizer(() => Effect.void)))
    // @ts-expect-error "The middleware Audit asks for
    Middleware.layer(Audit, () => ({}) as Effect.Effect<any, any, any>)
  })

  it("and it needs the Self type", () => {
    // @ts-expect-error Missing `Self` generic - use `class Self extends Middleware.make<Self>()
    class _Forgotten extends Middleware.make()("Forgotten") {}
  })
})

describe("C6: a middleware wraps what it is for", () => {
  it("by its kinds", () => {
    class Close extends Command.make<Close>()("Close", { middleware: [ForCommands, ForRequests] }) {}
    class Read extends Query.make<Read>()("Read", { middleware: [ForRequests] }) {}
    expect(Handler.layer(Close, () => Effect.void)).type.toBe<
      Layer.Layer<Handler.Handler<Close>, never, ForCommands | ForRequests>
    >()
    expect(Handler.layer(Read, () => Effect.void)).type.toBe<Layer.Layer<Handler.Handler<Read>, never, ForRequests>>()
    expect(Subscribers.layer(RoomClosed, { log: () => Effect.void }, { middleware: [ForEvents] })).type.toBe<
      Layer.Layer<Subscribers.Subscribers<RoomClosed>, never, ForEvents>
    >()
  })

  it("and elsewhere it is refused, naming it and the request or event", () => {
    // @ts-expect-error "The middleware ForCommands cannot wrap the query Read: it is for a command"
    class _Read extends Query.make<_Read>()("Read", { middleware: [ForRequests, ForCommands] }) {}
    // @ts-expect-error "The middleware ForEvents cannot wrap the command Close: it is for a event"
    class _Close extends Command.make<_Close>()("Close", { middleware: [ForEvents] }) {}
    // @ts-expect-error "The middleware ForCommands cannot wrap the event meeting_room_closed: it is for a command"
    Subscribers.layer(RoomClosed, { log: () => Effect.void }, { middleware: [ForCommands] })
    // @ts-expect-error "The middleware Transactional cannot wrap the event meeting_room_closed: it is for a command"
    Subscribers.layer(RoomClosed, { log: () => Effect.void }, { middleware: [Transaction.Transactional] })
    const Reading = RequestGroup.namespace("Reading", { middleware: [ForCommands] })
    // @ts-expect-error "The middleware ForCommands cannot wrap the query Reading/Read: it is for a command"
    class _ReadInside extends Reading.Query<_ReadInside>()("Read") {}
  })

  it("a handler of a domain event has no failures, also not those of its middleware", () => {
    // @ts-expect-error "The subscriber mail of UserJoined may fail with TimedOut: handle it"
    Subscribers.layer(UserJoined, { mail: () => Effect.void }, { middleware: [Timeout.after("1 second")] })
    expect(Subscribers.layer(RoomClosed, { mail: () => Effect.void }, { middleware: [Timeout.after("1 second")] }))
      .type.toBe<Layer.Layer<Subscribers.Subscribers<RoomClosed>>>()
  })
})

describe("C6: global middleware", () => {
  it("observes and repeats, and is required", () => {
    expect(Middleware.layerGlobal(Audit, Retry.by(Schedule.recurs(1)))).type.toBe<Layer.Layer<never, never, Audit>>()
  })

  it("adds no failures, by name", () => {
    // @ts-expect-error "The middleware Timeout may fail with TimedOut: global middleware adds no failures. Name it on
    Middleware.layerGlobal(Audit, Timeout.after("1 second"))
    // @ts-expect-error "The middleware Auth may fail with Unauthorized: global middleware adds no failures.
    Middleware.layerGlobal(Auth)
    class Strict extends Middleware.make<Strict>()("Strict", { failure: Schema.Literal("No") }) {}
    // @ts-expect-error "The middleware Strict may fail with an untagged error: global middleware adds no failures.
    Middleware.layerGlobal(Strict)
    class Two extends Middleware.make<Two>()("Two", { failure: Schema.Union(MeetingFull, NotFound) }) {}
    // @ts-expect-error "The middleware Two may fail with
    Middleware.layerGlobal(Two)
  })

  it("provides no services, by name", () => {
    // @ts-expect-error "The middleware Session provides a service: name it on a request or a namespace, where handlers
    Middleware.layerGlobal(Session)
  })

  it("wraps everything, so that one for a kind is refused, by name", () => {
    // @ts-expect-error "The middleware ForCommands is for a command: global middleware wraps every request and event"
    Middleware.layerGlobal(Audit, ForCommands)
    // @ts-expect-error The middleware ForRequests is for a command: global middleware wraps every request and event
    Middleware.layerGlobal(ForRequests)
  })
})
