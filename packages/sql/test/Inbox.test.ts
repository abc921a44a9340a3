import { Inbox } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { InboxSuite, Suite } from "@effect-cqrs/testing"
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
    Effect.flatMap(sql, (sql) =>
      Effect.all([
        sql`update cqrs_inbox set handled_at = handled_at - ${Duration.toMillis(by) * 1000}`,
        sql`update cqrs_inbox_start set started_at = started_at - ${Duration.toMillis(by) * 1000}`
      ])),
  read: Effect.flatMap(
    sql,
    (sql) => Effect.map(sql<{ key: string }>`select key from facts`, (rows) => rows.map((row) => row.key))
  )
}

InboxSuite.suite("SQLite in a file", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerFile),
  reopen: (name) =>
    Effect.map(
      folder,
      (path) => Layer.provideMerge(layer, Layer.suspend(() => SqliteClient.layer({ filename: `${path}/${name}.db` })))
    )
})

InboxSuite.suite("SQLite in memory", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerInMemory),
  reopen: Suite.unsupported("a database in memory goes with its connection")
})

describe("the inbox's options", () => {
  const key = { consumer: "c", handler: "h", source: "/s", messageId: "1" }
  const remembered = Effect.flatMap(sql, (sql) => sql`select message_id from cqrs_inbox`)

  it.scopedLive("decide how long it remembers, and how often what is older is deleted", () =>
    Effect.gen(function*() {
      const storage = yield* Layer.build(
        SqlStorage.layer({ migrate: true, inboxRetention: "200 millis", inboxPurgeInterval: "20 millis" })
      )
      const process = Effect.provide(Inbox.process(key, Effect.void), storage)
      assert.strictEqual((yield* process)._tag, "Handled")
      assert.strictEqual((yield* process)._tag, "Duplicate")
      yield* Effect.repeat(Effect.zipRight(Effect.sleep("10 millis"), remembered), {
        until: (rows) => rows.length === 0
      })
      assert.strictEqual((yield* process)._tag, "Handled")
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("let a program that starts delete what is old at once", () =>
    Effect.gen(function*() {
      yield* Effect.provide(Inbox.process(key, Effect.void), SqlStorage.layer({ migrate: true }))
      yield* Effect.flatMap(sql, (sql) => sql`update cqrs_inbox set handled_at = 0`)
      yield* Layer.build(SqlStorage.layer({ inboxPurgeInterval: "1 hour" }))
      yield* Effect.repeat(Effect.zipRight(Effect.sleep("10 millis"), remembered), {
        until: (rows) => rows.length === 0
      })
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("may be to remember for ever", () =>
    Effect.gen(function*() {
      const storage = yield* Layer.build(SqlStorage.layer({ migrate: true, inboxRetention: Duration.infinity }))
      yield* Effect.provide(Inbox.process(key, Effect.void), storage)
      yield* Effect.flatMap(sql, (sql) => sql`update cqrs_inbox set handled_at = 0`)
      const purge = Effect.flatMap(Inbox.InboxStorage, (inbox) => inbox.purge({ limit: 10 }))
      assert.strictEqual(yield* Effect.provide(purge, storage), 0)
      assert.strictEqual((yield* remembered).length, 1)
    }).pipe(Effect.provide(layerInMemory)))

  for (const options of [{ inboxRetention: 0 }, { inboxRetention: -1 }, { inboxPurgeInterval: 0 }]) {
    it.scopedLive(`refuse ${JSON.stringify(options)} with a sentence`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Layer.build(SqlStorage.layer({ migrate: true, ...options })))
        assert.strictEqual(error.reason, "Configuration")
        assert.match(error.message, /^The inbox's .* must be a duration above 0/)
      }).pipe(Effect.provide(layerInMemory)))
  }
})
