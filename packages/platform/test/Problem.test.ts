import { Idempotency, OutboxStorage, Transaction, Transactor } from "@effect-cqrs/core"
import { Problem } from "@effect-cqrs/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Option, Schema } from "effect"

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const secret = new Error("the password is hunter2")

const transaction = (reason: Transaction.TransactionError["reason"], cause: unknown = secret) =>
  new Transaction.TransactionError({ reason, message: "at 10.0.0.1", cause })

const idempotency = (reason: Idempotency.IdempotencyError["reason"]) =>
  new Idempotency.IdempotencyError({ reason, message: "a sentence for clients", cause: secret })

const storage = (reason: OutboxStorage.StorageError["reason"]) =>
  new OutboxStorage.StorageError({ reason, message: "at 10.0.0.1" })

const conflict = new Error("deadlock of hunter2")

/** What a client is told of how an effect ended. */
const told = <E>(effect: Effect.Effect<void, E>) =>
  Effect.flip(Problem.answer(effect)).pipe(
    Effect.provideService(
      Transactor.Transactor,
      Transactor.Transactor.of({
        begin: () => Effect.never,
        isConflict: (error) => error === conflict || (error instanceof Error && error.cause === conflict)
      })
    ),
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )

const failures: ReadonlyArray<readonly [what: string, ends: Effect.Effect<void, unknown>, status: number]> = [
  ["a database that cannot be reached", transaction("Unavailable"), 503],
  ["a transaction that the server has rolled back", transaction("RolledBack"), 503],
  ["a commit of unknown outcome", transaction("OutcomeUnknown"), 503],
  ["a commit that lost to another", transaction("CommitFailed", conflict), 503],
  ["a commit that the database refused for good", transaction("CommitFailed"), 500],
  ["an outbox that did not answer", transaction("OutboxFailed", storage("Unavailable")), 503],
  ["an outbox that is wrong", transaction("OutboxFailed", storage("Schema")), 500],
  ["an event that cannot be stored", transaction("EventRejected"), 500],
  ["a transaction of others", transaction("Foreign"), 500],
  ["a transaction that was over", transaction("Ended"), 500],
  ["a statement that committed", transaction("ImplicitCommit"), 500],
  ["a savepoint that failed", transaction("Savepoint"), 500],
  ["a key of another command", idempotency("Mismatch"), 422],
  ["a command in progress", idempotency("InProgress"), 409],
  ["a key that is too long", idempotency("Unusable"), 400],
  ["an answer of another version", idempotency("Unreadable"), 500],
  ["keys that cannot be reached", idempotency("Unavailable"), 503],
  ["a defect", Effect.die(secret), 500],
  ["a defect that is a lost deadlock", Effect.die(conflict), 503]
]

describe("a problem", () => {
  for (const [what, ends, status] of failures) {
    it.effect(`of ${what} is ${status}, and tells nothing of its cause`, () =>
      Effect.gen(function*() {
        const problem = (yield* told(ends)) as Problem.Problem
        assert.strictEqual(problem.status, status)
        const body = JSON.stringify(yield* Schema.encode(Problem.Problem)(problem))
        assert.notMatch(body, /hunter2|10\.0\.0\.1/)
        assert.strictEqual(problem.retryAfter !== undefined, status === 503 || status === 409)
      }))
  }

  it.effect("is made of no declared failure, and of no interruption", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told(new Refused()), new Refused())
      const exit = yield* Effect.exit(Problem.answer(Effect.interrupt))
      assert.isTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
      assert.isTrue(Option.isNone(Exit.causeOption(yield* Effect.exit(Problem.answer(Effect.void)))))
    }))
})
