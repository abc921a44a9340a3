import {
  Broker,
  Command,
  Event,
  EventEmitter,
  Handler,
  Mediator,
  Outbox,
  Query,
  Retry,
  Subscribers,
  Transaction,
  Transactor
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, FastCheck as fc, Fiber, Layer, Ref, Schedule, Schema, TestClock } from "effect"
import {
  BrokerOut,
  defectOf,
  layerLogs,
  layerScripted,
  Logs,
  Memory,
  pending,
  quiet,
  Rejected,
  RoomClosed,
  Scripted,
  settled
} from "./fixtures.ts"

/** What happened, in order. */
class Seen extends Context.Tag("test/Seen")<Seen, Array<string>>() {}
const see = (what: string) => Effect.flatMap(Seen, (seen) => Effect.sync(() => void seen.push(what)))

/** What was reported. */
class Reports extends Context.Tag("test/Reports")<Reports, Array<EventEmitter.EmissionError>>() {}
const Reporting = Layer.unwrapEffect(Effect.sync(() => {
  const reports: Array<EventEmitter.EmissionError> = []
  return Layer.merge(
    Layer.succeed(Reports, reports),
    EventEmitter.layerPolicy({ onFailure: (error) => Effect.sync(() => void reports.push(error)) })
  )
}))

const Ground = Layer.mergeAll(Layer.sync(Seen, () => []), Memory)

class Happened extends Event.domain<Happened>()("Happened", { n: Schema.Number }) {}
class Followed extends Event.domain<Followed>()("Followed", { n: Schema.Number }) {}

const emit = (n: number) => EventEmitter.emit(new Happened({ n }))

class Failed extends Schema.TaggedError<Failed>()("Failed", {}) {}

/** Commands whose handlers do what the test says, with the services of the sender. */
class Do extends Command.make<Do>()("EmitterDo", { payload: { body: Schema.Any }, failure: Schema.Any }) {}
class DoInTransaction extends Command.make<DoInTransaction>()("EmitterDoInTransaction", {
  payload: { body: Schema.Any },
  failure: Schema.Any,
  middleware: [Transaction.Transactional]
}) {}

const Handlers = Layer.merge(
  Handler.layer(Do, (command) => command.body as Effect.Effect<void, unknown>),
  Handler.layer(DoInTransaction, (command) => command.body as Effect.Effect<void, unknown>)
).pipe(Layer.provide(Transaction.Transactional.layer))

const handle = <R>(body: Effect.Effect<unknown, unknown, R>) =>
  Effect.flatMap(Effect.context<Exclude<R, Transaction.Transaction>>(), () => Mediator.send(new Do({ body })))
const handleInTransaction = <R>(body: Effect.Effect<unknown, unknown, R>) =>
  Effect.flatMap(
    Effect.context<Exclude<R, Transaction.Transaction>>(),
    () => Mediator.send(new DoInTransaction({ body }))
  )

const SeeHappened = Subscribers.layer(Happened, { see: (event) => see(`happened ${event.n}`) })
const Chain = Subscribers.layer(Happened, {
  follow: (event) => Effect.zipRight(see(`happened ${event.n}`), EventEmitter.emit(new Followed({ n: event.n })))
}).pipe(Layer.provideMerge(Subscribers.layer(Followed, { see: (event) => see(`followed ${event.n}`) })))

const withSubscribers = <S, R>(subscribers: Layer.Layer<S, never, R>) =>
  Handlers.pipe(Layer.provideMerge(subscribers), Layer.provideMerge(Ground))

const Program = withSubscribers(SeeHappened)

