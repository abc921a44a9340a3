import * as Outbox from "@effect-cqrs/core/Outbox"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as assert from "node:assert"
import { assertIds } from "../cases.ts"
import { Announced, announced, assertReason, failureOf, Refused, type Services, type Topic } from "./topic.ts"

type Step =
  | { readonly _tag: "Both" }
  | {
    readonly _tag: "Nest"
    readonly by: "run" | "client" | "statements"
    readonly fails: boolean
    readonly steps: ReadonlyArray<Step>
  }

/** A run inside a run is a savepoint, and so is one of the client's own. */
export const nestedCases = <R>(
  { assertStored, assertUsable, both, facts, inClient, it, itWith, read, write }: Topic<R>
): void => {
  facts.describe("nested", () => {
    it(
      "a nested run that fails takes its writes and events with it, and the outer goes on",
      Effect.gen(function*() {
        yield* Transaction.run(Effect.gen(function*() {
          yield* both("a")
          const error = yield* Effect.flip(Transaction.run(Effect.gen(function*() {
            yield* both("b")
            yield* Transaction.run(both("c"))
            return yield* new Refused()
          })))
          assert.ok(error instanceof Refused)
          yield* Transaction.run(both("d"))
          yield* both("e")
        }))
        yield* assertStored(["a", "d", "e"])
      })
    )

    it(
      "a nested run that dies or is interrupted takes its writes and events with it",
      Effect.gen(function*() {
        yield* Transaction.run(Effect.gen(function*() {
          yield* both("a")
          yield* Effect.exit(Transaction.run(Effect.zipRight(both("b"), Effect.die("boom"))))
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.fork(Transaction.run(
            both("c").pipe(Effect.zipRight(Deferred.succeed(begun, undefined)), Effect.zipRight(Effect.never))
          ))
          yield* Deferred.await(begun)
          yield* Fiber.interrupt(fiber)
          yield* both("d")
        }))
        yield* assertStored(["a", "d"])
      })
    )

    it(
      "a nested run that succeeded is undone with the outer one",
      Effect.gen(function*() {
        yield* Effect.exit(Transaction.run(
          Transaction.run(both("a")).pipe(Effect.zipRight(both("b")), Effect.zipRight(new Refused()))
        ))
        yield* assertStored([])
        yield* assertUsable([])
      })
    )

    it(
      "nested runs at the same time do not erase each other",
      Effect.gen(function*() {
        yield* Transaction.run(
          Effect.forEach(
            Array.from({ length: 12 }, (_, n) => n),
            (n) =>
              Effect.exit(Transaction.run(Effect.gen(function*() {
                yield* both(`a${n}`)
                yield* Effect.yieldNow()
                yield* Transaction.run(both(`b${n}`))
                yield* Effect.yieldNow()
                if (n % 3 === 0) return yield* new Refused()
                if (n % 3 === 1) {
                  return yield* Effect.die("boom")
                }
              }))),
            { concurrency: "unbounded", discard: true }
          )
        )
        const expected = [2, 5, 8, 11].flatMap((n) => [`a${n}`, `b${n}`])
        yield* assertStored(expected)
      })
    )

    it(
      "what is written beside a nested run that fails has the fate of its event",
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Transaction.run(Effect.gen(function*() {
          const inside = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const nested = yield* Effect.fork(Effect.exit(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* Deferred.succeed(inside, undefined)
            yield* Deferred.await(go)
            return yield* new Refused()
          }))))
          yield* Deferred.await(inside)
          yield* both("beside")
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(nested)
          yield* both("b")
        })))
        if (Exit.isFailure(exit)) assertReason(failureOf(exit), "Savepoint")
        yield* assertStored(Exit.isSuccess(exit) ? ["beside", "b"] : [])
      })
    )

    for (const first of ["write", "event"] as const) {
      it(
        `a write and its event stay together when a nested run beside them fails in between, the ${first} being first`,
        Effect.gen(function*() {
          const exit = yield* Effect.exit(Transaction.run(Effect.gen(function*() {
            const open = yield* Deferred.make<void>()
            const go = yield* Deferred.make<void>()
            const done = yield* Deferred.make<void>()
            const steps = [write("beside"), Outbox.add(new Announced({ key: "beside" }))]
            if (first === "event") steps.reverse()
            yield* Effect.all([
              Effect.gen(function*() {
                yield* steps[0]!
                yield* Deferred.succeed(go, undefined)
                yield* Deferred.await(open)
                yield* steps[1]!
                yield* Deferred.succeed(done, undefined)
              }),
              Effect.ignore(Effect.zipRight(
                Deferred.await(go),
                Transaction.run(Effect.zipRight(
                  Effect.zipRight(Deferred.succeed(open, undefined), Deferred.await(done)),
                  new Refused()
                ))
              ))
            ], { concurrency: "unbounded" })
          })))
          yield* assertStored(Exit.isSuccess(exit) ? ["beside"] : [])
        })
      )
    }

    itWith(
      facts.withTransaction,
      "a transaction of the client's inside is a savepoint, and its events share its fate",
      (withTransaction) =>
        Effect.gen(function*() {
          yield* Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* withTransaction(both("b"))
            yield* Effect.flip(withTransaction(Effect.zipRight(both("c"), new Refused())))
            yield* withTransaction(Effect.gen(function*() {
              yield* both("d")
              yield* Effect.flip(withTransaction(Effect.zipRight(both("e"), new Refused())))
              yield* Effect.flip(Transaction.run(Effect.zipRight(both("f"), new Refused())))
              yield* Transaction.run(withTransaction(both("g")))
            }))
            yield* Effect.flip(withTransaction(Effect.gen(function*() {
              yield* withTransaction(both("h"))
              yield* Transaction.run(both("i"))
              return yield* new Refused()
            })))
            yield* both("j")
          }))
          yield* assertStored(["a", "b", "d", "g", "j"])
        })
    )

    itWith(
      facts.withTransaction,
      "of transactions of the client's at the same time, writes and events share their fates",
      (withTransaction) =>
        Effect.gen(function*() {
          yield* Transaction.run(Effect.forEach(
            Array.from({ length: 8 }, (_, n) => n),
            (n) =>
              Effect.exit(withTransaction(Effect.gen(function*() {
                yield* both(`a${n}`)
                yield* Effect.yieldNow()
                yield* both(`b${n}`)
                if (n % 2 === 0) return yield* new Refused()
              }))),
            { concurrency: "unbounded", discard: true }
          ))
          // which ones: the client gives them all one savepoint name
          assertIds("events", yield* announced, yield* read)
        })
    )

    itWith(
      facts.statement,
      "savepoints of the program's own take their events with them",
      (statement) =>
        Effect.gen(function*() {
          yield* Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* statement("SAVEPOINT one")
            yield* both("b")
            yield* statement("SAVEPOINT two")
            yield* both("c")
            yield* statement("ROLLBACK TO SAVEPOINT two")
            yield* both("d")
            yield* statement("ROLLBACK TO SAVEPOINT two")
            yield* both("e")
            yield* statement("RELEASE SAVEPOINT two")
            yield* Transaction.run(both("f"))
            yield* statement("ROLLBACK TO SAVEPOINT one")
            yield* both("g")
            yield* statement("RELEASE SAVEPOINT one")
            yield* both("h")
          }))
          yield* assertStored(["a", "g", "h"])
        })
    )

    itWith(
      facts.statement,
      "a savepoint statement that the database refuses changes no event's fate",
      (statement) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(Transaction.run(Effect.gen(function*() {
            yield* both("a")
            yield* statement("SAVEPOINT one")
            yield* both("b")
            yield* Effect.flip(statement("ROLLBACK TO SAVEPOINT nobody"))
            yield* Effect.flip(statement("RELEASE SAVEPOINT nobody"))
            yield* both("c")
          })))
          yield* assertStored(Exit.isSuccess(exit) ? ["a", "b", "c"] : [])
        })
    )

    it(
      "whatever nests in whatever, a model says what is stored",
      Effect.gen(function*() {
        const { statement } = facts
        const tree = FastCheck.letrec<{ step: Step; steps: ReadonlyArray<Step> }>((tie) => ({
          step: FastCheck.oneof(
            { maxDepth: 4, withCrossShrink: true },
            { weight: 3, arbitrary: FastCheck.constant<Step>({ _tag: "Both" }) },
            {
              weight: 2,
              arbitrary: FastCheck.record({
                _tag: FastCheck.constant("Nest" as const),
                by: FastCheck.constantFrom<Array<"run" | "client" | "statements">>("run", "client", "statements"),
                fails: FastCheck.boolean(),
                steps: tie("steps")
              })
            }
          ),
          steps: FastCheck.array(tie("step"), { maxLength: 4 })
        })).steps
        let count = 0
        const execute = (
          steps: ReadonlyArray<Step>,
          depth: number
        ): Effect.Effect<ReadonlyArray<string>, unknown, Services<R> | Transaction.Transaction> =>
          Effect.map(
            Effect.forEach(steps, (step) => {
              if (step._tag === "Both") {
                const key = `k${++count}`
                return Effect.as(both(key), [key])
              }
              const inside = execute(step.steps, depth + 1)
              if (step.by === "statements" && typeof statement === "function") {
                return Effect.gen(function*() {
                  // one name for all of a depth: the latest is meant
                  yield* statement(`SAVEPOINT level${depth}`)
                  const keys = yield* inside
                  if (step.fails) yield* statement(`ROLLBACK TO SAVEPOINT level${depth}`)
                  yield* statement(`RELEASE SAVEPOINT level${depth}`)
                  return step.fails ? [] : keys
                })
              }
              const ending = step.fails ? Effect.zipRight(inside, new Refused()) : inside
              const nested = step.by === "client" ? inClient(ending) : Transaction.run(ending)
              return Effect.catchAll(nested, (error) =>
                error instanceof Refused ? Effect.succeed([]) : Effect.fail(error))
            }),
            (keys) =>
              keys.flat()
          )
        let expected: ReadonlyArray<string> = []
        const runtime = yield* Effect.runtime<Services<R>>()
        const property = FastCheck.asyncProperty(tree, FastCheck.boolean(), (steps, fails) =>
          Effect.gen(function*() {
            const before = expected
            const exit = yield* Effect.exit(Transaction.run(Effect.flatMap(execute(steps, 0), (keys) => {
              if (fails) return Effect.fail(new Refused())
              expected = [...expected, ...keys]
              return Effect.void
            })))
            if (Exit.isFailure(exit)) {
              expected = before
              if (!(failureOf(exit) instanceof Refused)) return yield* exit
            }
            yield* assertStored(expected)
          }).pipe(Effect.provide(runtime), Effect.runPromise))
        const nest = (by: "run" | "client", fails: boolean, ...steps: ReadonlyArray<Step>): Step => ({
          _tag: "Nest",
          by,
          fails,
          steps
        })
        // a savepoint of a client behind two of its own and a run, whose name must be another one
        const inner = nest("run", false, nest("client", false))
        const named: ReadonlyArray<Step> = [nest("client", false, nest("client", true, inner))]
        yield* Effect.promise(() =>
          FastCheck.assert(property, { numRuns: 60, endOnFailure: true, examples: [[named, false]] })
        )
      })
    )
  })
}
