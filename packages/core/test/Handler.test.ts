import {
  Command,
  Handler,
  HandlerError,
  Mediator,
  Middleware,
  Outbox,
  Query,
  RequestGroup,
  Transaction
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import type { Exit } from "effect"
import { Context, Effect, Layer, Option, Ref, Schema, Scope } from "effect"
import { defectOf, Memory, pending, RoomClosed } from "./fixtures.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

class Divide extends Query.make<Divide>()("HandlerDivide", {
  payload: { dividend: Schema.Number, by: Schema.Number },
  success: Schema.Number,
  failure: Refused
}) {}

const DivideHandler = Handler.layer(
  Divide,
  (query) => query.by === 0 ? new Refused({ why: "by zero" }) : Effect.succeed(query.dividend / query.by)
)

class Db extends Context.Tag("test/Db")<Db, { readonly name: string }>() {}
class ReadName extends Query.make<ReadName>()("HandlerReadName", { success: Schema.String }) {}
const nameOfDb = Effect.map(Db, (db) => db.name)
const db = (name: string) => Layer.succeed(Db, { name })

const expectHandlerError = (exit: Exit.Exit<unknown, unknown>, reason: HandlerError.HandlerError["reason"]) => {
  const defect = defectOf(exit)
  assert.instanceOf(defect, HandlerError.HandlerError)
  assert.strictEqual(defect.reason, reason)
  return defect.message
}

describe("Mediator.send", () => {
  it.effect("answers what the handler answers, and fails with its declared failure", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Mediator.send(new Divide({ dividend: 6, by: 2 })), 3)
      const error = yield* Effect.flip(Mediator.send(new Divide({ dividend: 6, by: 0 })))
      assert.deepStrictEqual(error, new Refused({ why: "by zero" }))
    }).pipe(Effect.provide(DivideHandler)))

  it.effect("a handler may be an Effect that makes it, run once when the layer is built", () =>
    Effect.gen(function*() {
      const built = yield* Ref.make(0)
      const layer = Handler.layer(
        Divide,
        Effect.as(Ref.update(built, (n) => n + 1), (query: Divide) => Effect.succeed(query.dividend))
      )
      yield* Effect.provide(
        Effect.repeatN(Mediator.send(new Divide({ dividend: 1, by: 1 })), 4),
        layer
      )
      assert.strictEqual(yield* Ref.get(built), 1)
    }))

  it.effect("a send inside a handler goes to the other handler", () => {
    class Half extends Query.make<Half>()("HandlerHalf", {
      payload: { of: Schema.Number },
      success: Schema.Number,
      failure: Refused
    }) {}
    const HalfHandler = Handler.layer(Half, (query) => Mediator.send(new Divide({ dividend: query.of, by: 2 })))
    return Effect.gen(function*() {
      assert.strictEqual(yield* Mediator.send(new Half({ of: 10 })), 5)
    }).pipe(Effect.provide(Layer.provide(HalfHandler, DivideHandler)))
  })

  it.effect("without a handler dies with a sentence that names the request", () =>
    Effect.gen(function*() {
      const send = Mediator.send(new Divide({ dividend: 1, by: 1 })) as Effect.Effect<number, Refused>
      const message = expectHandlerError(yield* Effect.exit(send), "Missing")
      assert.include(message, "HandlerDivide")
    }))

  it.effect("to the handler of another request of that name dies with a sentence that says so", () => {
    class Other extends Query.make<Other>()("HandlerDivide", { success: Schema.Number }) {}
    return Effect.gen(function*() {
      const send = Mediator.send(new Other()) as Effect.Effect<number>
      const message = expectHandlerError(yield* Effect.exit(send), "NameTaken")
      assert.include(message, "HandlerDivide")
    }).pipe(Effect.provide(DivideHandler))
  })

  it.effect("takes an instance of a subclass", () => {
    class Special extends Divide {}
    return Effect.gen(function*() {
      assert.strictEqual(yield* Mediator.send(new Special({ dividend: 6, by: 2 })), 3)
    }).pipe(Effect.provide(DivideHandler))
  })
})