describe("emit in a handler", () => {
  it.effect("dispatches after the handler has succeeded, in order, before send returns", () =>
    Effect.gen(function*() {
      yield* handle(Effect.gen(function*() {
        yield* emit(1)
        yield* emit(2)
        yield* see("end of the handler")
      }))
      yield* see("send returned")
      assert.deepStrictEqual(yield* Seen, ["end of the handler", "happened 1", "happened 2", "send returned"])
    }).pipe(Effect.provide(Program)))

  it.effect("dispatches nothing if the handler fails or dies", () =>
    Effect.gen(function*() {
      yield* Effect.flip(handle(Effect.zipRight(emit(1), Effect.fail("no"))))
      yield* Effect.exit(handle(Effect.zipRight(emit(2), Effect.die("no"))))
      assert.deepStrictEqual(yield* Seen, [])
    }).pipe(Effect.provide(Program)))

  it.effect("dispatches nothing if the handler is interrupted", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(handle(Effect.zipRight(emit(1), Effect.never)))
      yield* settled
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* Seen, [])
    }).pipe(Effect.provide(Program)))

  it.effect("works in a query's handler as well", () => {
    class Look extends Query.make<Look>()("EmitterLook") {}
    return Effect.gen(function*() {
      yield* Mediator.send(new Look())
      assert.deepStrictEqual(yield* Seen, ["looked", "happened 1"])
    }).pipe(Effect.provide(
      Handler.layer(Look, () => Effect.zipRight(emit(1), see("looked"))).pipe(Layer.provideMerge(Program))
    ))
  })

  it.effect("events of an inner send are dispatched when the inner handler has succeeded", () =>
    Effect.gen(function*() {
      yield* handle(Effect.gen(function*() {
        yield* emit(1)
        yield* handle(emit(2))
        yield* see("end of the outer handler")
      }))
      assert.deepStrictEqual(yield* Seen, ["happened 2", "end of the outer handler", "happened 1"])
    }).pipe(Effect.provide(Program)))

  it.effect("an interruption of the sender while events are dispatched loses none of them", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const slow = withSubscribers(Subscribers.layer(Happened, {
        slow: (event) => Effect.zipRight(Deferred.await(gate), see(`slow ${event.n}`))
      }))
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(handle(Effect.zipRight(emit(1), emit(2))))
        yield* settled
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* settled
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(interrupting)
        assert.deepStrictEqual(yield* Seen, ["slow 1", "slow 2"])
      }).pipe(Effect.provide(slow))
    }))

  for (
    const [where, middleware] of [
      ["", [Retry.by(Schedule.recurs(5))]],
      [" outside the transaction", [Retry.by(Schedule.recurs(5)), Transaction.Transactional]],
      [" inside the transaction", [Transaction.Transactional, Retry.by(Schedule.recurs(5))]]
    ] as const
  ) {
    it.effect(`what an attempt emitted that a retrying middleware${where} repeats is dropped with the attempt`, () => {
      class Flaky extends Command.make<Flaky>()("EmitterFlaky", { failure: Failed, middleware }) {}
      const FlakyHandler = Handler.layer(
        Flaky,
        Effect.map(Ref.make(0), (attempts) => () =>
          Effect.gen(function*() {
            const attempt = yield* Ref.updateAndGet(attempts, (n) => n + 1)
            yield* emit(attempt)
            if (attempt < 3) return yield* new Failed()
          }))
      )
      return Effect.gen(function*() {
        yield* Mediator.send(new Flaky())
        assert.deepStrictEqual(yield* Seen, ["happened 3"])
      }).pipe(Effect.provide(
        FlakyHandler.pipe(Layer.provide(Transaction.Transactional.layer), Layer.provideMerge(Program))
      ))
    })
  }

  it.effect("a forked fiber that emits late emits at once if the handler has succeeded, and not at all if it has failed", () =>
    Effect.gen(function*() {
      const fork = (n: number, end: Effect.Effect<void, string>) =>
        Effect.gen(function*() {
          const go = yield* Deferred.make<void>()
          const late = yield* Deferred.make<Fiber.Fiber<void>>()
          yield* Effect.exit(handle(Effect.gen(function*() {
            const fiber = yield* Effect.forkDaemon(Effect.zipRight(Deferred.await(go), emit(n)))
            yield* Deferred.succeed(late, fiber)
            yield* end
          })))
          yield* see(`sent ${n}`)
          yield* Deferred.succeed(go, undefined)
          yield* Effect.flatMap(Deferred.await(late), Fiber.join)
        })
      yield* fork(1, Effect.void)
      yield* fork(2, Effect.fail("no"))
      assert.deepStrictEqual(yield* Seen, ["sent 1", "happened 1", "sent 2"])
    }).pipe(Effect.provide(Program)))
})

