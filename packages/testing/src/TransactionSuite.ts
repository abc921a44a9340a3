/**
 * The promises of transactions, as a suite that every transactor runs: domain writes and events, together or not at all.
 *
 * @since 0.1.0
 */
import * as Event from "@effect-cqrs/core/Event"
import * as Outbox from "@effect-cqrs/core/Outbox"
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { assertIds, assertOrder, casesOf } from "./internal/cases.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of a transactor: how to build it, and how a program writes to its database. `R` is what
 * these statements need, as a SQL client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** A database of this name that did not exist before, ready to be used, with nothing in it. */
  readonly layer: (name: string) => Layer.Layer<Transactor | OutboxStorage | R, unknown>
  /** Stores a key, as the domain writes of a program would. Each key is written once. */
  readonly write: (key: string) => Effect.Effect<unknown, unknown, R | Transaction.Transaction>
  /** The keys that are stored. Called outside of transactions. */
  readonly read: Effect.Effect<ReadonlyArray<string>, unknown, R>
  /** Makes the outbox refuse whatever is appended from now on, as when its table is gone. Called outside of transactions. */
  readonly breakOutbox: Effect.Effect<unknown, unknown, R>
  /** A statement that the database refuses, whatever this does to the transaction. */
  readonly failing: Feature<Effect.Effect<unknown, unknown, R>>
  /** A statement that fails, and with which the database gives up the whole transaction by itself. */
  readonly losing: Feature<Effect.Effect<unknown, unknown, R>>
  /** A statement that succeeds, and after which COMMIT fails, as with a deferred constraint. */
  readonly uncommittable: Feature<Effect.Effect<unknown, unknown, R>>
  /** A statement that commits by itself what came before it. */
  readonly implicitCommit: Feature<Effect.Effect<unknown, unknown, R>>
  /** Fails as a statement does in a transaction that the database has chosen as the victim of a conflict. */
  readonly conflict: Feature<Effect.Effect<unknown, unknown, R>>
  /** The transactions of the client that the program has anyway: `sql.withTransaction`. */
  readonly withTransaction: Feature<
    <A, E, R2>(effect: Effect.Effect<A, E, R2>) => Effect.Effect<A, unknown, R | R2>
  >
  /** Runs a statement as it is: `SAVEPOINT a`, `COMMIT`. */
  readonly statement: Feature<(text: string) => Effect.Effect<unknown, unknown, R>>
  /** How long a case may take, in milliseconds. Default: 30,000. */
  readonly timeout?: number | undefined
}

