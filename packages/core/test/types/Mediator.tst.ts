import { Command, Handler, Mediator, RequestGroup, Retry, Timeout, Transaction } from "@effect-cqrs/core"
import { Effect, Layer, Schedule, Schema } from "effect"
import { describe, expect, it } from "tstyche"
import type { MeetingFull, Unauthorized } from "./meetings.ts"
import {
  Audit,
  Auth,
  JoinMeeting,
  joinMeeting,
  LeaveMeeting,
  leaveMeeting,
  Meetings,
  NotFound,
  Ping,
  ReadMeeting,
  readMeeting
} from "./meetings.ts"

const JoinHandler = Handler.layer(
  JoinMeeting,
  (command) => Effect.flatMap(Meetings, (meetings) => meetings.join(command.meetingId, command.userId))
)
const LeaveHandler = Handler.layer(LeaveMeeting, () => Effect.void)
const ReadHandler = Handler.layer(ReadMeeting, () => Effect.succeed({ link: "" }))

describe("C1: send succeeds, fails and requires as its request says", () => {
  it("a command without an answer and without a failure", () => {
    expect(Mediator.send(new Ping())).type.toBe<Effect.Effect<void, never, Handler.Handler<Ping>>>()
    expect(Mediator.send(leaveMeeting)).type.toBe<Effect.Effect<void, never, Handler.Handler<LeaveMeeting>>>()
  })

  it("a declared failure, and an answer", () => {
    expect(Mediator.send(joinMeeting)).type.toBe<Effect.Effect<void, MeetingFull, Handler.Handler<JoinMeeting>>>()
    expect(Mediator.send(readMeeting)).type.toBe<
      Effect.Effect<{ readonly link: string }, NotFound, Handler.Handler<ReadMeeting>>
    >()
    expect(Effect.flatMap(Mediator.send(readMeeting), ({ link }) => Effect.succeed(link))).type.toBe<
      Effect.Effect<string, NotFound, Handler.Handler<ReadMeeting>>
    >()
    // @ts-expect-error Property 'lnk' does not exist on type '{ readonly link: string; }'
    Effect.map(Mediator.send(readMeeting), ({ lnk }) => lnk)
    // @ts-expect-error Type '{ readonly link: string; }' is not assignable to type 'number'
    const _answer: Effect.Effect<number, NotFound, Handler.Handler<ReadMeeting>> = Mediator.send(readMeeting)
  })

  it("the failures of the middleware named on the request", () => {
    class Close extends Command.make<Close>()("Close", {
      failure: NotFound,
      middleware: [Audit, Auth, Transaction.Transactional]
    }) {}
    expect(Mediator.send(new Close())).type.toBe<
      Effect.Effect<void, NotFound | Unauthorized | Transaction.TransactionError, Handler.Handler<Close>>
    >()
  })

  it("the failure of a timeout, and none of a retry", () => {
    class Slow extends Command.make<Slow>()("Slow", { failure: NotFound, middleware: [Timeout.after("1 second")] }) {}
    expect(Mediator.send(new Slow())).type.toBe<
      Effect.Effect<void, NotFound | Timeout.TimedOut, Handler.Handler<Slow>>
    >()
    class Flaky
      extends Command.make<Flaky>()("Flaky", { failure: NotFound, middleware: [Retry.by(Schedule.forever)] })
    {}
    expect(Mediator.send(new Flaky())).type.toBe<Effect.Effect<void, NotFound, Handler.Handler<Flaky>>>()
  })

  it("the failures of the middleware of its namespaces, from the root inwards", () => {
    const App = RequestGroup.namespace("App", { middleware: [Audit, Timeout.after("1 second")] })
    const Billing = App.namespace("Billing", { middleware: [Auth] })
    class Close extends Billing.Command<Close>()("Close", {
      payload: { invoice: Schema.String },
      success: Schema.Number,
      failure: NotFound,
      middleware: [Transaction.Transactional]
    }) {}
    expect(Close.id).type.toBe<"App/Billing/Close">()
    expect(Mediator.send(new Close({ invoice: "1" }))).type.toBe<
      Effect.Effect<
        number,
        NotFound | Timeout.TimedOut | Unauthorized | Transaction.TransactionError,
        Handler.Handler<Close>
      >
    >()
    expect(Handler.layer(Close, () => Effect.succeed(1))).type.toBe<
      Layer.Layer<Handler.Handler<Close>, never, Audit | Auth | Transaction.Transactional>
    >()
  })

  it("each of a union of requests", () => {
    const either = {} as JoinMeeting | ReadMeeting
    expect(Mediator.send(either)).type.toBe<
      Effect.Effect<
        void | { readonly link: string },
        MeetingFull | NotFound,
        Handler.Handler<JoinMeeting> | Handler.Handler<ReadMeeting>
      >
    >()
  })

  it("and nothing else can be sent", () => {
    // @ts-expect-error Property '[TypeId]' is missing in type '{ _tag: string; }' but required in type 'Any'
    void Mediator.send({ _tag: "JoinMeeting" })
    // @ts-expect-error Argument of type 'typeof JoinMeeting' is not assignable to parameter of type 'Any'
    void Mediator.send(JoinMeeting)
  })
})

