import {
  Command,
  Event,
  EventEmitter,
  Handler,
  Logging,
  Mediator,
  Metrics,
  Middleware,
  Query,
  RequestGroup,
  Retry,
  Subscribers,
  Timeout,
  Tracing
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Metric,
  MetricState,
  Option,
  Ref,
  Schedule,
  Schema,
  TestClock,
  Tracer
} from "effect"
import { layerLogs, Logs, settled } from "./fixtures.ts"

class Seen extends Context.Tag("test/Seen")<Seen, Array<string>>() {}
const layerSeen = Layer.sync(Seen, () => [])

class Refused extends Schema.TaggedError<Refused>()("Refused", { secret: Schema.String }) {}

describe("order", () => {
  const named = <const Name extends string>(name: Name) =>
    Middleware.inline({
      name,
      wrap: <A, E>(next: Effect.Effect<A, E>, call: Middleware.Call): Effect.Effect<A, E> =>
        Effect.flatMap(Effect.serviceOption(Seen), (seen) =>
          Effect.sync(() => {
            if (Option.isSome(seen)) seen.value.push(`${name} ${call.kind} ${call.name} ${call.handler}`)
          }).pipe(Effect.zipRight(next)))
    })
  const Outer = RequestGroup.namespace("Outer", { middleware: [named("outer 1"), named("outer 2")] })
  const Inner = Outer.namespace("Inner", { middleware: [named("inner")] })
  class Look extends Inner.Query<Look>()("Look", { middleware: [named("own 1"), named("own 2")] }) {}
  const LookHandler = Handler.layer(Look, () => Effect.map(Seen, (seen) => void seen.push("handler")))

  it.effect("is global, then the namespaces from the root inwards, then the request's own, then the handler", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new Look())
      assert.deepStrictEqual(yield* Seen, [
        ...["global 1", "global 2", "outer 1", "outer 2", "inner", "own 1", "own 2"].map((name) =>
          `${name} query Outer/Inner/Look Outer/Inner/Look`
        ),
        "handler"
      ])
    }).pipe(Effect.provide(
      LookHandler.pipe(
        Layer.provideMerge(Middleware.layerGlobal(named("global 1"), named("global 2"))),
        Layer.provideMerge(layerSeen)
      )
    )))

  it.effect("global middleware of several layers adds up", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new Look())
      const globals = (yield* Seen).filter((line) => line.startsWith("global")).map((line) => line.slice(0, 8))
      assert.deepStrictEqual(globals.sort(), ["global 1", "global 2"])
    }).pipe(Effect.provide(
      LookHandler.pipe(
        Layer.provideMerge(Middleware.layerGlobal(named("global 1"))),
        Layer.provideMerge(Middleware.layerGlobal(named("global 2"))),
        Layer.provideMerge(layerSeen)
      )
    )))

  it.effect("global middleware reaches handlers beside whose layer it was merged, and event handlers", () => {
    class Happened extends Event.domain<Happened>()("MiddlewareHappened", {}) {}
    return Effect.gen(function*() {
      yield* Mediator.send(new Look())
      yield* EventEmitter.emit(new Happened())
      assert.deepStrictEqual((yield* Seen).filter((line) => line.startsWith("global")), [
        "global query Outer/Inner/Look Outer/Inner/Look",
        "global event MiddlewareHappened first"
      ])
    }).pipe(Effect.provide(
      Layer.mergeAll(
        LookHandler,
        Subscribers.layer(Happened, { first: () => Effect.void }),
        Middleware.layerGlobal(named("global"))
      ).pipe(Layer.provideMerge(layerSeen))
    ))
  })

  it.effect("of a subscriber is its list's", () => {
    class Happened extends Event.domain<Happened>()("MiddlewareHappenedListed", {}) {}
    return Effect.gen(function*() {
      yield* EventEmitter.emit(new Happened())
      assert.deepStrictEqual(
        yield* Seen,
        ["one", "two"].map((name) => `${name} event MiddlewareHappenedListed first`)
      )
    }).pipe(Effect.provide(
      Subscribers.layer(Happened, { first: () => Effect.void }, { middleware: [named("one"), named("two")] }).pipe(
        Layer.provideMerge(layerSeen)
      )
    ))
  })
})