/**
 * Runs the suite: each case on a database of its own.
 *
 * @example
 * ```ts
 * import { OutboxStorage, Transaction, Transactor } from "@effect-cqrs/core"
 * import { type Suite, TransactionSuite } from "@effect-cqrs/testing"
 * import { Context, Effect, Layer } from "effect"
 *
 * class Keys extends Context.Tag("Keys")<Keys, Set<string>>() {}
 *
 * export const memory = (runner: Suite.Runner, facts: Omit<TransactionSuite.Facts<Keys>, keyof Suite.Runner>) =>
 *   TransactionSuite.suite("memory", {
 *     ...runner,
 *     ...facts,
 *     layer: () =>
 *       Transactor.layerMemory.pipe(
 *         Layer.provideMerge(OutboxStorage.layerMemory()),
 *         Layer.merge(Layer.sync(Keys, () => new Set()))
 *       ),
 *     write: (key) =>
 *       Effect.flatMap(Keys, (keys) => {
 *         keys.add(key)
 *         return Transaction.afterRollback(Effect.sync(() => keys.delete(key)))
 *       }),
 *     read: Effect.map(Keys, (keys) => [...keys])
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const { read, write } = facts
  type Services = Transactor | OutboxStorage | R

  const cases = casesOf(facts, { timeout: facts.timeout ?? 30_000 })
  const provided = (id: string) => (test: Effect.Effect<void, unknown, Services | Scope.Scope>) =>
    Effect.provide(test, facts.layer(id))
  const it = (name: string, test: Effect.Effect<void, unknown, Services | Scope.Scope>) =>
    cases.it(name, (id) => provided(id)(test))
  const itWith = <A>(
    feature: Feature<A>,
    name: string,
    test: (feature: A) => Effect.Effect<void, unknown, Services | Scope.Scope>
  ) => cases.itWith(feature, name, (id, feature) => provided(id)(Effect.suspend(() => test(feature))))

  /** In a transaction of the client's, or else in a nested run. */
  const inClient = <A, E, R2>(
    effect: Effect.Effect<A, E, R2>
  ): Effect.Effect<A, unknown, R | Transactor | Exclude<R2, Transaction.Transaction> | R2> =>
    typeof facts.withTransaction === "function" ? facts.withTransaction(effect) : Transaction.run(effect)

  const add = (key: string) => Outbox.add(new Announced({ key }))
  const both = (key: string) => Effect.zipRight(write(key), add(key))

  /** What is stored: as many writes as events, and these in the order of their adding. */
  const assertStored = (expected: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      assertIds("writes", yield* read, expected)
      assertOrder("events", yield* announced, expected)
    })

  /** The database's connections are as they were: another transaction commits. */
  const assertUsable = (before: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      yield* Transaction.run(both("afterwards"))
      yield* assertStored([...before, "afterwards"])
    })

  facts.describe(`${name}: transactions`, () => {
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
          ): Effect.Effect<ReadonlyArray<string>, unknown, Services | Transaction.Transaction> =>
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
          const runtime = yield* Effect.runtime<Services>()
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
          yield* Effect.promise(() => FastCheck.assert(property, { numRuns: 60, endOnFailure: true }))
        })
      )
    })

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

    facts.describe("conflicts", () => {
      itWith(
        facts.conflict,
        "a victim is repeated as a whole by its policy, each time from nothing",
        (conflict) =>
          Effect.gen(function*() {
            let attempts = 0
            const hooks: Array<number> = []
            yield* Transaction.run(
              Effect.gen(function*() {
                const attempt = ++attempts
                yield* both("a")
                yield* add(`attempt ${attempt}`)
                yield* Transaction.afterCommit(Effect.sync(() => hooks.push(attempt)))
                if (attempt < 3) yield* conflict
              }),
              { retry: Schedule.recurs(5) }
            )
            assert.strictEqual(attempts, 3)
            assert.deepStrictEqual(hooks, [3])
            assertIds("writes", yield* read, ["a"])
            assertOrder("events", yield* announced, ["a", "attempt 3"])
          })
      )

      itWith(
        facts.conflict,
        "a victim in a nested run is repeated with the whole transaction",
        (conflict) =>
          Effect.gen(function*() {
            let attempts = 0
            yield* Transaction.run(
              Effect.gen(function*() {
                const attempt = ++attempts
                yield* both("a")
                yield* Transaction.run(Effect.zipRight(both("b"), attempt < 3 ? conflict : Effect.void))
              }),
              { retry: Schedule.recurs(5) }
            )
            assert.strictEqual(attempts, 3)
            yield* assertStored(["a", "b"])
          })
      )

      itWith(
        facts.conflict,
        "a victim is repeated no more often than its policy says, and not at all without one",
        (conflict) =>
          Effect.gen(function*() {
            let attempts = 0
            const always = Effect.zipRight(Effect.suspend(() => both(`a${++attempts}`)), conflict)
            yield* Effect.flip(Transaction.run(always))
            assert.strictEqual(attempts, 1)
            yield* Effect.flip(Transaction.run(always, { retry: Schedule.recurs(2) }))
            assert.strictEqual(attempts, 4)
            yield* assertStored([])
            yield* assertUsable([])
          })
      )

      it(
        "another failure is not repeated",
        Effect.gen(function*() {
          let attempts = 0
          yield* Effect.flip(Transaction.run(
            Effect.suspend(() => Effect.zipRight(both(`a${++attempts}`), new Refused())),
            { retry: Schedule.recurs(5) }
          ))
          assert.strictEqual(attempts, 1)
          yield* assertStored([])
        })
      )
    })

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
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

class Announced extends Event.notification<Announced>()("transaction_suite_announced", {
  topic: "transaction_suite",
  payload: { key: Schema.String }
}) {}

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

type Step =
  | { readonly _tag: "Both" }
  | {
    readonly _tag: "Nest"
    readonly by: "run" | "client" | "statements"
    readonly fails: boolean
    readonly steps: ReadonlyArray<Step>
  }

const decoder = new TextDecoder()

/** Of services that only an adapter knows the compiler cannot say that no Transaction is among them. */
const afterCommit: <R>(
  effect: Effect.Effect<unknown, never, R>
) => Effect.Effect<void, Transaction.TransactionError, Transaction.Transaction | R> = Transaction.afterCommit as never

const afterRollback: typeof afterCommit = Transaction.afterRollback as never

/** The keys of the events that are stored, by sequence. */
const announced = Effect.flatMap(OutboxStorage, (storage) =>
  Effect.map(
    storage.read({
      from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
      limit: 100_000,
      maxBytes: Number.MAX_SAFE_INTEGER,
      exceptTopics: []
    }),
    (entries) => entries.map((entry): string => JSON.parse(decoder.decode(entry.message.payload)).key)
  ))

const failureOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined

const defectOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined

const assertReason = (error: unknown, reason: Transaction.TransactionError["reason"]): void => {
  assert.ok(
    error instanceof Transaction.TransactionError,
    `a TransactionError with the reason ${reason} was expected: ${String(error)}`
  )
  assert.strictEqual(error.reason, reason, error.message)
}