describe("C1: a program without a handler's layer does not compile", () => {
  it("and the message names the request", () => {
    // @ts-expect-error Type 'Handler<LeaveMeeting>' is not assignable to type 'never'
    Effect.runSync(Mediator.send(leaveMeeting))
    // @ts-expect-error Type 'Handler<LeaveMeeting>' is not assignable to type 'never'
    void Effect.runPromise(Mediator.send(leaveMeeting))
    // @ts-expect-error Type 'Handler<JoinMeeting>' is not assignable to type 'never'
    const _main: Effect.Effect<void, MeetingFull> = Mediator.send(joinMeeting)
  })

  it("also where it is one of several that is missing", () => {
    const program = Effect.all([Mediator.send(joinMeeting), Mediator.send(leaveMeeting), Mediator.send(readMeeting)])
    // @ts-expect-error Handler<JoinMeeting> | Handler<LeaveMeeting> | Handler<ReadMeeting>
    Effect.runSync(program)
    const JoinAndRead = Layer.merge(JoinHandler, ReadHandler).pipe(
      Layer.provide(Layer.succeed(Meetings, { join: () => Effect.void }))
    )
    // @ts-expect-error Type 'Handler<LeaveMeeting>' is not assignable to type 'never'
    Effect.runSync(Effect.provide(program, JoinAndRead))
    expect(Effect.provide(program, Layer.merge(JoinAndRead, LeaveHandler))).type.toBe<
      Effect.Effect<[void, void, { readonly link: string }], MeetingFull | NotFound>
    >()
  })

  it("and the layer of another request is no substitute", () => {
    // @ts-expect-error Type 'Handler<LeaveMeeting>' is not assignable to type 'never'
    Effect.runSync(Effect.provide(Mediator.send(leaveMeeting), ReadHandler))
  })
})

describe("C2: a handler's services are not its callers'", () => {
  it("they stay on the layer", () => {
    expect(JoinHandler).type.toBe<Layer.Layer<Handler.Handler<JoinMeeting>, never, Meetings>>()
    expect(Mediator.send(joinMeeting)).type.toBe<Effect.Effect<void, MeetingFull, Handler.Handler<JoinMeeting>>>()
    expect(Effect.provide(Mediator.send(joinMeeting), JoinHandler)).type.toBe<
      Effect.Effect<void, MeetingFull, Meetings>
    >()
    // @ts-expect-error Type 'Meetings' is not assignable to type 'never'
    Effect.runSync(Effect.provide(Mediator.send(joinMeeting), JoinHandler))
  })
})