describe("a middleware", () => {
  class User extends Context.Tag("test/User")<User, string>() {}
  class Auth extends Middleware.make<Auth>()("Auth", { provides: User, failure: Refused }) {}
  class WhoAmI extends Query.make<WhoAmI>()("MiddlewareWhoAmI", { success: Schema.String, middleware: [Auth] }) {}
  class Registry extends Context.Tag("test/Registry")<Registry, Ref.Ref<string>>() {}
  const layerRegistry = (name: string) => Layer.effect(Registry, Ref.make(name))

  const AuthLayer = Middleware.layer(
    Auth,
    Effect.map(
      Registry,
      (registry): Middleware.Wrap<User, Refused> =>
      <A, E>(next: Effect.Effect<A, E, User>): Effect.Effect<A, E | Refused> =>
        Effect.flatMap(
          Effect.filterOrFail(Ref.get(registry), (name) => name !== "", () => new Refused({ secret: "" })),
          (name) => Effect.provideService(next, User, name)
        )
    )
  )
  const program = (name: string) =>
    Handler.layer(WhoAmI, () => User).pipe(Layer.provide(AuthLayer), Layer.provide(layerRegistry(name)))

  it.effect("provides services to the handler", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Mediator.send(new WhoAmI()), "ada")
    }).pipe(Effect.provide(program("ada"))))

  it.effect("may fail instead of running the handler, and its failure is part of the request's schema", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Mediator.send(new WhoAmI()))
      assert.deepStrictEqual(error, new Refused({ secret: "" }))
      assert.isTrue(Schema.is(WhoAmI.failure)(error))
    }).pipe(Effect.provide(program(""))))

  it.effect("has the services its layer was built with, not the caller's", () =>
    Effect.gen(function*() {
      const registry = yield* Ref.make("the caller's")
      assert.strictEqual(yield* Effect.provideService(Mediator.send(new WhoAmI()), Registry, registry), "ada")
    }).pipe(Effect.provide(program("ada"))))
})

class Ask extends Query.make<Ask>()("MiddlewareAsk", {
  payload: { secret: Schema.String, does: Schema.Literal("succeed", "fail", "die", "wait") },
  success: Schema.String,
  failure: Refused
}) {}
const AskHandler = Handler.layer(Ask, ({ does, secret }) =>
  does === "succeed"
    ? Effect.as(Effect.logDebug("inside"), secret)
    : does === "fail"
    ? new Refused({ secret })
    : does === "die"
    ? Effect.die(new Error("a bug"))
    : Effect.never)
const ask = (does: Ask["does"]) => Effect.exit(Mediator.send(new Ask({ secret: "hunter2", does })))

describe("Logging", () => {
  const program = (options?: Parameters<typeof Logging.calls>[0]) =>
    AskHandler.pipe(
      Layer.provideMerge(Middleware.layerGlobal(Logging.calls(options))),
      Layer.provideMerge(layerLogs),
      Layer.provideMerge(Logger.minimumLogLevel(LogLevel.All))
    )

  it.effect("says how each call ended, and annotates what is logged inside", () =>
    Effect.gen(function*() {
      yield* ask("succeed")
      yield* ask("fail")
      yield* ask("die")
      const fiber = yield* Effect.fork(ask("wait"))
      yield* settled
      yield* Fiber.interrupt(fiber)
      const lines = yield* Logs
      assert.deepStrictEqual(lines.map((line) => line.split(" {")[0]!.split("\n")[0]), [
        "DEBUG inside",
        "DEBUG MiddlewareAsk succeeded",
        "INFO MiddlewareAsk failed with Refused",
        lines[3]!.split(" {")[0]!.split("\n")[0]!,
        "INFO MiddlewareAsk was interrupted"
      ])
      assert.isTrue(lines[3]!.startsWith("ERROR MiddlewareAsk died"))
      assert.include(lines[3], "a bug")
      for (const line of lines) {
        assert.include(line, "\"kind\":\"query\"")
        assert.include(line, "\"name\":\"MiddlewareAsk\"")
      }
      assert.include(lines[1], "\"milliseconds\":0")
    }).pipe(Effect.provide(program())))

  it.effect("logs nothing of payloads, answers and failures", () =>
    Effect.gen(function*() {
      for (const does of ["succeed", "fail", "die"] as const) yield* ask(does)
      assert.strictEqual((yield* Logs).length, 4)
      assert.notInclude((yield* Logs).join("\n"), "hunter2")
    }).pipe(Effect.provide(program())))

  it.effect("logs successes at the level it was given", () =>
    Effect.gen(function*() {
      yield* ask("succeed")
      assert.isTrue((yield* Logs).some((line) => line.startsWith("INFO MiddlewareAsk succeeded")))
    }).pipe(Effect.provide(program({ level: LogLevel.Info }))))
})