describe("two layers for one request", () => {
  const first = Handler.layer(ReadName, () => Effect.succeed("first"))
  const second = Handler.layer(ReadName, () => Effect.succeed("second"))
  const build = <A, E>(layer: Layer.Layer<A, E>) => Effect.exit(Effect.scoped(Layer.build(layer)))

  it.effect("fail when they are built, with a sentence that names the request and both places", () =>
    Effect.gen(function*() {
      const message = expectHandlerError(yield* build(Layer.merge(first, second)), "ImplementedTwice")
      assert.include(message, "HandlerReadName")
      const places = message.match(/Handler\.test\.ts:\d+/g)!
      assert.strictEqual(new Set(places).size, 2)
    }))

  it.effect("fail also when one of them is part of a group", () =>
    Effect.gen(function*() {
      const group = RequestGroup.make(ReadName, Divide).layer({
        HandlerReadName: () => Effect.succeed("group"),
        HandlerDivide: () => Effect.succeed(1)
      })
      expectHandlerError(yield* build(Layer.merge(first, group)), "ImplementedTwice")
    }))

  it.effect("fail also when one is hidden behind another layer", () =>
    Effect.gen(function*() {
      const hidden = Layer.provide(
        Handler.layer(Divide, () => Effect.map(nameOfDb, () => 1)),
        Layer.merge(second, db(""))
      )
      expectHandlerError(yield* build(Layer.merge(first, hidden)), "ImplementedTwice")
    }))

  it.effect("of two requests of one name fail and say that it is the name", () => {
    class Other extends Query.make<Other>()("HandlerReadName", {}) {}
    return Effect.gen(function*() {
      const layer = Layer.merge(first, Handler.layer(Other, () => Effect.void))
      assert.include(expectHandlerError(yield* build(layer), "NameTaken"), "HandlerReadName")
    })
  })

  it.effect("of equal tags in two namespaces live side by side", () => {
    const A = RequestGroup.namespace("A")
    const B = RequestGroup.namespace("B").namespace("C")
    class CloseA extends A.Query<CloseA>()("Close", { success: Schema.String }) {}
    class CloseB extends B.Query<CloseB>()("Close", { success: Schema.String }) {}
    return Effect.gen(function*() {
      assert.deepStrictEqual([CloseA.id, CloseB.id], ["A/Close", "B/C/Close"])
      assert.strictEqual(yield* Mediator.send(new CloseA()), "a")
      assert.strictEqual(yield* Mediator.send(new CloseB()), "b")
    }).pipe(Effect.provide(Layer.merge(
      Handler.layer(CloseA, () => Effect.succeed("a")),
      Handler.layer(CloseB, () => Effect.succeed("b"))
    )))
  })

  it.effect("the same layer in several places is built once", () =>
    Effect.gen(function*() {
      const built = yield* Ref.make(0)
      const layer = Handler.layer(
        ReadName,
        Effect.as(Ref.update(built, (n) => n + 1), () => Effect.succeed("once"))
      )
      class A extends Query.make<A>()("HandlerUsesOne", { success: Schema.String }) {}
      class B extends Query.make<B>()("HandlerUsesTwo", { success: Schema.String }) {}
      const program = Layer.mergeAll(
        layer,
        Layer.provide(Handler.layer(A, () => Mediator.send(new ReadName())), layer),
        Layer.provide(Handler.layer(B, () => Mediator.send(new ReadName())), layer)
      )
      assert.strictEqual(yield* Effect.provide(Mediator.send(new B()), program), "once")
      assert.strictEqual(yield* Ref.get(built), 1)
    }))

  it.effect("in two builds are independent of each other", () =>
    Effect.gen(function*() {
      const send = Mediator.send(new ReadName())
      const both = yield* Effect.all([Effect.provide(send, first), Effect.provide(send, second)], { concurrency: 2 })
      assert.deepStrictEqual(both, ["first", "second"])
      // the inner provider wins, as with any service
      assert.strictEqual(yield* Effect.provide(Effect.provide(send, second), first), "second")
    }))

  it.effect("a layer that was closed can be built again", () =>
    Effect.gen(function*() {
      const send = Mediator.send(new ReadName())
      yield* Effect.provide(send, first)
      assert.strictEqual(yield* Effect.provide(send, first), "first")
    }))
})

