import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { afterCommit, afterRollback, announced, Refused, type Topic } from "./topic.ts"

/** Hooks run behind the outermost end, in order. */
export const hookCases = <R>({ assertStored, both, facts, it, itWith, read }: Topic<R>): void => {
  facts.describe("hooks", () => {
    it(
      "after-commit hooks run in order once everything is stored, and can use the database",
      Effect.gen(function*() {
        const said: Array<string> = []
        const say = (what: string) => Effect.sync(() => said.push(what))
        yield* Transaction.run(Effect.gen(function*() {
          yield* afterCommit(
            Effect.flatMap(
              Effect.orDie(Effect.all([read, announced])),
              ([writes, events]) => say(`one sees ${writes.join()} ${events.join()}`)
            )
          )
          yield* Transaction.run(Transaction.afterCommit(say("two")))
          yield* both("a")
          yield* Transaction.afterCommit(say("three"))
          yield* say("body")
        }))
        assert.deepStrictEqual(said, ["body", "one sees a a", "two", "three"])
      })
    )

    it(
      "after-commit hooks of a rolled back transaction or savepoint do not run",
      Effect.gen(function*() {
        const said: Array<string> = []
        const say = (what: string) => Effect.sync(() => said.push(what))
        yield* Effect.exit(Transaction.run(Effect.zipRight(Transaction.afterCommit(say("never")), new Refused())))
        yield* Transaction.run(Effect.gen(function*() {
          yield* Effect.exit(Transaction.run(Effect.zipRight(Transaction.afterCommit(say("never")), new Refused())))
          yield* Transaction.afterCommit(say("kept"))
        }))
        assert.deepStrictEqual(said, ["kept"])
      })
    )

    itWith(
      facts.withTransaction,
      "hooks of a transaction of the client's inside share its fate",
      (withTransaction) =>
        Effect.gen(function*() {
          const said: Array<string> = []
          const say = (what: string) => Effect.sync(() => said.push(what))
          yield* Transaction.run(Effect.gen(function*() {
            yield* Effect.exit(withTransaction(Effect.gen(function*() {
              yield* Transaction.afterCommit(say("never"))
              yield* Transaction.afterRollback(say("undone"))
              return yield* new Refused()
            })))
            yield* withTransaction(Transaction.afterCommit(say("kept")))
            yield* say("body")
          }))
          assert.deepStrictEqual(said, ["body", "undone", "kept"])
        })
    )

    it(
      "a hook of a nested run that failed may open a transaction, when the outer one has ended",
      Effect.gen(function*() {
        yield* Transaction.run(Effect.gen(function*() {
          yield* both("a")
          yield* Effect.flip(Transaction.run(Effect.zipRight(
            afterRollback(Effect.orDie(Transaction.run(both("b")))),
            new Refused()
          )))
          yield* both("c")
        }))
        yield* assertStored(["a", "c", "b"])
      })
    )

    it(
      "after-rollback hooks run in reverse order, once it is rolled back",
      Effect.gen(function*() {
        const said: Array<string> = []
        const say = (what: string) => Effect.sync(() => said.push(what))
        yield* Effect.exit(Transaction.run(Effect.gen(function*() {
          yield* Transaction.afterRollback(say("one"))
          yield* Transaction.afterRollback(say("two"))
          return yield* new Refused()
        })))
        yield* Transaction.run(Transaction.afterRollback(say("never")))
        assert.deepStrictEqual(said, ["two", "one"])
      })
    )

    it(
      "a hook may open a transaction of its own, and its failure changes nothing",
      Effect.gen(function*() {
        yield* Transaction.run(Effect.gen(function*() {
          yield* both("a")
          yield* afterCommit(Effect.orDie(Transaction.run(both("b"))))
          yield* afterCommit(Effect.orDie(Transaction.run(Effect.zipRight(both("c"), new Refused()))))
          yield* afterCommit(Effect.orDie(Transaction.run(both("d"))))
        }))
        yield* assertStored(["a", "b", "d"])
      })
    )
  })
}