describe("Metrics", () => {
  it.effect("counts calls by their outcome, and measures them by the clock", () =>
    Effect.gen(function*() {
      /** The state of a metric for this request, by its labels in whatever order. */
      const state = (name: string, outcome?: string) =>
        Effect.map(Metric.snapshot, (pairs) =>
          pairs.find(({ metricKey }) =>
            metricKey.name === name &&
            metricKey.tags.some(({ key, value }) => key === "handler" && value === "MiddlewareAsk") &&
            metricKey.tags.some(({ key, value }) => key === "kind" && value === "query") &&
            metricKey.tags.some(({ key, value }) => key === "name" && value === "MiddlewareAsk") &&
            (outcome === undefined || metricKey.tags.some(({ key, value }) => key === "outcome" && value === outcome))
          )?.metricState)
      const counts = Effect.forEach(["success", "failure", "defect", "interrupted"], (outcome) =>
        Effect.map(state("cqrs_handled_total", outcome), (found) =>
          MetricState.isCounterState(found) ? Number(found.count) : 0))
      const sum = Effect.map(state("cqrs_handling_seconds"), (found) =>
        MetricState.isHistogramState(found) ? found.sum : 0)
      const before = yield* counts
      const sumBefore = yield* sum
      for (const does of ["succeed", "succeed", "fail", "die"] as const) {
        yield* ask(does)
      }
      const fiber = yield* Effect.fork(ask("wait"))
      yield* settled
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(fiber)
      const after = yield* counts
      assert.deepStrictEqual(
        after.map((count, i) =>
          count - before[i]!
        ),
        [2, 1, 1, 1]
      )
      assert.strictEqual((yield* sum) - sumBefore, 3)
    }).pipe(Effect.provide(Layer.provideMerge(AskHandler, Middleware.layerGlobal(Metrics.calls)))))
})

describe("Timeout", () => {
  class Slow extends Query.make<Slow>()("MiddlewareSlow", { middleware: [Timeout.after("2 seconds")] }) {}

  it.effect("ends a handler that takes too long with a typed error, once its interruption is complete", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Effect.provide(
        Mediator.send(new Slow()),
        Handler.layer(Slow, () => Effect.onInterrupt(Effect.never, () => Deferred.await(gate)))
      ))
      yield* settled
      yield* TestClock.adjust("1999 millis")
      yield* settled
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* settled
      assert.isNull(fiber.unsafePoll())
      yield* Deferred.succeed(gate, undefined)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.instanceOf(error, Timeout.TimedOut)
      assert.strictEqual(error.name, "MiddlewareSlow")
      assert.strictEqual(error.message, "MiddlewareSlow took longer than 2s")
      assert.isTrue(Schema.is(Slow.failure)(error))
    }))

  it.effect("leaves a handler alone that is in time", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.provide(
        Mediator.send(new Slow()),
        Handler.layer(Slow, () => Effect.sleep("1999 millis"))
      ))
      yield* settled
      yield* TestClock.adjust("1999 millis")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
    }))
})

describe("Retry", () => {
  const attemptsOf = (
    does: Effect.Effect<void, Refused>,
    options?: Parameters<typeof Retry.by>[1]
  ) =>
    Effect.gen(function*() {
      class Flaky extends Query.make<Flaky>()("MiddlewareFlaky", {
        failure: Refused,
        middleware: [Retry.by(Schedule.recurs(3), options)]
      }) {}
      const attempts = yield* Ref.make(0)
      yield* Effect.exit(Effect.provide(
        Mediator.send(new Flaky()),
        Handler.layer(Flaky, () => Effect.zipRight(Ref.update(attempts, (n) => n + 1), does))
      ))
      return yield* Ref.get(attempts)
    })

  it.effect("repeats failures by the schedule, and neither successes nor defects nor interruptions", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* attemptsOf(new Refused({ secret: "" })), 4)
      assert.strictEqual(yield* attemptsOf(Effect.void), 1)
      assert.strictEqual(yield* attemptsOf(Effect.die("a bug")), 1)
      assert.strictEqual(yield* attemptsOf(Effect.interrupt), 1)
    }))

  it.effect("repeats only the failures it was told to", () =>
    Effect.gen(function*() {
      const when = (failure: unknown) => failure instanceof Refused && failure.secret === "again"
      assert.strictEqual(yield* attemptsOf(new Refused({ secret: "again" }), { when }), 4)
      assert.strictEqual(yield* attemptsOf(new Refused({ secret: "no" }), { when }), 1)
    }))
})