describe("emit in a transaction", () => {
  it.effect("dispatches after the commit", () =>
    Effect.gen(function*() {
      yield* handleInTransaction(Effect.gen(function*() {
        yield* emit(1)
        yield* Outbox.add(new RoomClosed({ room: "blue", n: 1 }))
        yield* see("end of the handler")
      }))
      assert.deepStrictEqual(yield* Seen, ["end of the handler", "committed: 1"])
    }).pipe(Effect.provide(withSubscribers(Subscribers.layer(Happened, {
      count: () => Effect.flatMap(Effect.orDie(pending), (all) => see(`committed: ${all.length}`))
    })))))

  it.effect("dispatches nothing if the transaction is rolled back or its commit fails", () =>
    Effect.gen(function*() {
      yield* Effect.flip(handleInTransaction(Effect.zipRight(emit(1), Effect.fail("no"))))
      const transactor = yield* Transactor.Transactor
      const failing = Transactor.Transactor.of({
        ...transactor,
        begin: (options) =>
          Effect.map(transactor.begin(options), (session) => ({
            ...session,
            commit: () => new Transaction.TransactionError({ reason: "CommitFailed", message: "no" })
          }))
      })
      const error = yield* Effect.flip(
        Effect.provideService(Transaction.run(emit(2)), Transactor.Transactor, failing)
      )
      assert.strictEqual(error.reason, "CommitFailed")
      assert.deepStrictEqual(yield* Seen, [])
    }).pipe(Effect.provide(Program)))

  it.effect("a savepoint that is rolled back drops its own events and no others", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        yield* emit(1)
        yield* Effect.ignore(Transaction.run(Effect.zipRight(emit(2), Effect.fail("no"))))
        yield* Transaction.run(emit(3))
        yield* emit(4)
        yield* see("end")
      }))
      assert.deepStrictEqual(yield* Seen, ["end", "happened 1", "happened 3", "happened 4"])
    }).pipe(Effect.provide(Program)))

  it.effect("a send that fails inside an outer transaction drops its own events and no others", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        yield* emit(1)
        yield* Effect.ignore(handle(Effect.zipRight(emit(2), Effect.fail("no"))))
        yield* Effect.ignore(handleInTransaction(Effect.zipRight(emit(3), Effect.fail("no"))))
      }))
      assert.deepStrictEqual(yield* Seen, ["happened 1"])
    }).pipe(Effect.provide(Program)))

  it.effect("the events of a send inside an outer transaction wait for the outer commit", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        yield* handle(emit(1))
        yield* handleInTransaction(emit(2))
        yield* see("before the outer commit")
      }))
      assert.deepStrictEqual(yield* Seen, ["before the outer commit", "happened 1", "happened 2"])
    }).pipe(Effect.provide(Program)))

  it.effect("the events of a send inside an outer transaction vanish with it", () =>
    Effect.gen(function*() {
      yield* Effect.ignore(Transaction.run(Effect.gen(function*() {
        yield* handle(emit(1))
        yield* handleInTransaction(emit(2))
        return yield* Effect.fail("outer")
      })))
      assert.deepStrictEqual(yield* Seen, [])
    }).pipe(Effect.provide(Program)))

  it.effect("the events of a handler and of the sends inside its transaction are dispatched in their order", () =>
    Effect.gen(function*() {
      yield* handleInTransaction(Effect.gen(function*() {
        yield* emit(1)
        yield* handle(emit(2))
        yield* emit(3)
        yield* handleInTransaction(emit(4))
      }))
      assert.deepStrictEqual(yield* Seen, ["happened 1", "happened 2", "happened 3", "happened 4"])
    }).pipe(Effect.provide(Program)))

  it.effect("a handler that fails after a transaction inside it has committed dispatches nothing of its own", () =>
    Effect.gen(function*() {
      yield* Effect.flip(handle(Effect.zipRight(
        Transaction.run(Effect.zipRight(emit(1), handle(emit(2)))),
        Effect.zipRight(see("committed"), Effect.fail("after the commit"))
      )))
      assert.deepStrictEqual(yield* Seen, ["committed", "happened 2"])
    }).pipe(Effect.provide(Program)))

  it.effect("hooks and events of one transaction happen in the order they were added", () =>
    Effect.gen(function*() {
      const seen = yield* Seen
      yield* Transaction.run(Effect.gen(function*() {
        yield* Transaction.afterCommit(Effect.sync(() => seen.push("hook 1")))
        yield* emit(1)
        yield* Transaction.afterCommit(Effect.sync(() => seen.push("hook 2")))
      }))
      assert.deepStrictEqual(seen, ["hook 1", "happened 1", "hook 2"])
    }).pipe(Effect.provide(Program)))

  it.effect("a subscriber may open a transaction of its own, also when the event was emitted in one", () =>
    Effect.gen(function*() {
      yield* Transaction.run(emit(7))
      yield* handleInTransaction(emit(8))
      assert.deepStrictEqual((yield* pending).map(({ key }) => key), ["7", "8"])
    }).pipe(Effect.provide(withSubscribers(Subscribers.layer(Happened, {
      write: (event) => Effect.orDie(Transaction.run(Outbox.add(new RoomClosed({ room: String(event.n), n: event.n }))))
    })))))
})

