import { Event, Inbox, Outbox, OutboxStorage, Transaction } from "@effect-cqrs/core"
import { Migrations, SqlOutboxStorage, SqlStorage } from "@effect-cqrs/sql"
import { Command, CommandExecutor } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { client, Filename, layerFile, layerFilename, layerInMemory } from "./sqlite.ts"
import { startChecks } from "./startChecks.ts"

const tables = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<
      { name: string }
    >`select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by name`,
    (rows) => rows.map((row) => row.name)
  ))

const ours = [
  "cqrs_idempotency",
  "cqrs_inbox",
  "cqrs_inbox_start",
  "cqrs_lease",
  "cqrs_migrations",
  "cqrs_outbox",
  "cqrs_relay",
  "cqrs_settings"
]

/** The error of building the layer on the client at hand. */
const refusal = (options?: SqlStorage.Options) => Effect.flip(Effect.scoped(Layer.build(SqlStorage.layer(options))))

const opens = (options?: SqlStorage.Options) => Effect.asVoid(Effect.scoped(Layer.build(SqlStorage.layer(options))))

class Noted extends Event.notification<Noted>()("noted", { topic: "notes", payload: { n: Schema.Number } }) {}

const pending = Effect.flatMap(
  OutboxStorage.OutboxStorage,
  (storage) => Effect.map(storage.statistics, (statistics) => statistics.pending)
)

describe("Migrations", () => {
  it.scopedLive("create the tables once, and say what they applied", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Migrations.run(), ["1_create_tables", "2_create_idempotency"])
      assert.deepStrictEqual(yield* tables, ours)
      yield* opens()
      assert.deepStrictEqual(yield* Migrations.run(), [])
      assert.deepStrictEqual(yield* tables, ours)
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("stay apart from the application's own migrations", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table effect_sql_migrations (migration_id integer primary key, name text, created_at text)`
      yield* sql`insert into effect_sql_migrations values (7, 'theirs', '')`
      assert.deepStrictEqual(yield* Migrations.run(), ["1_create_tables", "2_create_idempotency"])
      assert.deepStrictEqual(yield* sql`select name from effect_sql_migrations`, [{ name: "theirs" }])
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("several clients that start at the same time apply them once, and all of them can go on", () =>
    Effect.gen(function*() {
      const start = Effect.scoped(
        Effect.flatMap(
          Layer.build(client()),
          (context) => Effect.provide(Effect.zipLeft(Migrations.run(), opens()), context)
        )
      )
      const applied = yield* Effect.all(Array.from({ length: 8 }, () => start), { concurrency: "unbounded" })
      assert.deepStrictEqual(applied.flat(), ["1_create_tables", "2_create_idempotency"])
    }).pipe(Effect.provide(layerFilename)))

  it.scopedLive(
    "several processes that start at the same time apply them once, and all of them can go on",
    () =>
      Effect.gen(function*() {
        const filename = yield* Filename
        const executor = yield* CommandExecutor.CommandExecutor
        const program = Command.make(
          "node",
          "--import",
          "tsx",
          new URL("programs/migrate.ts", import.meta.url).pathname,
          filename
        )
        const said = yield* Effect.all(Array.from({ length: 3 }, () => executor.string(program)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(said.map((one) => one.trim()).sort(), ["", "", "1_create_tables,2_create_idempotency"])
      }).pipe(Effect.provide(Layer.merge(layerFilename, NodeContext.layer))),
    60_000
  )

  it.scopedLive("begin the names of the tables with the prefix, so that two outboxes live in one database", () =>
    Effect.gen(function*() {
      yield* Migrations.run({ prefix: "a_" })
      yield* Migrations.run({ prefix: "B" })
      assert.deepStrictEqual(yield* tables, [
        "Bidempotency",
        "Binbox",
        "Binbox_start",
        "Blease",
        "Bmigrations",
        "Boutbox",
        "Brelay",
        "Bsettings",
        "a_idempotency",
        "a_inbox",
        "a_inbox_start",
        "a_lease",
        "a_migrations",
        "a_outbox",
        "a_relay",
        "a_settings"
      ])
      const a = SqlStorage.layer({ prefix: "a_", buckets: 8 })
      const b = SqlStorage.layer({ prefix: "B", buckets: 16 })
      const key = { consumer: "c", handler: "h", source: "s", messageId: "m" }
      yield* Effect.gen(function*() {
        yield* Transaction.run(Outbox.add(new Noted({ n: 1 })))
        assert.strictEqual((yield* Inbox.process(key, Effect.void))._tag, "Handled")
        assert.strictEqual(yield* pending, 1)
      }).pipe(Effect.provide(a))
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* pending, 0)
        assert.strictEqual((yield* Inbox.process(key, Effect.void))._tag, "Handled")
      }).pipe(Effect.provide(b))
    }).pipe(Effect.provide(layerInMemory)))

  for (
    const prefix of [
      "",
      "1a",
      "a-b",
      "a b",
      "a.b",
      "cqrs_; drop table cqrs_outbox; --",
      "\"",
      "`",
      "é_",
      "a\u0000",
      "a\n",
      "x".repeat(32)
    ]
  ) {
    it.scopedLive(`refuse the prefix ${JSON.stringify(prefix)} with a sentence, and touch nothing`, () =>
      Effect.gen(function*() {
        const errors = [
          yield* Effect.flip(Migrations.run({ prefix })),
          yield* refusal({ prefix }),
          yield* refusal({ prefix, migrate: true }),
          yield* Effect.flip(Effect.scoped(Layer.build(SqlOutboxStorage.layer({ prefix }))))
        ]
        for (const error of errors) {
          assert.strictEqual(error.reason, "Configuration")
          assert.match(error.message, /prefix.* must be a letter or underscore/)
        }
        assert.deepStrictEqual(yield* tables, [])
      }).pipe(Effect.provide(layerInMemory)))
  }

  it.scopedLive("the longest prefix is one of 31 characters", () =>
    Effect.gen(function*() {
      yield* Migrations.run({ prefix: "x".repeat(31) })
      yield* opens({ prefix: "x".repeat(31) })
    }).pipe(Effect.provide(layerInMemory)))
})

