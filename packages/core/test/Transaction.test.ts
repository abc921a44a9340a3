import {
  Command,
  Event,
  EventEmitter,
  Handler,
  Mediator,
  Outbox,
  OutboxStorage,
  Subscribers,
  Transaction,
  Transactor
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Data,
  Deferred,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Layer,
  Ref,
  Schedule,
  Schema,
  Scope
} from "effect"
import { TransactionJournal } from "../src/internal/transaction.ts"
import { defectOf, failureOf, layerLogs, Logs, Memory, message, pending, RoomClosed, settled } from "./fixtures.ts"

const closed = (n: number, room = "blue") => new RoomClosed({ room, n })

/** The numbers of the events that are committed. */
const committed = Effect.map(
  pending,
  (messages) => messages.map((one) => JSON.parse(new TextDecoder().decode(one.payload)).n as number)
)

class Conflict extends Data.TaggedError("Conflict")<{}> {}
class Refused extends Data.TaggedError("Refused")<{}> {}

const failed = (reason: Transaction.TransactionError["reason"]) =>
  new Transaction.TransactionError({ reason, message: reason })

/** A transactor whose statements are listed, and fail when they are told to. */
class Statements extends Context.Tag("test/Statements")<Statements, {
  readonly list: Array<string>
  readonly failing: Map<string, Transaction.TransactionError>
  stored: ReadonlyArray<string>
}>() {}

const layerFake = Layer.effectContext(Effect.sync(() => {
  const statements: Context.Tag.Service<Statements> = { list: [], failing: new Map(), stored: [] }
  const say = (statement: string) =>
    Effect.suspend(() => {
      statements.list.push(statement)
      const error = statements.failing.get(statement)
      return error === undefined ? Effect.void : Effect.fail(error)
    })
  // savepoints are numbered in this process, tests name them by their order
  const names: Array<string> = []
  const nameOf = (name: string) => {
    if (!names.includes(name)) names.push(name)
    return `s${names.indexOf(name) + 1}`
  }
  const transactor = Transactor.Transactor.of({
    begin: ({ isolation, scope }) =>
      Scope.extend(
        Effect.acquireRelease(
          Effect.as(
            say(isolation === undefined ? "begin" : `begin ${isolation}`),
            {
              join: () => ({ services: Context.empty(), refs: [] }),
              savepoint: (name) => say(`savepoint ${nameOf(name)}`),
              release: (name) => say(`release ${nameOf(name)}`),
              rollbackTo: (name) => say(`rollback to ${nameOf(name)}`),
              commit: (messages) =>
                Effect.zipRight(
                  say("commit"),
                  Effect.sync(() => {
                    statements.stored = messages.map((one) => one.name)
                  })
                ),
              rollback: Effect.orDie(say("rollback"))
            } satisfies Transactor.Session
          ),
          () => Effect.orDie(say("close"))
        ),
        scope
      ),
    isConflict: (error) =>
      error instanceof Conflict ||
      (error instanceof Transaction.TransactionError && (error.reason === "RolledBack" ||
        error.reason === "OutcomeUnknown"))
  })
  return Context.make(Statements, statements).pipe(Context.add(Transactor.Transactor, transactor))
}))