describe("follow-ups", () => {
  it.effect("what handlers of events emit in turn follows behind the events emitted so far", () =>
    Effect.gen(function*() {
      yield* handle(Effect.zipRight(emit(1), emit(2)))
      assert.deepStrictEqual(yield* Seen, ["happened 1", "happened 2", "followed 1", "followed 2"])
    }).pipe(Effect.provide(withSubscribers(Chain))))

  it.effect("they follow behind all events of one transaction, too", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.zipRight(emit(1), emit(2)))
      assert.deepStrictEqual(yield* Seen, ["happened 1", "happened 2", "followed 1", "followed 2"])
    }).pipe(Effect.provide(withSubscribers(Chain))))

  it.effect("a subscriber that dies has emitted nothing", () =>
    Effect.gen(function*() {
      yield* handle(emit(1))
      assert.deepStrictEqual(yield* Seen, [])
      assert.deepStrictEqual((yield* Reports).map(({ reason }) => reason), ["SubscriberFailed"])
    }).pipe(Effect.provide(
      withSubscribers(Layer.provideMerge(
        Subscribers.layer(Happened, {
          follow: (event) => Effect.zipRight(EventEmitter.emit(new Followed({ n: event.n })), Effect.die("no"))
        }),
        Subscribers.layer(Followed, { see: (event) => see(`followed ${event.n}`) })
      )).pipe(Layer.provideMerge(Reporting))
    )))

  const Circle = Subscribers.layer(Happened, {
    again: (event) => Effect.zipRight(see(`happened ${event.n}`), EventEmitter.emit(new Followed({ n: event.n })))
  }).pipe(
    Layer.provideMerge(
      Layer.provide(
        Subscribers.layer(Followed, { again: (event) => emit(event.n + 1) }),
        Subscribers.none(Happened)
      )
    )
  )

  it.effect("a circle of events ends at 16, with an error that says so", () =>
    Effect.gen(function*() {
      yield* handle(emit(1))
      assert.deepStrictEqual(yield* Seen, [1, 2, 3, 4, 5, 6, 7, 8].map((n) => `happened ${n}`))
      const [error, ...others] = yield* Reports
      assert.deepStrictEqual(others, [])
      assert.instanceOf(error, EventEmitter.EmissionError)
      assert.strictEqual(error.reason, "TooDeep")
      assert.strictEqual(error.event, "Happened")
      assert.include(error.message, "more than 16")
    }).pipe(Effect.provide(Layer.provideMerge(withSubscribers(Circle), Reporting))))

  it.effect("the limit can be set", () =>
    Effect.gen(function*() {
      yield* handle(emit(1))
      assert.deepStrictEqual(yield* Seen, ["happened 1", "happened 2"])
      assert.isTrue((yield* Logs).some((line) => line.startsWith("ERROR Happened was not dispatched")))
    }).pipe(Effect.provide(
      withSubscribers(Circle).pipe(
        Layer.provideMerge(EventEmitter.layerPolicy({ maxDepth: 4 })),
        Layer.provideMerge(layerLogs)
      )
    )))
})