describe("the services of a handler", () => {
  const read = Mediator.send(new ReadName())

  it.effect("are those its layer was built with, never the caller's instead", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Effect.provideService(read, Db, { name: "the caller's" }), "own")
    }).pipe(Effect.provide(Layer.provide(Handler.layer(ReadName, () => nameOfDb), db("own")))))

  it.effect("are those a middleware provides before its own", () => {
    class Provides extends Middleware.make<Provides>()("HandlerProvides", { provides: Db }) {}
    class Read extends Query.make<Read>()("HandlerReadProvided", { success: Schema.String, middleware: [Provides] }) {}
    const layer = Handler.layer(Read, () => nameOfDb).pipe(
      Layer.provide(
        Middleware.layer(
          Provides,
          <A, E>(next: Effect.Effect<A, E, Db>) => Effect.provideService(next, Db, { name: "middleware" })
        )
      ),
      Layer.provide(db("own"))
    )
    return Effect.gen(function*() {
      assert.strictEqual(
        yield* Effect.provideService(Mediator.send(new Read()), Db, { name: "caller" }),
        "middleware"
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("are the caller's where nobody else has one", () => {
    const optional = Effect.map(
      Effect.serviceOption(Db),
      Option.match({ onNone: () => "none", onSome: (it) => it.name })
    )
    return Effect.gen(function*() {
      assert.strictEqual(yield* read, "none")
      assert.strictEqual(yield* Effect.provideService(read, Db, { name: "the caller's" }), "the caller's")
    }).pipe(Effect.provide(Handler.layer(ReadName, () => optional)))
  })

  it.effect("of an inner handler are its own, and the outer's come back behind it", () => {
    class Outer extends Query.make<Outer>()("HandlerOuter", { success: Schema.Array(Schema.String) }) {}
    const inner = Layer.provide(Handler.layer(ReadName, () => nameOfDb), db("inner"))
    const outer = Handler.layer(Outer, () => Effect.all([nameOfDb, Mediator.send(new ReadName()), nameOfDb])).pipe(
      Layer.provide(db("outer")),
      Layer.provide(inner)
    )
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* Mediator.send(new Outer()), ["outer", "inner", "outer"])
    }).pipe(Effect.provide(outer))
  })

  it.effect("the parent span is the caller's, not that of the layer's build", () => {
    const layer = Handler.layer(
      ReadName,
      () => Effect.map(Effect.orDie(Effect.currentParentSpan), (span) => span._tag === "Span" ? span.name : "external")
    ).pipe(Layer.withSpan("build"))
    return Effect.gen(function*() {
      assert.strictEqual(yield* Effect.withSpan(read, "call"), "call")
    }).pipe(Effect.provide(layer))
  })

  it.effect("the scope of the layer's build is not the handler's", () =>
    Effect.gen(function*() {
      const layer = Handler.layer(
        ReadName,
        () => Effect.map(Effect.serviceOption(Scope.Scope), (scope) => Option.isSome(scope) ? "leak" : "none")
      )
      const context = yield* Effect.scoped(Layer.build(layer))
      assert.strictEqual(
        yield* Effect.mapInputContext(
          read,
          (outer: Context.Context<never>) => Context.omit(Scope.Scope)(Context.merge(outer, context)) as typeof context
        ),
        "none"
      )
    }))

  it.effect("an open transaction is the caller's", () => {
    class Add extends Command.make<Add>()("HandlerAdd", {
      failure: Transaction.TransactionError,
      middleware: [Transaction.Transactional]
    }) {}
    const layer = Handler.layer(Add, () => Effect.asVoid(Outbox.add(new RoomClosed({ room: "blue", n: 1 })))).pipe(
      Layer.provide(Transaction.Transactional.layer),
      Layer.provideMerge(Memory)
    )
    return Effect.gen(function*() {
      yield* Effect.ignore(Transaction.run(Effect.zipRight(Mediator.send(new Add()), Effect.fail("no"))))
      assert.deepStrictEqual(yield* pending, [])
    }).pipe(Effect.provide(layer))
  })
})

describe("RequestGroup.layer", () => {
  class A extends Query.make<A>()("GroupA", { success: Schema.Number }) {}
  class B extends Command.make<B>()("GroupB", { payload: { n: Schema.Number } }) {}

  it.effect("implements all requests of the group with one build", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new B({ n: 5 }))
      assert.strictEqual(yield* Mediator.send(new A()), 5)
    }).pipe(Effect.provide(
      RequestGroup.make(A, B).layer(Effect.map(Ref.make(0), (ref) => ({
        GroupA: () => Ref.get(ref),
        GroupB: (command: B) => Ref.set(ref, command.n)
      })))
    )))
})