describe("two middlewares of one name", () => {
  const define = () => {
    class Auth extends Middleware.make<Auth>()("Auth", { failure: Refused }) {}
    return Auth
  }
  const admin = define()
  const open = define()
  class Wipe extends Command.make<Wipe>()("MiddlewareWipe", { middleware: [admin] }) {}
  class Look extends Query.make<Look>()("MiddlewareLook", { middleware: [open] }) {}
  const Handlers = Layer.merge(Handler.layer(Wipe, () => Effect.void), Handler.layer(Look, () => Effect.void))
  const Closed = Middleware.layer(
    admin,
    <A, E>(_: Effect.Effect<A, E>): Effect.Effect<A, E | Refused> => Effect.fail(new Refused({ secret: "" }))
  )
  const Open = Middleware.layer(open, <A, E>(next: Effect.Effect<A, E>): Effect.Effect<A, E> => next)

  for (const [order, layers] of [["first", Layer.merge(Closed, Open)], ["last", Layer.merge(Open, Closed)]] as const) {
    it.effect(`each wrap their own requests, whichever layer comes ${order}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(Mediator.send(new Wipe())))._tag, "Refused")
        yield* Mediator.send(new Look())
      }).pipe(Effect.provide(Layer.provide(Handlers, layers))))
  }

  it.effect("never stand in for each other: without its own layer a handler is not built", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.provide(Handlers, Open as Layer.Layer<any>))))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "Middleware/Auth")
    }))

  it("keep the name", () => {
    assert.strictEqual(admin.name, "Auth")
    assert.strictEqual(open.name, "Auth")
  })
})

describe("tracing", () => {
  /** A tracer that listens. */
  const listening = Effect.sync(() => {
    const spans: Array<{ readonly name: string; readonly parent: string | undefined; readonly span: Tracer.Span }> = []
    const native = Context.get(Context.empty().pipe(Context.add(Tracer.Tracer, nativeTracer)), Tracer.Tracer)
    const tracer = Tracer.make({
      span: (...args) => {
        const span = native.span(...args)
        const parent = Option.getOrUndefined(args[1])
        spans.push({ name: args[0], parent: parent?._tag === "Span" ? parent.name : undefined, span })
        return span
      },
      context: (f) => f()
    })
    return { spans, tracer }
  })

  class Traced extends Query.make<Traced>()("MiddlewareTraced", {
    success: Schema.Boolean,
    middleware: [Tracing.span({ attributes: (call) => ({ called: call.name }) })]
  }) {}
  const TracedHandler = Handler.layer(Traced, () => Effect.map(Effect.option(Effect.currentSpan), Option.isSome))

  it.effect("send opens a span named after the request, and Tracing one inside it", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* listening
      yield* Effect.withTracer(Mediator.send(new Traced()), tracer)
      assert.deepStrictEqual(spans.map(({ name, parent }) => [name, parent]), [
        ["Mediator.send MiddlewareTraced", undefined],
        ["handle MiddlewareTraced", "Mediator.send MiddlewareTraced"]
      ])
      assert.deepStrictEqual(Object.fromEntries(spans[0]!.span.attributes), {
        "cqrs.request": "MiddlewareTraced",
        "cqrs.kind": "query"
      })
      assert.strictEqual(spans[1]!.span.attributes.get("called"), "MiddlewareTraced")
      for (const { span } of spans) assert.strictEqual(span.status._tag, "Ended")
    }).pipe(Effect.provide(TracedHandler)))

  it.effect("opens no spans where no tracer listens", () =>
    Effect.gen(function*() {
      assert.isFalse(yield* Mediator.send(new Traced()))
    }).pipe(Effect.provide(TracedHandler)))
})

const nativeTracer: Tracer.Tracer = Effect.runSync(Effect.tracer)