describe("subscribers", () => {
  const Three = Layer.mergeAll(
    Subscribers.layer(Happened, { one: () => see("one") }),
    Subscribers.layer(Happened, { two: () => Effect.die("boom"), three: () => Effect.interrupt }),
    Subscribers.layer(Happened, { four: () => see("four") })
  )

  it.effect("that die or are interrupted are reported by name and stop neither the others nor the sender", () =>
    Effect.gen(function*() {
      yield* handleInTransaction(Effect.zipRight(
        emit(1),
        Outbox.add(new RoomClosed({ room: "blue", n: 1 }))
      ))
      assert.deepStrictEqual(yield* Seen, ["one", "four"])
      assert.deepStrictEqual(
        (yield* Reports).map(({ event, reason, subscriber }) => ({ event, reason, subscriber })),
        ["two", "three"].map((subscriber) => ({ event: "Happened", reason: "SubscriberFailed" as const, subscriber }))
      )
      assert.strictEqual((yield* Reports)[0]!.cause, "boom")
      assert.strictEqual((yield* pending).length, 1)
    }).pipe(Effect.provide(Layer.provideMerge(withSubscribers(Three), Reporting))))

  it.effect("are logged as errors when they fail, unless there is a policy", () =>
    Effect.gen(function*() {
      yield* emit(1)
      const errors = (yield* Logs).filter((line) => line.startsWith("ERROR"))
      assert.strictEqual(errors.length, 2)
      assert.include(errors[0], "The subscriber two of Happened failed")
      assert.include(errors[0], "boom")
    }).pipe(Effect.provide(Layer.provideMerge(withSubscribers(Three), layerLogs))))

  it.effect("a reporter that dies harms nobody", () =>
    Effect.gen(function*() {
      yield* handle(emit(1))
      assert.deepStrictEqual(yield* Seen, ["one", "four"])
    }).pipe(Effect.provide(
      withSubscribers(Three).pipe(
        Layer.provideMerge(EventEmitter.layerPolicy({ onFailure: () => Effect.die("the reporter") })),
        Layer.provideMerge(quiet)
      )
    )))

  it.effect("that take too long can be timed out", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(handle(emit(1)))
      yield* settled
      yield* Effect.yieldNow()
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Seen, ["timed out"])
    }).pipe(Effect.provide(withSubscribers(Subscribers.layer(Happened, {
      slow: () =>
        Effect.never.pipe(
          Effect.timeoutOption("1 second"),
          Effect.zipRight(see("timed out"))
        )
    })))))

  for (const [policy, expected] of [[undefined, 1], [2, 2], ["unbounded", 5]] as const) {
    it.effect(`of one event run ${expected} at a time with the concurrency ${policy}, and events one after the other`, () =>
      Effect.gen(function*() {
        const running = yield* Ref.make({ now: 0, most: 0 })
        const events = yield* Ref.make(new Set<number>())
        const busy = (event: Happened) =>
          Effect.gen(function*() {
            yield* Ref.update(events, (all) => all.add(event.n))
            yield* Ref.update(running, ({ most, now }) => ({ now: now + 1, most: Math.max(most, now + 1) }))
            yield* settled
            yield* Ref.update(running, ({ most, now }) => ({ now: now - 1, most }))
            assert.strictEqual(Math.max(...yield* Ref.get(events)), event.n)
          })
        const five = Subscribers.layer(Happened, { a: busy, b: busy, c: busy, d: busy, e: busy })
        yield* handle(Effect.zipRight(emit(1), emit(2))).pipe(Effect.provide(
          withSubscribers(five).pipe(
            Layer.provideMerge(EventEmitter.layerPolicy(policy === undefined ? {} : { concurrency: policy }))
          )
        ))
        assert.deepStrictEqual(yield* Ref.get(running), { now: 0, most: expected })
      }))
  }
})

