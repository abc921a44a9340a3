import { Command, Handler, Mediator, Outbox, RequestGroup, Transaction } from "@effect-cqrs/core"
import { Effect, Layer, Schema } from "effect"
import { describe, expect, it } from "tstyche"
import {
  Audit,
  Auth,
  CurrentUser,
  JoinMeeting,
  LeaveMeeting,
  Mailer,
  MeetingFull,
  Meetings,
  NotFound,
  ReadMeeting,
  roomClosed
} from "./meetings.ts"

const group = RequestGroup.make(JoinMeeting, LeaveMeeting, ReadMeeting)

type All = Handler.Handler<JoinMeeting> | Handler.Handler<LeaveMeeting> | Handler.Handler<ReadMeeting>

const handlers = {
  JoinMeeting: () => Effect.void,
  LeaveMeeting: () => Effect.void,
  ReadMeeting: () => Effect.succeed({ link: "" })
}

const App = RequestGroup.namespace("App", { middleware: [Audit] })
const Billing = App.namespace("Billing", { middleware: [Auth] })
const Stock = App.namespace("Stock")
const Shop = App.namespace("Shop")

class BillingClose extends Billing.Command<BillingClose>()("Close", {
  payload: { id: Schema.String },
  middleware: [Transaction.Transactional]
}) {}
class StockClose extends Stock.Command<StockClose>()("Close", { payload: { id: Schema.String } }) {}
class ShopClose extends Shop.Command<ShopClose>()("Close", { payload: { id: Schema.String } }) {}

describe("a group's commands have their requests' types", () => {
  it("in an object of arrows and methods", () => {
    const layer = group.layer({
      JoinMeeting: (command) => {
        expect(command).type.toBe<JoinMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
        void command.nope
        return Effect.flatMap(Meetings, (meetings) => meetings.join(command.meetingId, command.userId))
      },
      LeaveMeeting(command) {
        expect(command).type.toBe<LeaveMeeting>()
        return Effect.asVoid(Mailer)
      },
      ReadMeeting: (query) => Effect.succeed({ link: query.meetingId })
    })
    expect(layer).type.toBe<Layer.Layer<All, never, Meetings | Mailer>>()
  })

  it("in an object of Effect.fnUntraced and Effect.fn", () => {
    const layer = group.layer({
      JoinMeeting: Effect.fnUntraced(function*(command) {
        expect(command).type.toBe<JoinMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
        void command.nope
        const meetings = yield* Meetings
        yield* meetings.join(command.meetingId, command.userId)
      }),
      LeaveMeeting: Effect.fn("leave")(function*(command) {
        expect(command).type.toBe<LeaveMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'LeaveMeeting'
        void command.nope
        yield* Mailer
      }),
      ReadMeeting: Effect.fn(function*(query) {
        expect(query).type.toBe<ReadMeeting>()
        return { link: query.meetingId }
      })
    })
    expect(layer).type.toBe<Layer.Layer<All, never, Meetings | Mailer>>()
  })

  it("in an object made by Effect.gen", () => {
    const layer = group.layer(Effect.gen(function*() {
      const meetings = yield* Meetings
      return {
        JoinMeeting: Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<JoinMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
          void command.nope
          yield* meetings.join(command.meetingId, command.userId)
        }),
        LeaveMeeting: Effect.fn("leave")(function*(command) {
          expect(command).type.toBe<LeaveMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'LeaveMeeting'
          void command.nope
          yield* Mailer
        }),
        ReadMeeting: (query) => {
          expect(query).type.toBe<ReadMeeting>()
          // @ts-expect-error Property 'nope' does not exist on type 'ReadMeeting'
          void query.nope
          return Effect.succeed({ link: query.meetingId })
        }
      }
    }))
    expect(layer).type.toBe<Layer.Layer<All, never, Meetings | Mailer>>()
  })

  it("in generators in an object made by Effect.map, where an arrow needs its type written", () => {
    const layer = group.layer(Effect.map(Meetings, (meetings) => ({
      JoinMeeting: Effect.fnUntraced(function*(command) {
        expect(command).type.toBe<JoinMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'JoinMeeting'
        void command.nope
        yield* meetings.join(command.meetingId, command.userId)
      }),
      LeaveMeeting: Effect.fn("leave")(function*(command) {
        expect(command).type.toBe<LeaveMeeting>()
        // @ts-expect-error Property 'nope' does not exist on type 'LeaveMeeting'
        void command.nope
      }),
      ReadMeeting: (query: ReadMeeting) => Effect.succeed({ link: query.meetingId })
    })))
    expect(layer).type.toBe<Layer.Layer<All, never, Meetings>>()
    // @ts-expect-error "The parameter of the handler of ReadMeeting is any: write its type"
    group.layer(Effect.map(Meetings, () => ({
      ...handlers,
      // @ts-expect-error Parameter 'query' implicitly has an 'any' type
      ReadMeeting: (query) => Effect.succeed({ link: query.meetingId })
    })))
  })

  it("and is never `any`: where TypeScript finds none it must be written", () => {
    group.layer(
      Meetings.pipe(Effect.map((meetings) => ({
        ...handlers,
        JoinMeeting: Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<JoinMeeting>()
          yield* meetings.join(command.meetingId, command.userId)
        })
      })))
    )
    group.layer(
      // @ts-expect-error "The parameter of the handler of JoinMeeting is any: write its type"
      Effect.gen(function*() {
        const meetings = yield* Meetings
        return {
          ...handlers,
          JoinMeeting: Effect.fn("join")(function*(command) {
            yield* meetings.join(command.meetingId, command.userId)
          })
        }
      }).pipe(Effect.withSpan("build"))
    )
    const layer = group.layer(Meetings.pipe(Effect.map((meetings) => ({
      ...handlers,
      JoinMeeting: Effect.fnUntraced(function*(command: JoinMeeting) {
        yield* meetings.join(command.meetingId, command.userId)
      })
    }))))
    expect(layer).type.toBe<Layer.Layer<All, never, Meetings>>()
  })

  it("in an object given to `of`, wherever that stands", () => {
    const layer = group.layer(Effect.map(Meetings, (meetings) =>
      group.of({
        JoinMeeting: (command) => {
          expect(command).type.toBe<JoinMeeting>()
          return meetings.join(command.meetingId, command.userId)
        },
        LeaveMeeting: Effect.fnUntraced(function*(command) {
          expect(command).type.toBe<LeaveMeeting>()
          yield* Mailer
        }),
        ReadMeeting: (query) => Effect.succeed({ link: query.meetingId })
      })))
    expect(layer).type.toBe<Layer.Layer<All, never, Meetings | Mailer>>()
  })
})