describe("the check at the start", () => {
  it.scopedLive("names the missing table, and passes once the migrations have run on the same client", () =>
    Effect.gen(function*() {
      const error = yield* refusal()
      assert.strictEqual(error.reason, "Schema")
      assert.include(error.message, "cqrs_migrations")
      assert.include(error.message, "Migrations.run")
      yield* Migrations.run()
      yield* opens()
    }).pipe(Effect.provide(layerInMemory)))

  for (
    const table of [
      "cqrs_outbox",
      "cqrs_inbox",
      "cqrs_inbox_start",
      "cqrs_idempotency",
      "cqrs_settings",
      "cqrs_relay",
      "cqrs_lease"
    ]
  ) {
    it.scopedLive(`names ${table} when it is missing`, () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* Migrations.run()
        yield* sql.unsafe(`drop table ${table}`)
        const error = yield* refusal()
        assert.strictEqual(error.reason, "Schema")
        assert.include(error.message, `${table} `)
      }).pipe(Effect.provide(layerInMemory)))
  }

  startChecks(() => layerInMemory)

  it.scopedLive("records the number of buckets at the first start, and refuses another one", () =>
    Effect.gen(function*() {
      yield* Migrations.run()
      yield* opens({ buckets: 8 })
      yield* opens({ buckets: 8 })
      yield* opens()
      const error = yield* refusal({ buckets: 16 })
      assert.strictEqual(error.reason, "Configuration")
      assert.match(error.message, /cqrs_outbox .* 8 buckets and 16 are asked for/)
      const stored = Effect.map(OutboxStorage.OutboxStorage, (storage) => storage.buckets)
      assert.strictEqual(yield* Effect.provide(stored, SqlStorage.layer()), 8)
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("the number of buckets is 64 unless given", () =>
    Effect.gen(function*() {
      yield* opens({ migrate: true })
      yield* opens({ buckets: 64 })
      assert.include((yield* refusal({ buckets: 63 })).message, "64 buckets")
    }).pipe(Effect.provide(layerFile)))

  for (const buckets of [0, -1, 1.5, 4097, Number.NaN, Number.POSITIVE_INFINITY]) {
    it.scopedLive(`refuses ${buckets} buckets`, () =>
      Effect.gen(function*() {
        yield* Migrations.run()
        const error = yield* refusal({ buckets })
        assert.strictEqual(error.reason, "Configuration")
        assert.include(error.message, `${buckets} buckets`)
        yield* opens({ buckets: 4096 })
      }).pipe(Effect.provide(layerInMemory)))
  }
})
