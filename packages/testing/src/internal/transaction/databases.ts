import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { assertReason, Refused, type Topic } from "./topic.ts"

/** Two databases in one program, and transactions that the library did not open. */
export const databaseCases = <R>({ assertStored, assertUsable, both, cases, facts, itWith }: Topic<R>): void => {
  facts.describe("two databases in one program", () => {
    const two = (id: string) => Effect.all([Layer.build(facts.layer(id)), Layer.build(facts.layer(`${id}_2`))])

    cases.it("an event goes to the outbox of the transaction that is open", (id) =>
      Effect.gen(function*() {
        const [first, second] = yield* two(id)
        yield* Transaction.run(Effect.gen(function*() {
          yield* both("a")
          yield* Effect.provide(Transaction.run(both("b")), second)
          yield* both("c")
          yield* Effect.exit(Effect.provide(Transaction.run(Effect.zipRight(both("d"), new Refused())), second))
        })).pipe(Effect.provide(first))
        yield* Effect.provide(assertStored(["a", "c"]), first)
        yield* Effect.provide(assertStored(["b"]), second)
      }))

    cases.it(
      "a transaction of the one is no savepoint of the other: it stands when that one fails",
      (id) =>
        Effect.gen(function*() {
          const [first, second] = yield* two(id)
          yield* Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Effect.provide(Transaction.run(both("b")), second)
            return yield* new Refused()
          })).pipe(Effect.provide(first), Effect.exit)
          yield* Effect.provide(assertStored([]), first)
          yield* Effect.provide(assertStored(["b"]), second)
        })
    )

    cases.it(
      "a run of the first inside the second joins the open transaction of the first",
      (id) =>
        Effect.gen(function*() {
          const [first, second] = yield* two(id)
          yield* Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Effect.provide(
              Transaction.run(Effect.gen(function*() {
                yield* both("b")
                yield* Effect.provide(Transaction.run(both("c")), first)
              })),
              second
            )
            return yield* new Refused()
          })).pipe(Effect.provide(first), Effect.exit)
          yield* Effect.provide(assertStored([]), first)
          yield* Effect.provide(assertStored(["b"]), second)
        })
    )
  })

  itWith(
    facts.withTransaction,
    "a transaction that the client has opened is refused as Foreign, and stays the client's",
    (withTransaction) =>
      Effect.gen(function*() {
        let error: unknown
        yield* withTransaction(Effect.gen(function*() {
          error = yield* Effect.flip(Transaction.run(both("a")))
        }))
        assertReason(error, "Foreign")
        yield* assertStored([])
        yield* assertUsable([])
      })
  )
}
