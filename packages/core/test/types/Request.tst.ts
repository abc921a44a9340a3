import { Command, Mediator, Query, type Request, RequestGroup, Transaction } from "@effect-cqrs/core"
import { Rpc, RpcGroup } from "@effect/rpc"
import type { Request as EffectRequest } from "effect"
import { Effect, RequestResolver, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { describe, expect, it } from "tstyche"
import { Auth, JoinMeeting, joinMeeting, MeetingFull, NotFound, Ping, ReadMeeting, Unauthorized } from "./meetings.ts"

const App = RequestGroup.namespace("App", { middleware: [Auth] })

class Close extends App.Command<Close>()("Close", {
  payload: { roomId: Schema.String },
  failure: NotFound,
  middleware: [Transaction.Transactional]
}) {}

describe("a request is made of its payload", () => {
  it("which the constructor checks", () => {
    expect(JoinMeeting).type.toBeConstructableWith({ meetingId: "standup", userId: "ada" })
    expect(Ping).type.toBeConstructableWith()
    // @ts-expect-error 'meeting' does not exist in type '{ readonly meetingId: string; readonly userId: string; }'
    new JoinMeeting({ meeting: "standup", userId: "ada" })
    // @ts-expect-error Property 'userId' is missing
    new JoinMeeting({ meetingId: "standup" })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    new JoinMeeting({ meetingId: 1, userId: "ada" })
  })

  it("and has its tag, its id, its kind and the fields", () => {
    expect(joinMeeting._tag).type.toBe<"JoinMeeting">()
    expect(joinMeeting.userId).type.toBe<string>()
    expect(JoinMeeting.id).type.toBe<"JoinMeeting">()
    expect(JoinMeeting.kind).type.toBe<"command">()
    expect(ReadMeeting.kind).type.toBe<"query">()
    expect(Close._tag).type.toBe<"Close">()
    expect(Close.id).type.toBe<"App/Close">()
    // @ts-expect-error Cannot assign to 'userId' because it is a read-only property
    joinMeeting.userId = ""
  })

  it("and says what it answers, how it fails, and what wraps it", () => {
    expect<Request.Success<ReadMeeting>>().type.toBe<{ readonly link: string }>()
    expect<Request.Failure<Close>>().type.toBe<NotFound | Unauthorized | Transaction.TransactionError>()
    expect<Request.Middlewares<Close>>().type.toBe<Auth | Transaction.Transactional>()
    expect<Request.Success<Ping>>().type.toBe<void>()
    expect<Request.Failure<Ping>>().type.toBe<never>()
  })

  it("and needs the Self type, which a message asks for", () => {
    expect(Command.make()("Forgotten")).type.toBe<
      "Missing `Self` generic - use `class Self extends Command.make<Self>()(\"Tag\", { ... }) {}`"
    >()
    // @ts-expect-error Missing `Self` generic - use `class Self extends Query.make<Self>()
    class _Forgotten extends Query.make()("Forgotten") {}
    // @ts-expect-error Missing `Self` generic - use `class Self extends App.Command<Self>()
    class _ForgottenInside extends App.Command()("Forgotten") {}
  })
})

describe("C4: the transactional middleware accepts commands only", () => {
  it("not a query, by name", () => {
    // @ts-expect-error "The middleware Transactional cannot wrap the query List: it is for a command"
    class _List extends Query.make<_List>()("List", { middleware: [Transaction.Transactional] }) {}
  })

  it("not a query of a namespace that has it, while a command there has it", () => {
    const Writing = App.namespace("Writing", { middleware: [Transaction.Transactional] })
    class Open extends Writing.Command<Open>()("Open") {}
    expect<Request.Middlewares<Open>>().type.toBe<Auth | Transaction.Transactional>()
    // @ts-expect-error "The middleware Transactional cannot wrap the query App/Writing/List: it is for a command"
    class _List extends Writing.Query<_List>()("List") {}
  })
})

describe("a request is a Schema.TaggedRequest", () => {
  it("whatever it answers and however it fails", () => {
    expect<JoinMeeting>().type.toBeAssignableTo<Schema.TaggedRequest.Any>()
    expect<Close>().type.toBeAssignableTo<Schema.TaggedRequest.Any>()
    expect<ReadMeeting>().type.toBeAssignableTo<Schema.TaggedRequest.Any>()
    // Schema's own requests without a failure are `All` and not `Any`, too
    expect<Ping>().type.toBeAssignableTo<Schema.TaggedRequest.All>()
    expect<Schema.WithResult.Success<ReadMeeting>>().type.toBe<{ readonly link: string }>()
    expect<Schema.WithResult.Failure<Close>>().type.toBe<NotFound | Unauthorized | Transaction.TransactionError>()
  })

  it("decoded to an instance", () => {
    expect(Schema.decodeUnknown(JoinMeeting)({})).type.toBe<Effect.Effect<JoinMeeting, ParseError>>()
    expect(Schema.decodeUnknownSync(Close)({})).type.toBe<Close>()
    expect(Schema.encodeSync(JoinMeeting)(joinMeeting)).type.toBe<
      { readonly _tag: "JoinMeeting"; readonly meetingId: string; readonly userId: string }
    >()
    expect(JoinMeeting.make({ meetingId: "", userId: "" })).type.toBe<JoinMeeting>()
    class Greet extends Command.make<Greet>()("Greet", { payload: { name: Schema.String } }) {
      get greeting() {
        return `Hello, ${this.name}`
      }
    }
    expect(Schema.decodeUnknownSync(Greet)({}).greeting).type.toBe<string>()
  })

  it("resolved by a RequestResolver", () => {
    const resolver = RequestResolver.fromEffect((_: JoinMeeting) => new MeetingFull({ meetingId: "" }))
    expect(Effect.request(joinMeeting, resolver)).type.toBe<Effect.Effect<void, MeetingFull>>()
    expect<EffectRequest.Request.Success<ReadMeeting>>().type.toBe<{ readonly link: string }>()
    RequestResolver.fromEffect((close: Close) =>
      close.roomId === "" ? new Unauthorized() : new NotFound({ id: close.roomId })
    )
    // @ts-expect-error Type 'MeetingFull' is not assignable to type
    RequestResolver.fromEffect((_: Close) => new MeetingFull({ meetingId: "" }))
  })

  it("sent over RPC as it is, and answered there by the mediator", () => {
    const rpcs = RpcGroup.make(
      Rpc.fromTaggedRequest(Ping),
      Rpc.fromTaggedRequest(Close),
      Rpc.fromTaggedRequest(JoinMeeting),
      Rpc.fromTaggedRequest(ReadMeeting)
    )
    const handlers = {
      Ping: (request: Ping) => Mediator.send(request),
      Close: (request: Close) => Mediator.send(request),
      JoinMeeting: (request: JoinMeeting) => Mediator.send(request),
      ReadMeeting: (request: ReadMeeting) => Mediator.send(request)
    }
    expect(rpcs.toLayer).type.toBeCallableWith(handlers)
    rpcs.toLayer({
      Ping: (request) => Mediator.send(request),
      Close: (request) => {
        expect(request).type.toBe<Close>()
        return Mediator.send(request)
      },
      JoinMeeting: (request) => Mediator.send(request),
      ReadMeeting: (request) => Mediator.send(request)
    })
    expect(rpcs.toLayer).type.not.toBeCallableWith({
      ...handlers,
      JoinMeeting: () => Mediator.send(new Close({ roomId: "" }))
    })
  })
})
