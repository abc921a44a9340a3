import { Transaction } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { clients } from "./clients.ts"
import { sqlite } from "./databases.ts"

clients(sqlite)

describe("a client with transforms", () => {
  it.scopedLive("is one client with its withoutTransforms: both join in", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const bare = sql.withoutTransforms()
      assert.notStrictEqual(bare, sql)
      yield* sql`create table things (id text)`
      yield* Effect.exit(Transaction.run(Effect.gen(function*() {
        yield* sql`insert into things values ('a')`
        yield* bare`insert into things values ('b')`
        assert.deepStrictEqual(yield* bare`select id from things`, [{ id: "a" }, { id: "b" }])
        assert.deepStrictEqual(yield* sql<object>`select id from things`, [{ ID: "a" }, { ID: "b" }])
        return yield* Effect.fail("no")
      })))
      assert.deepStrictEqual(yield* sql`select id from things`, [])
    }).pipe(Effect.provide(Layer.provideMerge(
      SqlStorage.layer({ migrate: true }),
      SqliteClient.layer({ filename: ":memory:", transformResultNames: (name) => name.toUpperCase() })
    ))))
})