describe("Transaction over memory", () => {
  it.effect("stores the events of a transaction that succeeds, in the order of their adding", () =>
    Effect.gen(function*() {
      const answer = yield* Transaction.run(Effect.gen(function*() {
        yield* Outbox.add(closed(1))
        yield* Outbox.add(closed(2))
        assert.deepStrictEqual(yield* committed, [])
        return "answer"
      }))
      assert.strictEqual(answer, "answer")
      assert.deepStrictEqual(yield* committed, [1, 2])
    }).pipe(Effect.provide(Memory)))

  it.effect("stores nothing of a transaction that fails, and fails with the failure", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Transaction.run(Effect.zipRight(Outbox.add(closed(1)), Effect.fail("no"))))
      assert.strictEqual(failureOf(exit), "no")
      assert.deepStrictEqual(yield* committed, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("stores nothing of a transaction that dies, and dies with the defect", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Transaction.run(Effect.zipRight(Outbox.add(closed(1)), Effect.die("boom"))))
      assert.strictEqual(defectOf(exit), "boom")
      assert.deepStrictEqual(yield* committed, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("stores nothing of a transaction that is interrupted", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Transaction.run(Effect.zipRight(Outbox.add(closed(1)), Effect.never)))
      yield* settled
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.deepStrictEqual(yield* committed, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("a nested run that fails takes its events with it, and the outer goes on", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        yield* Outbox.add(closed(1))
        yield* Effect.ignore(Transaction.run(Effect.gen(function*() {
          yield* Outbox.add(closed(2))
          yield* Transaction.run(Outbox.add(closed(3)))
          return yield* new Refused()
        })))
        yield* Transaction.run(Outbox.add(closed(4)))
        yield* Outbox.add(closed(5))
      }))
      assert.deepStrictEqual(yield* committed, [1, 4, 5])
    }).pipe(Effect.provide(Memory)))

  it.effect("a nested run that succeeded is undone with the outer", () =>
    Effect.gen(function*() {
      yield* Effect.ignore(
        Transaction.run(Effect.zipRight(Transaction.run(Outbox.add(closed(1))), Effect.fail("outer")))
      )
      assert.deepStrictEqual(yield* committed, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("concurrent nested runs take turns, and the failure of one does not erase the others", () =>
    Effect.gen(function*() {
      const inside = yield* Ref.make(0)
      yield* Transaction.run(
        Effect.forEach([1, 2, 3, 4, 5, 6], (n) =>
          Effect.ignore(Transaction.run(Effect.gen(function*() {
            assert.strictEqual(yield* Ref.updateAndGet(inside, (count) => count + 1), 1)
            yield* Outbox.add(closed(n))
            yield* Effect.yieldNow()
            yield* Effect.yieldNow()
            yield* Ref.update(inside, (count) => count - 1)
            if (n % 3 === 0) return yield* new Refused()
          }))), { concurrency: "unbounded", discard: true })
      )
      assert.deepStrictEqual(yield* committed, [1, 2, 4, 5])
    }).pipe(Effect.provide(Memory)))

  it.effect("interrupting a nested run undoes it and leaves its turn to the next", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        const first = yield* Effect.fork(Transaction.run(Effect.zipRight(Outbox.add(closed(1)), Effect.never)))
        yield* settled
        const second = yield* Effect.fork(Transaction.run(Outbox.add(closed(2))))
        yield* settled
        yield* Fiber.interrupt(first)
        yield* Fiber.join(second)
      }))
      assert.deepStrictEqual(yield* committed, [2])
    }).pipe(Effect.provide(Memory)))

  it.effect("a fiber that outlives its transaction gets Ended for whatever it does with it", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const late = yield* Transaction.run(Effect.forkDaemon(Effect.zipRight(
        Deferred.await(go),
        Effect.all([
          Effect.flip(Outbox.add(closed(1))),
          Effect.flip(Transaction.afterCommit(Effect.void)),
          Effect.flip(Transaction.afterRollback(Effect.void)),
          Effect.flip(Transaction.run(Outbox.add(closed(2)))),
          Effect.flip(EventEmitter.emitInTransaction(new Happened({ n: 1 })))
        ])
      )))
      yield* Transaction.run(Effect.gen(function*() {
        yield* Deferred.succeed(go, undefined)
        const errors = yield* Fiber.join(late)
        assert.deepStrictEqual(
          errors.map((error) => error instanceof Transaction.TransactionError ? error.reason : error),
          ["Ended", "Ended", "Ended", "Ended", "Ended"]
        )
        yield* Outbox.add(closed(3))
      }))
      assert.deepStrictEqual(yield* committed, [3])
    }).pipe(Effect.provide(Layer.merge(Memory, Subscribers.none(Happened)))))

  it.effect("a fiber that outlives a nested run gets Ended, while the outer is still open", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        const late = yield* Transaction.run(
          Effect.forkDaemon(Effect.zipRight(Deferred.await(go), Effect.flip(Outbox.add(closed(1)))))
        )
        yield* Deferred.succeed(go, undefined)
        assert.strictEqual((yield* Fiber.join(late)).reason, "Ended")
        yield* Outbox.add(closed(2))
      }))
      assert.deepStrictEqual(yield* committed, [2])
    }).pipe(Effect.provide(Memory)))

  it.effect("a storage that refuses the events fails the commit with OutboxFailed, and nothing is stored", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const rolledBack = yield* Ref.make(false)
      const refusing = Layer.provide(
        Transactor.layerMemory,
        Layer.succeed(OutboxStorage.OutboxStorage, {
          ...storage,
          append: () => new OutboxStorage.StorageError({ reason: "Unavailable", message: "no disk" })
        })
      )
      const error = yield* Effect.flip(
        Transaction.run(Effect.zipRight(
          Transaction.afterRollback(Ref.set(rolledBack, true)),
          Outbox.add(closed(1))
        )).pipe(Effect.provide(refusing))
      )
      assert.strictEqual(error.reason, "OutboxFailed")
      assert.isTrue(yield* Ref.get(rolledBack))
      assert.deepStrictEqual(yield* committed, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("wakes the relay of the process once it has committed, and only if there were events", () =>
    Effect.gen(function*() {
      const { arrivals } = yield* OutboxStorage.OutboxStorage
      yield* Transaction.run(Effect.void)
      yield* Effect.ignore(Transaction.run(Effect.zipRight(Outbox.add(closed(1)), Effect.fail("no"))))
      assert.strictEqual(yield* arrivals.version, 0)
      yield* Transaction.run(Outbox.add(closed(1)))
      assert.strictEqual(yield* arrivals.version, 1)
    }).pipe(Effect.provide(Memory)))
})