describe("C3: implementing a group", () => {
  it("needs every handler, and the message names the one that is missing", () => {
    // @ts-expect-error Property 'LeaveMeeting' is missing in type
    group.layer({ JoinMeeting: () => Effect.void, ReadMeeting: () => Effect.succeed({ link: "" }) })
    // @ts-expect-error Property 'ReadMeeting' is missing in type
    group.layer(Effect.succeed({ JoinMeeting: () => Effect.void, LeaveMeeting: () => Effect.void }))
    group.layer(
      // @ts-expect-error Property 'ReadMeeting' is missing in type
      Effect.gen(function*() {
        return { JoinMeeting: () => Effect.void, LeaveMeeting: () => Effect.void }
      })
    )
    const { LeaveMeeting: _, ...others } = handlers
    // @ts-expect-error Property 'LeaveMeeting' is missing in type
    group.layer(others)
  })

  it("takes no extra one, and the message names it", () => {
    // @ts-expect-error "There is no request Extra in this group"
    group.layer({ ...handlers, Extra: () => Effect.void })
    const extra = { ...handlers, Extra: () => Effect.void }
    // @ts-expect-error "There is no request Extra in this group"
    group.layer(extra)
    group.layer(
      // @ts-expect-error "There is no request Extra in this group"
      Effect.gen(function*() {
        return extra
      })
    )
    // @ts-expect-error "There is no request Extra in this group"
    group.of(extra)
  })

  it("takes no handler that does not fit, and the message names the request", () => {
    // @ts-expect-error "The handler of JoinMeeting may fail with NotFound, which JoinMeeting does not declare"
    group.layer({ ...handlers, JoinMeeting: (command) => new NotFound({ id: command.meetingId }) })
    // @ts-expect-error "The handler of LeaveMeeting asks for Scope: close it inside, with Effect.scoped"
    group.layer({ ...handlers, LeaveMeeting: () => Effect.addFinalizer(() => Effect.void) })
    // @ts-expect-error Property 'link' is missing in type '{ lnk: string; }' but required in type
    group.layer({ ...handlers, ReadMeeting: () => Effect.succeed({ lnk: "" }) })
    // @ts-expect-error Type 'JoinMeeting' is not assignable to type 'LeaveMeeting'
    group.layer({ ...handlers, JoinMeeting: (command: LeaveMeeting) => Effect.log(command.meetingId) })
    // @ts-expect-error "The handler of JoinMeeting may fail with anything, which JoinMeeting does not declare"
    group.layer({ ...handlers, JoinMeeting: () => ({}) as Effect.Effect<void, any> })
    group.layer(
      // @ts-expect-error "The handler of JoinMeeting may fail with NotFound, which JoinMeeting does not declare"
      Effect.gen(function*() {
        return { ...handlers, JoinMeeting: () => new NotFound({ id: "" }) }
      })
    )
    expect(group.layer({ ...handlers, JoinMeeting: () => new MeetingFull({ meetingId: "" }) })).type.toBe<
      Layer.Layer<All>
    >()
  })

  it("takes no handler that asks for a transaction, unless its request has the middleware (C4)", () => {
    const add = Effect.asVoid(Effect.orDie(Outbox.add(roomClosed)))
    // @ts-expect-error "The handler of JoinMeeting asks for Transaction: wrap it in Transaction.run
    group.layer({ ...handlers, JoinMeeting: () => add })
    // @ts-expect-error "The handler of the query ReadMeeting asks for Transaction: a query does not write"
    group.layer({ ...handlers, ReadMeeting: () => Effect.as(add, { link: "" }) })
    expect(RequestGroup.make(BillingClose).layer({ Close: () => add })).type.toBe<
      Layer.Layer<Handler.Handler<BillingClose>, never, Audit | Auth | Transaction.Transactional>
    >()
  })

  it("takes off what each request's middleware provides to its own handler, and to no other", () => {
    const two = RequestGroup.make(BillingClose, LeaveMeeting)
    expect(two.layer({ Close: () => Effect.asVoid(CurrentUser), LeaveMeeting: () => Effect.void })).type.toBe<
      Layer.Layer<
        Handler.Handler<BillingClose> | Handler.Handler<LeaveMeeting>,
        never,
        Audit | Auth | Transaction.Transactional
      >
    >()
    expect(two.layer({ Close: () => Effect.void, LeaveMeeting: () => Effect.asVoid(CurrentUser) })).type.toBe<
      Layer.Layer<
        Handler.Handler<BillingClose> | Handler.Handler<LeaveMeeting>,
        never,
        CurrentUser | Audit | Auth | Transaction.Transactional
      >
    >()
  })

  it("keeps the failure of the build and owns its scope", () => {
    const layer = group.layer(Effect.gen(function*() {
      yield* Effect.addFinalizer(() => Effect.void)
      yield* new NotFound({ id: "" })
      return handlers
    }))
    expect(layer).type.toBe<Layer.Layer<All, NotFound>>()
  })
})

