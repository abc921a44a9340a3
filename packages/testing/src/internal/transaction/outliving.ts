import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { assertReason, Refused, type Topic } from "./topic.ts"

/** A fiber that outlives its transaction gets an error, and never somebody else's transaction. */
export const outlivingCases = <R>(
  { add, assertStored, assertUsable, both, facts, it, itWith, write }: Topic<R>
): void => {
  facts.describe("a fiber that outlives its transaction", () => {
    it(
      "gets errors for whatever it does with it, and never another's transaction",
      Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        const late = yield* Transaction.run(Effect.zipRight(
          both("a"),
          Effect.forkDaemon(Effect.zipRight(
            Deferred.await(go),
            Effect.all([
              Effect.flip(write("late 1")),
              Effect.flip(add("late 1")),
              Effect.flip(Transaction.run(both("late 2"))),
              Effect.flip(Transaction.afterCommit(Effect.void))
            ])
          ))
        ))
        yield* assertStored(["a"])
        yield* Transaction.run(Effect.gen(function*() {
          yield* both("b")
          yield* Deferred.succeed(go, undefined)
          const [, ...errors] = yield* Fiber.join(late)
          for (const error of errors) assertReason(error, "Ended")
          yield* both("c")
        }))
        yield* assertStored(["a", "b", "c"])
      })
    )

    it(
      "gets errors after a rollback, too",
      Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        let late: Fiber.Fiber<ReadonlyArray<unknown>, unknown> | undefined
        yield* Effect.exit(Transaction.run(Effect.gen(function*() {
          late = yield* Effect.forkDaemon(Effect.zipRight(
            Deferred.await(go),
            Effect.all([Effect.flip(write("late")), Effect.flip(add("late"))])
          ))
          return yield* new Refused()
        })))
        yield* Deferred.succeed(go, undefined)
        const [, error] = yield* Fiber.join(late!)
        assertReason(error, "Ended")
        yield* assertStored([])
        yield* assertUsable([])
      })
    )

    it(
      "gets errors when it outlives a nested run, while the outer one is still open",
      Effect.gen(function*() {
        yield* Transaction.run(Effect.gen(function*() {
          const go = yield* Deferred.make<void>()
          const late = yield* Transaction.run(Effect.zipRight(
            both("a"),
            Effect.forkDaemon(Effect.zipRight(
              Deferred.await(go),
              Effect.all([
                Effect.flip(write("late 1")),
                Effect.flip(add("late 1")),
                Effect.flip(Transaction.run(both("late 2")))
              ])
            ))
          ))
          yield* Deferred.succeed(go, undefined)
          const [, ...errors] = yield* Fiber.join(late)
          for (const error of errors) assertReason(error, "Ended")
          yield* both("b")
        }))
        yield* assertStored(["a", "b"])
      })
    )

    itWith(
      facts.withTransaction,
      "gets errors for transactions of the client's inside it",
      (withTransaction) =>
        Effect.gen(function*() {
          const go = yield* Deferred.make<void>()
          const late = yield* Transaction.run(Effect.zipRight(
            both("a"),
            Effect.forkDaemon(Effect.zipRight(Deferred.await(go), Effect.flip(withTransaction(write("late")))))
          ))
          yield* Transaction.run(Effect.gen(function*() {
            yield* Deferred.succeed(go, undefined)
            yield* Fiber.join(late)
            yield* both("b")
          }))
          yield* assertStored(["a", "b"])
        })
    )
  })
}