class Happened extends Event.domain<Happened>()("TransactionHappened", { n: Schema.Number }) {}

describe("hooks", () => {
  const hooked = Effect.gen(function*() {
    const said: Array<string> = []
    const say = (what: string) => Effect.sync(() => void said.push(what))
    return { said, say }
  })

  it.effect("after-commit hooks run after the commit, in the order they were added, nested ones among them", () =>
    Effect.gen(function*() {
      const { said, say } = yield* hooked
      yield* Transaction.run(Effect.gen(function*() {
        yield* Transaction.afterCommit(Effect.flatMap(Effect.orDie(committed), (ns) => say(`one sees ${ns.join()}`)))
        yield* Transaction.run(Transaction.afterCommit(say("two")))
        yield* Transaction.afterCommit(say("three"))
        yield* Outbox.add(closed(7))
        yield* say("body")
      }))
      assert.deepStrictEqual(said, ["body", "one sees 7", "two", "three"])
    }).pipe(Effect.provide(Memory)))

  it.effect("after-commit hooks of a rolled back transaction or savepoint do not run", () =>
    Effect.gen(function*() {
      const { said, say } = yield* hooked
      yield* Effect.ignore(Transaction.run(Effect.zipRight(Transaction.afterCommit(say("never")), Effect.fail(1))))
      yield* Transaction.run(Effect.gen(function*() {
        yield* Effect.ignore(
          Transaction.run(Effect.zipRight(Transaction.afterCommit(say("never")), Effect.fail(1)))
        )
        yield* Transaction.afterCommit(say("kept"))
      }))
      assert.deepStrictEqual(said, ["kept"])
    }).pipe(Effect.provide(Memory)))

  it.effect("an after-commit hook that dies is logged and changes nothing else", () =>
    Effect.gen(function*() {
      const { said, say } = yield* hooked
      const answer = yield* Transaction.run(Effect.gen(function*() {
        yield* Transaction.afterCommit(Effect.die("hook"))
        yield* Transaction.afterCommit(say("next"))
        yield* Outbox.add(closed(1))
        return 42
      }))
      assert.strictEqual(answer, 42)
      assert.deepStrictEqual(said, ["next"])
      assert.deepStrictEqual(yield* committed, [1])
      assert.isTrue((yield* Logs).some((line) => line.startsWith("ERROR An after-commit hook died")))
    }).pipe(Effect.provide(Layer.merge(Memory, layerLogs))))

  it.effect("after-rollback hooks of a transaction and of its savepoints run in reverse order, when it has ended", () =>
    Effect.gen(function*() {
      const { said, say } = yield* hooked
      yield* Effect.ignore(Transaction.run(Effect.gen(function*() {
        yield* Transaction.afterRollback(say("outer 1"))
        yield* Effect.ignore(Transaction.run(Effect.gen(function*() {
          yield* Transaction.afterRollback(say("inner 1"))
          yield* Transaction.afterRollback(say("inner 2"))
          return yield* Effect.fail("inner")
        })))
        yield* say("between")
        yield* Transaction.run(Transaction.afterRollback(say("released")))
        yield* Transaction.afterRollback(say("outer 2"))
        return yield* Effect.fail("outer")
      })))
      assert.deepStrictEqual(said, ["between", "inner 2", "inner 1", "outer 2", "released", "outer 1"])
    }).pipe(Effect.provide(Memory)))

  it.effect("after-rollback hooks do not run after a commit", () =>
    Effect.gen(function*() {
      const { said, say } = yield* hooked
      yield* Transaction.run(Transaction.afterRollback(say("never")))
      assert.deepStrictEqual(said, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("an interruption that comes after the commit has begun waits for all hooks", () =>
    Effect.gen(function*() {
      const { said, say } = yield* hooked
      const inHook = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Transaction.run(Effect.gen(function*() {
        yield* Transaction.afterCommit(Effect.zipRight(Deferred.succeed(inHook, undefined), Deferred.await(go)))
        yield* Transaction.afterCommit(say("second"))
      })))
      yield* Deferred.await(inHook)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* settled
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(said, ["second"])
    }).pipe(Effect.provide(Memory)))

  it.effect("a hook may open a transaction of its own", () =>
    Effect.gen(function*() {
      yield* Transaction.run(
        Transaction.afterCommit(Effect.orDie(Transaction.run(Outbox.add(closed(2)))))
      )
      assert.deepStrictEqual(yield* committed, [2])
    }).pipe(Effect.provide(Memory)))
})

describe("Transaction over a transactor", () => {
  it.effect("begins with the isolation level, commits, and closes after that", () =>
    Effect.gen(function*() {
      const { list } = yield* Statements
      yield* Transaction.run(Effect.sync(() => list.push("body")), { isolation: "Serializable" })
      assert.deepStrictEqual(list, ["begin Serializable", "body", "commit", "close"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("rolls back once when the body fails, and closes after that", () =>
    Effect.gen(function*() {
      const { list } = yield* Statements
      yield* Effect.ignore(Transaction.run(Effect.fail("no")))
      assert.deepStrictEqual(list, ["begin", "rollback", "close"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("a transaction that cannot begin fails with the reason and runs nothing", () =>
    Effect.gen(function*() {
      const { failing, list } = yield* Statements
      failing.set("begin", failed("Unavailable"))
      const error = yield* Effect.flip(Transaction.run(Effect.sync(() => list.push("body"))))
      assert.strictEqual(error.reason, "Unavailable")
      assert.deepStrictEqual(list, ["begin"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("a commit that fails is a typed error, is not followed by a rollback, and runs no after-commit hook", () =>
    Effect.gen(function*() {
      const { failing, list } = yield* Statements
      failing.set("commit", failed("CommitFailed"))
      const hooks: Array<string> = []
      const error = yield* Effect.flip(Transaction.run(Effect.zipRight(
        Transaction.afterCommit(Effect.sync(() => hooks.push("committed"))),
        Transaction.afterRollback(Effect.sync(() => hooks.push("rolled back")))
      )))
      assert.strictEqual(error.reason, "CommitFailed")
      assert.deepStrictEqual(list, ["begin", "commit", "close"])
      assert.deepStrictEqual(hooks, ["rolled back"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("nested runs are savepoints of one session", () =>
    Effect.gen(function*() {
      const { list } = yield* Statements
      yield* Transaction.run(Effect.gen(function*() {
        yield* Transaction.run(Effect.void)
        yield* Effect.ignore(Transaction.run(Effect.fail("no")))
      }))
      assert.deepStrictEqual(list, [
        "begin",
        "savepoint s1",
        "release s1",
        "savepoint s2",
        "rollback to s2",
        "commit",
        "close"
      ])
    }).pipe(Effect.provide(layerFake)))

  it.effect("a savepoint that could not be rolled back to dooms the transaction, whoever swallows the error", () =>
    Effect.gen(function*() {
      const statements = yield* Statements
      statements.failing.set("rollback to s2", failed("Savepoint"))
      const error = yield* Effect.flip(Transaction.run(Effect.gen(function*() {
        yield* Transaction.run(Effect.ignore(
          Transaction.run(Effect.zipRight(Outbox.add(closed(1)), Effect.fail("no")))
        ))
        yield* Outbox.add(closed(2))
      })))
      assert.strictEqual(error.reason, "Savepoint")
      assert.deepStrictEqual(statements.stored, [])
      assert.deepStrictEqual(statements.list, [
        "begin",
        "savepoint s1",
        "savepoint s2",
        "rollback to s2",
        "release s1",
        "rollback",
        "close"
      ])
    }).pipe(Effect.provide(layerFake)))

  it.effect("a savepoint that cannot be released fails its run, and its events are not stored by the outer commit", () =>
    Effect.gen(function*() {
      const statements = yield* Statements
      statements.failing.set("release s1", failed("Savepoint"))
      const exit = yield* Effect.exit(Transaction.run(Effect.gen(function*() {
        const error = yield* Effect.flip(Transaction.run(Outbox.add(closed(1))))
        assert.strictEqual(error.reason, "Savepoint")
        yield* Outbox.add(new RoomClosed({ room: "red", n: 2 }))
      })))
      // either the savepoint is undone and the outer commits one event, or nothing is committed
      if (Exit.isSuccess(exit)) {
        assert.include(statements.list, "rollback to s1")
        assert.deepStrictEqual(statements.stored, ["room_closed"])
      } else assert.notInclude(statements.list, "commit")
    }).pipe(Effect.provide(layerFake)))

  it.effect("is repeated as a whole by the retry policy when it was chosen as a victim, each time from nothing", () =>
    Effect.gen(function*() {
      const statements = yield* Statements
      const attempts = yield* Ref.make(0)
      const hooks: Array<number> = []
      yield* Transaction.run(
        Effect.gen(function*() {
          const attempt = yield* Ref.updateAndGet(attempts, (n) => n + 1)
          yield* Outbox.add(closed(attempt))
          yield* Transaction.afterCommit(Effect.sync(() => hooks.push(attempt)))
          if (attempt < 3) return yield* new Conflict()
        }),
        { retry: Schedule.recurs(5) }
      )
      assert.strictEqual(yield* Ref.get(attempts), 3)
      assert.deepStrictEqual(hooks, [3])
      assert.deepStrictEqual(statements.stored, ["room_closed"])
      assert.strictEqual(statements.list.filter((statement) => statement === "rollback").length, 2)
    }).pipe(Effect.provide(layerFake)))

  it.effect("is repeated when the commit itself was the victim", () =>
    Effect.gen(function*() {
      const { failing, list } = yield* Statements
      failing.set("commit", failed("RolledBack"))
      yield* Transaction.run(
        Effect.sync(() => {
          if (list.length > 3) failing.clear()
        }),
        { retry: Schedule.recurs(1) }
      )
      assert.deepStrictEqual(list, ["begin", "commit", "close", "begin", "commit", "close"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("is not repeated for other failures", () =>
    Effect.gen(function*() {
      const { list } = yield* Statements
      const error = yield* Effect.flip(Transaction.run(new Refused(), { retry: Schedule.recurs(5) }))
      assert.instanceOf(error, Refused)
      assert.deepStrictEqual(list, ["begin", "rollback", "close"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("is never repeated when the outcome of the commit is unknown, even if it looks like a conflict", () =>
    Effect.gen(function*() {
      const { failing, list } = yield* Statements
      failing.set("commit", failed("OutcomeUnknown"))
      const error = yield* Effect.flip(Transaction.run(Effect.void, { retry: Schedule.recurs(5) }))
      assert.strictEqual(error.reason, "OutcomeUnknown")
      assert.deepStrictEqual(list, ["begin", "commit", "close"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("runs neither kind of hook when the outcome of the commit is unknown", () =>
    Effect.gen(function*() {
      const { failing } = yield* Statements
      const hooks: Array<string> = []
      const hooked = Effect.zipRight(
        Transaction.afterCommit(Effect.sync(() => hooks.push("committed"))),
        Transaction.afterRollback(Effect.sync(() => hooks.push("rolled back")))
      )
      failing.set("commit", failed("OutcomeUnknown"))
      yield* Effect.flip(Transaction.run(hooked))
      assert.deepStrictEqual(hooks, [])
      failing.set("commit", failed("CommitFailed"))
      yield* Effect.flip(Transaction.run(hooked))
      assert.deepStrictEqual(hooks, ["rolled back"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("is not repeated when nested, since the outer transaction is what the server rolled back", () =>
    Effect.gen(function*() {
      const attempts = yield* Ref.make(0)
      yield* Effect.ignore(Transaction.run(Transaction.run(
        Effect.zipRight(Ref.update(attempts, (n) => n + 1), new Conflict()),
        { retry: Schedule.recurs(5) }
      )))
      assert.strictEqual(yield* Ref.get(attempts), 1)
    }).pipe(Effect.provide(layerFake)))

  it.effect("a fiber that outlives it sets no savepoint on a connection that is somebody else's by now", () =>
    Effect.gen(function*() {
      const { list } = yield* Statements
      const go = yield* Deferred.make<void>()
      const late = yield* Transaction.run(
        Effect.forkDaemon(Effect.zipRight(Deferred.await(go), Effect.flip(Transaction.run(Effect.void))))
      )
      yield* Deferred.succeed(go, undefined)
      assert.strictEqual((yield* Fiber.join(late)).reason, "Ended")
      assert.deepStrictEqual(list, ["begin", "commit", "close"])
    }).pipe(Effect.provide(layerFake)))

  it.effect("can be interrupted while it waits for a connection, and leaves nothing open", () =>
    Effect.gen(function*() {
      const released = yield* Ref.make(false)
      const waiting = Transactor.Transactor.of({
        begin: ({ scope }) => Effect.zipRight(Scope.addFinalizer(scope, Ref.set(released, true)), Effect.never),
        isConflict: () => false
      })
      const fiber = yield* Effect.fork(
        Effect.provideService(Transaction.run(Effect.void), Transactor.Transactor, waiting)
      )
      yield* settled
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* Ref.get(released))
    }))
})

describe("two transactors in one program", () => {
  class SecondStorage extends Context.Tag("test/SecondStorage")<
    SecondStorage,
    Context.Tag.Service<OutboxStorage.OutboxStorage>
  >() {}
  class Second extends Context.Tag("test/Second")<Second, Context.Tag.Service<Transactor.Transactor>>() {}

  const Two = Layer.merge(
    Memory,
    Layer.effectContext(Effect.gen(function*() {
      const context = yield* Effect.provide(
        Effect.context<Transactor.Transactor | OutboxStorage.OutboxStorage>(),
        Layer.fresh(Memory)
      )
      return Context.make(SecondStorage, Context.get(context, OutboxStorage.OutboxStorage)).pipe(
        Context.add(Second, Context.get(context, Transactor.Transactor))
      )
    }))
  )
  const inSecond = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(
      Second,
      (transactor) => Effect.provideService(Transaction.run(effect), Transactor.Transactor, transactor)
    )
  const committedInSecond = Effect.flatMap(
    SecondStorage,
    (storage) => Effect.provideService(committed, OutboxStorage.OutboxStorage, storage)
  )

  it.effect("an event goes to the outbox of the transaction that is open", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        yield* Outbox.add(closed(1))
        yield* inSecond(Outbox.add(closed(2)))
        yield* Outbox.add(closed(3))
      }))
      assert.deepStrictEqual(yield* committed, [1, 3])
      assert.deepStrictEqual(yield* committedInSecond, [2])
    }).pipe(Effect.provide(Two)))

  it.effect("a transaction on another transactor is no savepoint: it stands when the surrounding one fails", () =>
    Effect.gen(function*() {
      yield* Effect.ignore(Transaction.run(Effect.gen(function*() {
        yield* Outbox.add(closed(1))
        yield* inSecond(Outbox.add(closed(2)))
        return yield* Effect.fail("outer")
      })))
      assert.deepStrictEqual(yield* committed, [])
      assert.deepStrictEqual(yield* committedInSecond, [2])
    }).pipe(Effect.provide(Two)))

  it.effect("a run of the first transactor inside the second joins the first one's open transaction", () =>
    Effect.gen(function*() {
      const { transactor } = yield* Effect.all({ transactor: Transactor.Transactor })
      yield* Effect.ignore(Transaction.run(Effect.gen(function*() {
        yield* inSecond(Effect.zipRight(
          Outbox.add(closed(2)),
          Effect.provideService(Transaction.run(Outbox.add(closed(1))), Transactor.Transactor, transactor)
        ))
        return yield* Effect.fail("outer")
      })))
      assert.deepStrictEqual(yield* committed, [])
      assert.deepStrictEqual(yield* committedInSecond, [2])
    }).pipe(Effect.provide(Two)))
})

describe("Transactional", () => {
  class Close extends Command.make<Close>()("TransactionClose", {
    payload: { n: Schema.Number },
    failure: Schema.String,
    middleware: [Transaction.Transactional]
  }) {}

  const CloseHandler = Handler.layer(Close, (command) =>
    Effect.gen(function*() {
      yield* Outbox.add(closed(command.n))
      if (command.n < 0) return yield* Effect.fail("negative")
    }))

  const Program = CloseHandler.pipe(Layer.provide(Transaction.Transactional.layer), Layer.provideMerge(Memory))

  it.effect("runs a command's handler in a transaction", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new Close({ n: 1 }))
      assert.strictEqual(yield* Effect.flip(Mediator.send(new Close({ n: -1 }))), "negative")
      assert.deepStrictEqual(yield* committed, [1])
    }).pipe(Effect.provide(Program)))

  it.effect("joins the transaction of the sender as a savepoint", () =>
    Effect.gen(function*() {
      yield* Effect.ignore(Transaction.run(Effect.zipRight(Mediator.send(new Close({ n: 1 })), Effect.fail("outer"))))
      yield* Transaction.run(Effect.zipRight(
        Effect.ignore(Mediator.send(new Close({ n: -2 }))),
        Mediator.send(new Close({ n: 3 }))
      ))
      assert.deepStrictEqual(yield* committed, [3])
    }).pipe(Effect.provide(Program)))
})

describe("the journal", () => {
  type Operation =
    | { readonly _tag: "add"; readonly n: number }
    | { readonly _tag: "savepoint" | "release" | "rollbackTo"; readonly name: string }

  const names = fc.constantFrom("a", "b", "c")
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ _tag: fc.constant("add" as const), n: fc.nat() }),
    fc.record({ _tag: fc.constantFrom("savepoint" as const, "release" as const, "rollbackTo" as const), name: names })
  )

  /** What a database keeps: each savepoint is a copy of everything at that time. */
  const model = (operations: ReadonlyArray<Operation>) => {
    let rows: Array<string> = []
    let stack: Array<{ readonly name: string; readonly rows: Array<string> }> = []
    for (const one of operations) {
      if (one._tag === "add") {
        rows = [...rows, String(one.n)]
        continue
      }
      const index = stack.map(({ name }) => name).lastIndexOf(one.name)
      if (one._tag === "savepoint") stack = [...stack, { name: one.name, rows }]
      else if (index >= 0 && one._tag === "release") stack = stack.slice(0, index)
      else if (index >= 0) {
        rows = stack[index]!.rows
        stack = stack.slice(0, index + 1)
      }
    }
    return rows
  }

  it.prop(
    "keeps what a database would keep, whatever savepoints are set, released and rolled back to",
    [fc.array(operation, { maxLength: 40 })],
    ([operations]) => {
      const journal = new TransactionJournal()
      for (const one of operations) {
        if (one._tag === "add") journal.add({ _tag: "Message", message: message({ id: String(one.n) }) })
        else if (one._tag === "rollbackTo") journal.rollbackTo(one.name)
        else journal[one._tag](one.name)
      }
      assert.deepStrictEqual(journal.messages.map(({ id }) => id), model(operations))
    },
    { fastCheck: { numRuns: 500 } }
  )
})