describe("emit outside of handlers and transactions", () => {
  it.effect("dispatches at once", () =>
    Effect.gen(function*() {
      yield* emit(1)
      yield* see("emitted")
      assert.deepStrictEqual(yield* Seen, ["happened 1", "followed 1", "emitted"])
    }).pipe(Effect.provide(withSubscribers(Chain))))

  it.effect("an event without subscribers is nothing", () => emit(1).pipe(Effect.provide(Subscribers.none(Happened))))
})

describe("emit of notification and ECST events", () => {
  const Straight = Handlers.pipe(Layer.provideMerge(Ground), Layer.provideMerge(layerScripted))
  const announce = (n: number) => EventEmitter.emit(new RoomClosed({ room: "blue", n }))

  it.effect("goes straight to the broker once the handler has succeeded and the transaction has committed", () =>
    Effect.gen(function*() {
      const { delivered } = yield* Scripted
      yield* handleInTransaction(Effect.gen(function*() {
        yield* announce(1)
        assert.strictEqual(delivered.length, 0)
      }))
      yield* Effect.ignore(handleInTransaction(Effect.zipRight(announce(2), Effect.fail("no"))))
      assert.deepStrictEqual(delivered.map(({ key, name, topic }) => ({ key, name, topic })), [
        { key: "blue", name: "room_closed", topic: "rooms" }
      ])
      assert.deepStrictEqual(yield* pending, [])
    }).pipe(Effect.provide(Straight)))

  it.effect("is reported when the broker did not take it, and changes nothing for the handler", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      script.answer = () => BrokerOut
      yield* handle(announce(1))
      script.answer = () => Rejected()
      yield* handle(announce(2))
      script.publish = () => Effect.succeed([])
      yield* handle(announce(3))
      script.publish = () => Effect.die("the adapter")
      yield* handle(announce(4))
      assert.deepStrictEqual(
        (yield* Reports).map(({ event, reason }) => ({ event, reason })),
        [1, 2, 3, 4].map(() => ({ event: "room_closed", reason: "NotDelivered" as const }))
      )
    }).pipe(Effect.provide(Layer.provideMerge(Straight, Reporting))))

  it.effect("fails at once if the event does not fit its schema", () =>
    Effect.gen(function*() {
      const { batches } = yield* Scripted
      const wrong = new RoomClosed({ room: "blue", n: "one" as unknown as number }, { disableValidation: true })
      const error = yield* Effect.flip(EventEmitter.emit(wrong))
      assert.strictEqual(error.reason, "Invalid")
      assert.deepStrictEqual(batches, [])
    }).pipe(Effect.provide(Straight)))

  it.effect("keeps its order among the domain events", () =>
    Effect.gen(function*() {
      const script = yield* Scripted
      const seen = yield* Seen
      script.answer = (message) => {
        seen.push(message.name)
        return Broker.Outcome.Delivered()
      }
      yield* handle(Effect.zipRight(emit(1), Effect.zipRight(announce(1), emit(2))))
      assert.deepStrictEqual(seen, ["happened 1", "room_closed", "happened 2"])
    }).pipe(Effect.provide(
      Handlers.pipe(
        Layer.provideMerge(SeeHappened),
        Layer.provideMerge(Ground),
        Layer.provideMerge(layerScripted)
      )
    )))
})

