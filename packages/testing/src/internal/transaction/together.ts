import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as assert from "node:assert"
import { assertIds, assertOrder } from "../cases.ts"
import { announced, assertReason, defectOf, failureOf, Refused, type Topic } from "./topic.ts"

/** A transaction's writes and events are stored together, or neither is, whatever fails. */
export const togetherCases = <R>(
  { add, assertStored, assertUsable, both, facts, inClient, it, itWith, read, write }: Topic<R>
): void => {
  facts.describe("together or not at all", () => {
    it(
      "stores writes and events of a transaction that succeeds, in order, and answers with its value",
      Effect.gen(function*() {
        const answer = yield* Transaction.run(Effect.gen(function*() {
          yield* both("a")
          yield* both("b")
          yield* both("c")
          return 42
        }))
        assert.strictEqual(answer, 42)
        yield* assertStored(["a", "b", "c"])
      })
    )

    it(
      "commits a transaction that has only writes, only events, or nothing",
      Effect.gen(function*() {
        yield* Transaction.run(write("a"))
        yield* Transaction.run(add("b"))
        yield* Transaction.run(Effect.void)
        assertIds("writes", yield* read, ["a"])
        assertOrder("events", yield* announced, ["b"])
      })
    )

    it(
      "stores the events of one transaction after another in the order of their commits",
      Effect.gen(function*() {
        const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
        yield* Effect.forEach(keys, (key) => Transaction.run(both(key)), { discard: true })
        yield* assertStored(keys)
      })
    )

    it(
      "keeps apart transactions that run at the same time",
      Effect.gen(function*() {
        yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          (n) =>
            Effect.exit(Transaction.run(Effect.gen(function*() {
              yield* both(`a${n}`)
              yield* Effect.yieldNow()
              yield* both(`b${n}`)
              if (n % 2 === 1) return yield* new Refused()
            }))),
          { concurrency: "unbounded", discard: true }
        )
        const expected = Array.from({ length: 10 }, (_, n) => [`a${2 * n}`, `b${2 * n}`]).flat()
        assertIds("writes", yield* read, expected)
        assertIds("events", yield* announced, expected)
      })
    )

    it(
      "stores nothing of a transaction that fails, and fails with its failure",
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Transaction.run(Effect.zipRight(both("a"), new Refused())))
        assert.ok(failureOf(exit) instanceof Refused, String(exit))
        yield* assertStored([])
        yield* assertUsable([])
      })
    )

    it(
      "stores nothing of a transaction that dies, and dies with its defect",
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Transaction.run(Effect.zipRight(both("a"), Effect.die("boom"))))
        assert.strictEqual(defectOf(exit), "boom")
        yield* assertStored([])
        yield* assertUsable([])
      })
    )

    it(
      "stores nothing of a transaction that is interrupted",
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(Transaction.run(
          both("a").pipe(Effect.zipRight(Deferred.succeed(begun, undefined)), Effect.zipRight(Effect.never))
        ))
        yield* Deferred.await(begun)
        const exit = yield* Fiber.interrupt(fiber)
        assert.ok(Exit.isInterrupted(exit), String(exit))
        yield* assertStored([])
        yield* assertUsable([])
      })
    )

    it(
      "a transaction that is interrupted while it waits for its turn leaves nothing open",
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const first = yield* Effect.fork(Transaction.run(
          both("a").pipe(Effect.zipRight(Deferred.succeed(begun, undefined)), Effect.zipRight(Deferred.await(go)))
        ))
        yield* Deferred.await(begun)
        const others = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          (n) => Effect.fork(Transaction.run(Effect.zipRight(both(`b${n}`), Effect.never)))
        )
        yield* Effect.yieldNow()
        yield* Fiber.interruptAll(others)
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(first)
        yield* assertStored(["a"])
        yield* assertUsable(["a"])
      })
    )

    it(
      "stores nothing when the outbox refuses the events, and fails with OutboxFailed",
      Effect.gen(function*() {
        yield* facts.breakOutbox
        const error = yield* Effect.flip(Transaction.run(both("a")))
        assertReason(error, "OutboxFailed")
        assertIds("writes", yield* read, [])
        // without an event, nothing needs the outbox
        yield* Transaction.run(write("b"))
        assertIds("writes", yield* read, ["b"])
      })
    )

    itWith(
      facts.failing,
      "a statement whose error was swallowed is undone, or nothing is stored",
      (failing) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Effect.flip(failing)
            yield* Effect.ignore(write("b"))
            yield* add("b")
          })))
          if (Exit.isFailure(exit)) assertReason(failureOf(exit), "RolledBack")
          yield* assertStored(Exit.isSuccess(exit) ? ["a", "b"] : [])
          yield* assertUsable(Exit.isSuccess(exit) ? ["a", "b"] : [])
        })
    )

    itWith(
      facts.failing,
      "stores nothing when a statement's error ends the transaction",
      (failing) =>
        Effect.gen(function*() {
          yield* Effect.flip(Transaction.run(Effect.zipRight(both("a"), failing)))
          yield* assertStored([])
          yield* assertUsable([])
        })
    )

    itWith(
      facts.losing,
      "stores nothing, and says RolledBack, when the database gave the transaction up and nobody looked",
      (losing) =>
        Effect.gen(function*() {
          const refused: Array<unknown> = []
          const error = yield* Effect.flip(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Effect.flip(losing)
            // each of these would be committed on its own
            refused.push(yield* Effect.flip(write("b")), yield* Effect.flip(write("c")))
            yield* Effect.ignore(add("c"))
          })))
          assertReason(error, "RolledBack")
          assert.strictEqual(refused.length, 2)
          yield* assertStored([])
          yield* assertUsable([])
        })
    )

    itWith(
      facts.losing,
      "stores nothing, and says RolledBack, when it was given up inside a nested run",
      (losing) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Effect.exit(Transaction.run(Effect.zipRight(both("b"), losing)))
            yield* Effect.exit(Transaction.run(both("c")))
            yield* Effect.ignore(write("d"))
          })))
          assertReason(error, "RolledBack")
          yield* assertStored([])
          yield* assertUsable([])
        })
    )

    itWith(
      typeof facts.withTransaction === "function" ? facts.losing : facts.withTransaction,
      "stores nothing, and says RolledBack, when it was given up inside a transaction of the client's",
      (losing) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Effect.ignore(inClient(Effect.zipRight(both("b"), losing)))
            yield* Effect.ignore(write("c"))
          })))
          assertReason(error, "RolledBack")
          yield* assertStored([])
          yield* assertUsable([])
        })
    )

    itWith(
      facts.uncommittable,
      "a COMMIT that fails is a typed error, and stores nothing",
      (uncommittable) =>
        Effect.gen(function*() {
          const hooks: Array<string> = []
          const exit = yield* Effect.exit(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Transaction.afterCommit(Effect.sync(() => hooks.push("committed")))
            yield* Transaction.afterRollback(Effect.sync(() => hooks.push("rolled back")))
            yield* uncommittable
          })))
          assertReason(failureOf(exit), "CommitFailed")
          assert.deepStrictEqual(hooks, ["rolled back"])
          yield* assertStored([])
          yield* assertUsable([])
        })
    )

    itWith(
      facts.implicitCommit,
      "a statement that commits by itself is reported as ImplicitCommit",
      (implicitCommit) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            // whether it commits or is refused, the transaction is not what it was
            yield* Effect.ignore(implicitCommit)
            yield* Effect.ignore(both("b"))
          })))
          assertReason(error, "ImplicitCommit")
          assertOrder("events", yield* announced, [])
        })
    )

    itWith(
      facts.statement,
      "a BEGIN, COMMIT or ROLLBACK of the program's own is refused, and the transaction stays whole",
      (statement) =>
        Effect.gen(function*() {
          const committed: Array<string> = []
          const verbs = [
            "COMMIT",
            "; COMMIT",
            "ROLLBACK",
            "BEGIN",
            "commit;",
            "  rollback",
            "-- so\nCOMMIT",
            "/* so */ BEGIN"
          ]
          for (const [n, verb] of verbs.entries()) {
            const exit = yield* Effect.exit(Transaction.run(Effect.gen(function*() {
              yield* both(`a${n}`)
              yield* Effect.flip(statement(verb))
              yield* both(`b${n}`)
            })))
            if (Exit.isSuccess(exit)) committed.push(`a${n}`, `b${n}`)
            yield* assertStored(committed)
            yield* Effect.exit(Transaction.run(Effect.gen(function*() {
              yield* both(`c${n}`)
              yield* Effect.ignore(statement(verb))
              return yield* new Refused()
            })))
            yield* assertStored(committed)
          }
          yield* assertUsable(committed)
        })
    )
  })
}
