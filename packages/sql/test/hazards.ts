import { Event, Outbox, OutboxStorage, Transaction, type Transactor } from "@effect-cqrs/core"
import type { Suite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Option, Schedule, Schema } from "effect"
import { type Database, Second, type Services } from "./databases.ts"

class Announced extends Event.notification<Announced>()("hazards_announced", {
  topic: "hazards",
  payload: { key: Schema.String }
}) {}

/** How a program opens its transactions, and where it keeps the events that it announces when they are committed. */
interface Way {
  readonly transaction: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, unknown, R | Transactor.Transactor>
  readonly announce: (key: string) => Effect.Effect<unknown, unknown>
  readonly announced: Effect.Effect<ReadonlyArray<string>, unknown>
}

/** The transactions of @effect/sql, and a buffer. */
const plain = Effect.map(SqlClient.SqlClient, (sql): Way => {
  const buffer: Array<string> = []
  return {
    transaction: sql.withTransaction,
    announce: (key) => Effect.sync(() => buffer.push(key)),
    announced: Effect.sync(() => buffer)
  }
})

const ours = Effect.map(OutboxStorage.OutboxStorage, (storage): Way => ({
  transaction: Transaction.run as Way["transaction"],
  announce: (key) => Outbox.add(new Announced({ key })) as Effect.Effect<unknown, unknown>,
  announced: Effect.map(
    storage.read({
      from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
      limit: 1000,
      maxBytes: Number.MAX_SAFE_INTEGER,
      exceptTopics: []
    }),
    (entries) => entries.map((entry): string => JSON.parse(new TextDecoder().decode(entry.message.payload)).key)
  )
}))

