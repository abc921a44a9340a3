import { SqlStorage } from "@effect-cqrs/sql"
import { IdempotencySuite, Suite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { folder, layerFile, layerInMemory } from "./sqlite.ts"

const sql = SqlClient.SqlClient

const layer = Layer.provideMerge(
  SqlStorage.layer({ migrate: true }),
  Layer.effectDiscard(Effect.flatMap(sql, (sql) => sql`create table if not exists facts (key text primary key)`))
)

const facts = {
  describe,
  it,
  write: (key: string) => Effect.flatMap(sql, (sql) => sql`insert into facts values (${key})`),
  age: (by: Duration.Duration) =>
    Effect.flatMap(
      sql,
      (sql) => sql`update cqrs_idempotency set claimed_at = claimed_at - ${Duration.toMillis(by) * 1000}`
    ),
  read: Effect.flatMap(
    sql,
    (sql) => Effect.map(sql<{ key: string }>`select key from facts`, (rows) => rows.map((row) => row.key))
  )
}

IdempotencySuite.suite("SQLite in a file", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerFile),
  reopen: (name) =>
    Effect.map(
      folder,
      (path) => Layer.provideMerge(layer, Layer.suspend(() => SqliteClient.layer({ filename: `${path}/${name}.db` })))
    )
})

IdempotencySuite.suite("SQLite in memory", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerInMemory),
  reopen: Suite.unsupported("a database in memory goes with its connection")
})

describe("the options of idempotency keys", () => {
  it.scopedLive("decide how long they are kept, and how often what is older is deleted", () =>
    Effect.gen(function*() {
      yield* Layer.build(
        SqlStorage.layer({ migrate: true, idempotencyRetention: "200 millis", idempotencyPurgeInterval: "20 millis" })
      )
      const client = yield* sql
      yield* client`insert into cqrs_idempotency values
        ('', 'old', '', null, null, 0), ('', 'new', '', null, null, 9000000000000000)`
      const kept = client<{ idempotency_key: string }>`select idempotency_key from cqrs_idempotency`
      yield* Effect.repeat(Effect.zipRight(Effect.sleep("10 millis"), kept), { until: (rows) => rows.length === 1 })
      assert.deepStrictEqual((yield* kept).map((row) => row.idempotency_key), ["new"])
    }).pipe(Effect.provide(layerInMemory)))

  for (const options of [{ idempotencyRetention: 0 }, { idempotencyRetention: -1 }, { idempotencyPurgeInterval: 0 }]) {
    it.scopedLive(`refuse ${JSON.stringify(options)} with a sentence`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Layer.build(SqlStorage.layer({ migrate: true, ...options })))
        assert.strictEqual(error.reason, "Configuration")
        assert.match(error.message, /^The idempotency keys' .* must be a duration above 0/)
      }).pipe(Effect.provide(layerInMemory)))
  }
})