describe("emitInTransaction", () => {
  const inTransaction = (n: number) => EventEmitter.emitInTransaction(new Happened({ n }))
  const Writing = Layer.merge(
    Subscribers.layer(Happened, {
      write: (event) => Effect.orDie(Transaction.run(Outbox.add(new RoomClosed({ room: "write", n: event.n })))),
      second: (event) => event.n === 13 ? Effect.die("unlucky") : see(`second ${event.n}`)
    }),
    Subscribers.none(Followed)
  )

  it.effect("runs the handlers inside the transaction, one after the other, before it goes on", () =>
    Effect.gen(function*() {
      yield* handleInTransaction(Effect.gen(function*() {
        yield* inTransaction(1)
        yield* see("behind")
        assert.deepStrictEqual(yield* pending, [])
      }))
      assert.deepStrictEqual(yield* Seen, ["second 1", "behind"])
      assert.strictEqual((yield* pending).length, 1)
    }).pipe(Effect.provide(withSubscribers(Writing))))

  it.effect("what its handlers added vanishes with the transaction", () =>
    Effect.gen(function*() {
      yield* Effect.ignore(Transaction.run(Effect.zipRight(inTransaction(1), Effect.fail("no"))))
      assert.deepStrictEqual(yield* pending, [])
    }).pipe(Effect.provide(withSubscribers(Writing))))

  it.effect("a handler that dies rolls the transaction back", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(handleInTransaction(inTransaction(13)))
      assert.strictEqual(defectOf(exit), "unlucky")
      assert.deepStrictEqual(yield* pending, [])
    }).pipe(Effect.provide(withSubscribers(Writing))))

  it.effect("what its handlers emit is dispatched after the commit", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.zipRight(inTransaction(1), see("end")))
      yield* Effect.ignore(Transaction.run(Effect.zipRight(inTransaction(2), Effect.fail("no"))))
      assert.deepStrictEqual(yield* Seen, ["happened 1", "end", "followed 1", "happened 2"])
    }).pipe(Effect.provide(withSubscribers(Chain))))

  it.effect("a circle dies with an error that says so, instead of recursing for ever", () => {
    const Circle = Subscribers.layer(Happened, {
      again: (event) => Effect.orDie(Transaction.run(EventEmitter.emitInTransaction(new Followed({ n: event.n }))))
    }).pipe(Layer.provideMerge(Layer.provide(
      Subscribers.layer(Followed, { again: (event) => Effect.orDie(Transaction.run(inTransaction(event.n + 1))) }),
      Subscribers.none(Happened)
    )))
    return Effect.gen(function*() {
      const defect = defectOf(yield* Effect.exit(Transaction.run(inTransaction(1))))
      assert.instanceOf(defect, EventEmitter.EmissionError)
      assert.strictEqual(defect.reason, "TooDeep")
    }).pipe(Effect.provide(withSubscribers(Circle)))
  })
})

describe("order", () => {
  // what a handler does: emit, or something nested that succeeds or fails
  type Step =
    | { readonly _tag: "emit"; readonly n: number }
    | {
      readonly _tag: "handle" | "savepoint"
      readonly fails: boolean
      readonly steps: ReadonlyArray<Step>
    }
  const { steps } = fc.letrec<{ step: Step; steps: ReadonlyArray<Step> }>((tie) => ({
    step: fc.oneof(
      { depthSize: "small" },
      fc.record({ _tag: fc.constant("emit" as const), n: fc.nat(999) }),
      fc.record({
        _tag: fc.constantFrom("handle" as const, "savepoint" as const),
        fails: fc.boolean(),
        steps: tie("steps")
      })
    ),
    steps: fc.array(tie("step"), { maxLength: 5 })
  }))

  /** A savepoint undoes all inside it, a handler that fails what it emitted itself. */
  const surviving = (all: ReadonlyArray<Step>, handlerSucceeds = true): ReadonlyArray<number> =>
    all.flatMap((step) => {
      if (step._tag === "emit") return handlerSucceeds ? [step.n] : []
      if (step._tag === "handle") return surviving(step.steps, !step.fails)
      return step.fails ? [] : surviving(step.steps, handlerSucceeds)
    })

  const perform = (all: ReadonlyArray<Step>): Effect.Effect<void, unknown, any> =>
    Effect.forEach(all, (step) => {
      if (step._tag === "emit") return emit(step.n)
      const body = Effect.zipRight(perform(step.steps), step.fails ? Effect.fail("no") : Effect.void)
      return Effect.ignore(step._tag === "handle" ? handle(body) : Transaction.run(body))
    }, { discard: true })

  it.prop(
    "events that were not rolled back are dispatched once each in the order they were emitted, " +
      "whatever succeeds and fails inside one transaction",
    [steps],
    ([all]) => {
      const seen = Effect.runSync(
        Effect.zipRight(Transaction.run(perform(all)), Seen).pipe(Effect.provide(Program)) as Effect.Effect<
          Array<string>,
          unknown
        >
      )
      assert.deepStrictEqual(seen, surviving(all).map((n) => `happened ${n}`))
    },
    { fastCheck: { numRuns: 200 } }
  )
})