const write = (key: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into facts values (${key})`)

const storedBy = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ id: string }>`select id from facts order by id`, (rows) => rows.map((row) => row.id))

const stored = Effect.flatMap(SqlClient.SqlClient, storedBy)

const isDefect = (exit: Exit.Exit<unknown, unknown>): boolean => Exit.isFailure(exit) && Cause.isDie(exit.cause)

const reasonOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
  return error instanceof Transaction.TransactionError ? error.reason : undefined
}

/**
 * What goes wrong with transactions of `sql.withTransaction` and events in a buffer: each hazard is one program, which
 * does harm that way and none with this library.
 */
export const hazards = <R>(database: Database<R>): void => {
  const hazard = <A, B>(
    name: string,
    feature: Suite.Feature<A>,
    program: (way: Way, feature: A) => Effect.Effect<B, unknown, Services | R>,
    expected: {
      readonly plain: readonly [harm: string, check: (outcome: B) => void]
      readonly ours: readonly [harmless: string, check: (outcome: B) => void]
    }
  ): void => {
    describe(name, () => {
      const ways: ReadonlyArray<readonly ["plain" | "ours", string, Effect.Effect<Way, never, Services>]> = [
        ["plain", "sql.withTransaction", plain],
        ["ours", "Transaction.run", ours]
      ]
      for (const [side, by, way] of ways) {
        const [says, check] = expected[side]
        const full = `${by}: ${says}`
        if (typeof feature === "object" && feature !== null && "reason" in feature) {
          it.skip(`${full} (${feature.reason})`, () => {})
          continue
        }
        it.scopedLive(full, () =>
          Effect.flatMap(way, (way) => program(way, feature as A)).pipe(
            Effect.map(check),
            Effect.provide(Layer.merge(database.layer, Logger.remove(Logger.defaultLogger)))
          ), 60_000)
      }
    })
  }

  describe(`hazards on ${database.name}`, () => {
    const retried = (feature: Effect.Effect<unknown, unknown, SqlClient.SqlClient | R>, { transaction }: Way) =>
      Effect.gen(function*() {
        let attempts = 0
        const exit = yield* transaction(Effect.suspend(() => {
          attempts += 1
          return attempts === 4 ? write("a") : feature
        })).pipe(Effect.retry(Schedule.recurs(3)), Effect.exit)
        return { attempts, exit, stored: Exit.isSuccess(exit) ? yield* stored : [] }
      })

    hazard("H1: a COMMIT that fails", database.uncommittable, (way, uncommittable) => retried(uncommittable, way), {
      plain: ["is a defect, which no retry sees", ({ attempts, exit }) => {
        assert.isTrue(isDefect(exit))
        assert.strictEqual(attempts, 1)
      }],
      ours: ["is an error, which a retry sees", ({ attempts, exit, stored }) => {
        assert.isTrue(Exit.isSuccess(exit), String(exit))
        assert.strictEqual(attempts, 4)
        assert.deepStrictEqual(stored, ["a"])
      }]
    })

    hazard(
      "H1: a connection that is lost before COMMIT",
      database.disconnecting,
      (way, disconnecting) => retried(disconnecting, way),
      {
        plain: ["is a defect, which no retry sees", ({ attempts, exit }) => {
          assert.isTrue(isDefect(exit))
          assert.strictEqual(attempts, 1)
        }],
        ours: ["is an error, which a retry sees", ({ attempts, exit, stored }) => {
          assert.isTrue(Exit.isSuccess(exit), String(exit))
          assert.strictEqual(attempts, 4)
          assert.deepStrictEqual(stored, ["a"])
        }]
      }
    )

    const swallowed = (feature: Effect.Effect<unknown, unknown, SqlClient.SqlClient | R>, { transaction }: Way) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(transaction(Effect.gen(function*() {
          yield* write("a")
          yield* Effect.ignore(feature)
          yield* Effect.ignore(write("b"))
        })))
        return { exit, stored: yield* stored }
      })

    hazard(
      "H2: a swallowed error of a statement that aborts the transaction",
      database.aborting,
      (way, aborting) => swallowed(aborting, way),
      {
        plain: ["the transaction succeeds, and nothing is stored", ({ exit, stored }) => {
          assert.isTrue(Exit.isSuccess(exit), String(exit))
          assert.deepStrictEqual(stored, [])
        }],
        ours: ["the transaction fails", ({ exit, stored }) => {
          assert.strictEqual(reasonOf(exit), "RolledBack")
          assert.deepStrictEqual(stored, [])
        }]
      }
    )

    hazard(
      "H3: a swallowed error of a statement with which the database rolls back",
      database.losing,
      (way, losing) => swallowed(losing, way),
      {
        plain: [
          "the transaction succeeds or dies, and half of it is stored",
          ({ stored }) => assert.deepStrictEqual(stored, ["b"])
        ],
        ours: ["the transaction fails, and nothing is stored", ({ exit, stored }) => {
          assert.strictEqual(reasonOf(exit), "RolledBack")
          assert.deepStrictEqual(stored, [])
        }]
      }
    )

    hazard(
      "H4: two nested transactions at the same time",
      true,
      ({ transaction }) =>
        Effect.gen(function*() {
          yield* transaction(Effect.gen(function*() {
            const begun = yield* Deferred.make<void>()
            const written = yield* Deferred.make<void>()
            const failing = yield* Effect.fork(Effect.exit(transaction(Effect.gen(function*() {
              yield* write("failed")
              yield* Deferred.succeed(begun, undefined)
              // where they take turns, the other one waits for this one
              yield* Effect.timeoutOption(Deferred.await(written), "300 millis")
              return yield* Effect.fail("no")
            }))))
            yield* Deferred.await(begun)
            yield* transaction(Effect.gen(function*() {
              yield* write("succeeded")
              yield* Deferred.succeed(written, undefined)
              yield* Fiber.join(failing)
            }))
          }))
          return yield* stored
        }),
      {
        plain: [
          "share a savepoint: the failure of one erases the other's work and keeps its own",
          (stored) => assert.deepStrictEqual(stored, ["failed"])
        ],
        ours: [
          "take turns, and each is undone by its own failure",
          (stored) => assert.deepStrictEqual(stored, ["succeeded"])
        ]
      }
    )

    hazard(
      "H5: a fiber that outlives its transaction",
      true,
      ({ transaction }) =>
        Effect.gen(function*() {
          const go = yield* Deferred.make<void>()
          const late = yield* transaction(Effect.forkDaemon(
            Effect.zipRight(Deferred.await(go), Effect.exit(write("late")))
          ))
          let exit: Exit.Exit<unknown, unknown> = Exit.void
          yield* Effect.exit(transaction(Effect.gen(function*() {
            yield* Deferred.succeed(go, undefined)
            exit = yield* Fiber.join(late)
            return yield* Effect.fail("no")
          })))
          return { exit, stored: yield* stored }
        }),
      {
        plain: ["writes into another's, succeeds, and is rolled back with it", ({ exit, stored }) => {
          assert.isTrue(Exit.isSuccess(exit), String(exit))
          assert.deepStrictEqual(stored, [])
        }],
        ours: ["gets an error", ({ exit, stored }) => {
          assert.isTrue(Exit.isFailure(exit) && !isDefect(exit), String(exit))
          assert.include(String(exit), "after the end of its transaction")
          assert.deepStrictEqual(stored, [])
        }]
      }
    )

    hazard(
      "H6: the statements of a second client",
      true,
      ({ transaction }) =>
        Effect.gen(function*() {
          const first = yield* SqlClient.SqlClient
          const second = yield* Second
          yield* transaction(Effect.zipRight(write("first"), second`insert into facts values ('second')`))
          return [yield* storedBy(first), yield* storedBy(second)]
        }),
      {
        plain: [
          "run on the database of the first",
          (stored) => assert.deepStrictEqual(stored, [["first", "second"], []])
        ],
        ours: ["run on their own", (stored) => assert.deepStrictEqual(stored, [["first"], ["second"]])]
      }
    )

    hazard(
      "H7: an event whose write is undone with a savepoint",
      true,
      ({ announce, announced, transaction }) =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const both = (key: string) => Effect.zipRight(write(key), announce(key))
          yield* transaction(Effect.gen(function*() {
            yield* both("a")
            yield* Effect.exit(sql.withTransaction(Effect.zipRight(both("b"), Effect.fail("no"))))
          }))
          return { announced: yield* announced, stored: yield* stored }
        }),
      {
        plain: [
          "is announced from a buffer",
          (outcome) => assert.deepStrictEqual(outcome, { announced: ["a", "b"], stored: ["a"] })
        ],
        ours: ["is undone with it", (outcome) => assert.deepStrictEqual(outcome, { announced: ["a"], stored: ["a"] })]
      }
    )

    hazard(
      "a statement that commits what came before it",
      database.implicitCommit,
      ({ transaction }, implicitCommit) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(transaction(Effect.gen(function*() {
            yield* write("a")
            yield* Effect.ignore(implicitCommit)
            return yield* Effect.fail("no")
          })))
          return { exit, stored: yield* stored }
        }),
      {
        plain: ["half of a transaction that failed is stored", ({ exit, stored }) => {
          assert.isTrue(Exit.isFailure(exit))
          assert.deepStrictEqual(stored, ["a"])
        }],
        ours: ["nothing of it is stored", ({ exit, stored }) => {
          assert.isTrue(Exit.isFailure(exit))
          assert.deepStrictEqual(stored, [])
        }]
      }
    )
  })
}
