import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Schedule } from "effect"
import { layerInMemory } from "./sqlite.ts"

const setup = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`pragma foreign_keys = on`
  yield* sql`create table facts (key text primary key not null)`
  yield* sql`create table parents (id integer primary key)`
  yield* sql`create table children (parent integer references parents (id) deferrable initially deferred)`
  const write = (key: string) => sql`insert into facts values (${key})`
  const read = Effect.map(
    sql<{ key: string }>`select key from facts order by key`,
    (rows) => rows.map((row) => row.key)
  )
  return { sql, write, read }
})

/** What the documentation says of the plain transactions of @effect/sql; the suite shows the same program on this library. */
describe("sql.withTransaction on its own", () => {
  it.scopedLive("H1: a COMMIT that fails is a defect, which no retry and no catchAll sees", () =>
    Effect.gen(function*() {
      const { sql } = yield* setup
      let attempts = 0
      const exit = yield* sql.withTransaction(Effect.suspend(() => {
        attempts += 1
        return sql`insert into children values (1)`
      })).pipe(Effect.retry(Schedule.recurs(3)), Effect.catchAll(() => Effect.void), Effect.exit)
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.strictEqual(attempts, 1)
      // and the transaction is still open on the connection that went back: the next one cannot begin
      assert.isTrue(Exit.isFailure(yield* Effect.exit(sql.withTransaction(Effect.void))))
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("H3: after a rollback by the database itself, later statements are committed one by one: half is stored", () =>
    Effect.gen(function*() {
      const { read, sql, write } = yield* setup
      yield* Effect.exit(sql.withTransaction(Effect.gen(function*() {
        yield* write("a")
        yield* Effect.ignore(sql`insert or rollback into facts values (null)`)
        yield* write("b")
      })))
      assert.deepStrictEqual(yield* read, ["b"])
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("H4: two nested transactions at the same time share a savepoint, and one's failure erases the other", () =>
    Effect.gen(function*() {
      const { read, sql, write } = yield* setup
      yield* sql.withTransaction(Effect.gen(function*() {
        const written = yield* Deferred.make<void>()
        const begun = yield* Deferred.make<void>()
        const failing = yield* Effect.fork(Effect.exit(sql.withTransaction(Effect.gen(function*() {
          yield* Deferred.succeed(begun, undefined)
          yield* Deferred.await(written)
          return yield* Effect.fail("no")
        }))))
        yield* Deferred.await(begun)
        // this one's savepoint is inside the other's, and the latest of their common name
        const other = yield* Effect.exit(sql.withTransaction(Effect.gen(function*() {
          yield* write("succeeded")
          yield* Deferred.succeed(written, undefined)
          yield* Fiber.join(failing)
        })))
        assert.isTrue(Exit.isSuccess(other))
      }))
      assert.deepStrictEqual(yield* read, [])
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("H5: a fiber that outlives its transaction writes into another's", () =>
    Effect.gen(function*() {
      const { read, sql, write } = yield* setup
      const go = yield* Deferred.make<void>()
      const late = yield* sql.withTransaction(Effect.forkDaemon(Effect.zipRight(Deferred.await(go), write("late"))))
      yield* Effect.exit(sql.withTransaction(Effect.gen(function*() {
        yield* Deferred.succeed(go, undefined)
        // it succeeds, and is rolled back with what it has nothing to do with
        yield* Fiber.join(late)
        assert.deepStrictEqual(yield* read, ["late"])
        return yield* Effect.fail("no")
      })))
      assert.deepStrictEqual(yield* read, [])
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("H6: the statements of a second client inside run on the database of the first", () =>
    Effect.gen(function*() {
      const { read, sql } = yield* setup
      const second = Context.get(yield* Layer.build(SqliteClient.layer({ filename: ":memory:" })), SqlClient.SqlClient)
      yield* second`create table facts (key text primary key not null)`
      yield* sql.withTransaction(second`insert into facts values ('of the second')`)
      assert.deepStrictEqual(yield* read, ["of the second"])
      assert.deepStrictEqual(yield* second`select key from facts`, [])
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("H7: events in a buffer of one's own outlive the savepoint their writes were undone with", () =>
    Effect.gen(function*() {
      const { read, sql, write } = yield* setup
      const buffer: Array<string> = []
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* write("a")
        yield* Effect.exit(sql.withTransaction(Effect.gen(function*() {
          yield* write("b")
          buffer.push("b")
          return yield* Effect.fail("no")
        })))
      }))
      assert.deepStrictEqual(yield* read, ["a"])
      assert.deepStrictEqual(buffer, ["b"])
    }).pipe(Effect.provide(layerInMemory)))
})