describe("C3: a tag twice in one group", () => {
  it("does not compile, and the message names the tag", () => {
    // @ts-expect-error Type 'typeof BillingClose' is not assignable to type '"The tag Close stands in this group
    RequestGroup.make(BillingClose, JoinMeeting, StockClose)
    // @ts-expect-error "The tag JoinMeeting stands in this group twice"
    RequestGroup.make(JoinMeeting, LeaveMeeting, JoinMeeting)
  })

  it("but once in each of two groups does", () => {
    expect(RequestGroup.make(BillingClose, JoinMeeting)).type.toBe<
      RequestGroup.RequestGroup<BillingClose | JoinMeeting>
    >()
    expect(RequestGroup.make(StockClose)).type.toBe<RequestGroup.RequestGroup<StockClose>>()
  })
})

describe("C3: requests of equal tag and equal fields in two namespaces", () => {
  const StockHandler = Handler.layer(StockClose, () => Effect.void)
  const AuditLayer = Layer.succeed(Audit, (next) => next)

  it("are two requests", () => {
    expect<ShopClose>().type.not.toBeAssignableTo<StockClose>()
    expect<Handler.Handler<ShopClose>>().type.not.toBeAssignableTo<Handler.Handler<StockClose>>()
    expect(ShopClose.id).type.toBe<"App/Shop/Close">()
  })

  it("whose handlers are no substitute for one another", () => {
    const provided = Layer.provide(StockHandler, AuditLayer)
    expect(Effect.provide(Mediator.send(new StockClose({ id: "1" })), provided)).type.toBe<Effect.Effect<void>>()
    // @ts-expect-error Type 'Handler<ShopClose>' is not assignable to type 'never'
    Effect.runSync(Effect.provide(Mediator.send(new ShopClose({ id: "1" })), provided))
  })

  it("and whose messages have their ids", () => {
    // @ts-expect-error "The handler of App/Stock/Close may fail with NotFound, which App/Stock/Close does not declare"
    Handler.layer(StockClose, (command) => new NotFound({ id: command.id }))
    // @ts-expect-error Construct signature return types 'StockClose' and 'ShopClose' are incompatible
    Handler.layer(StockClose, (command: ShopClose) => Effect.log(command.id))
  })

  it("while without namespaces they are one type, which only the layers' build can refuse", () => {
    class One extends Command.make<One>()("Same", { payload: { id: Schema.String } }) {}
    class Other extends Command.make<Other>()("Same", { payload: { id: Schema.String } }) {}
    expect<One>().type.toBeAssignableTo<Other>()
  })
})
