import { Event, Outbox, OutboxStorage, Serialization, Transaction } from "@effect-cqrs/core"
import { Migrations, SqlStorage } from "@effect-cqrs/sql"
import { Proxy } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Layer, Redacted, Schema } from "effect"
import { inspect } from "node:util"
import { onEachServer, postgres } from "./servers.ts"
import { startChecks } from "./startChecks.ts"

class Noted extends Event.notification<Noted>()("noted", { topic: "notes", payload: { text: Schema.String } }) {}

const note = (text: string) => Transaction.run(Outbox.add(new Noted({ text })))

const pending = Effect.flatMap(
  OutboxStorage.OutboxStorage,
  (storage) => Effect.map(storage.statistics, (statistics) => statistics.pending)
)

const build = (options?: SqlStorage.Options) => Effect.asVoid(Effect.scoped(Layer.build(SqlStorage.layer(options))))

const refusal = (options?: SqlStorage.Options) => Effect.flip(build(options))

onEachServer((server, url) => {
  const isPostgres = server === postgres

  const layerClient = (change: (at: URL) => void) => {
    const at = new URL(Redacted.value(url))
    change(at)
    const options = { url: Redacted.make(at.href), maxConnections: 4 }
    return isPostgres ? PgClient.layer(options) : MysqlClient.layer(options)
  }

  const database = Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql.unsafe<{ name: string }>(`select ${isPostgres ? "current_database()" : "database()"} as name`),
      ([row]) => row!.name
    ))

  const tables = Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql.unsafe<{ name: string }>(
        "select table_name as name from information_schema.tables where table_schema = " +
          `${isPostgres ? "current_schema()" : "database()"} order by table_name`
      ),
      (rows) => rows.map(({ name }) => name)
    ))

  /** A client whose connections can be cut. */
  const cuttable = Effect.gen(function*() {
    const at = new URL(Redacted.value(url))
    const way = yield* Proxy.make({ host: at.hostname, port: Number(at.port || (isPostgres ? 5432 : 3306)) })
    const name = yield* database
    const client = layerClient((at) => {
      at.hostname = "127.0.0.1"
      at.port = String(way.port)
      at.pathname = `/${name}`
    })
    return { client, way }
  })

  describe("the database", () => {
    it.scopedLive("that cannot be reached at the start is one typed error, at once", () =>
      Effect.gen(function*() {
        const { client, way } = yield* cuttable
        yield* build({ migrate: true })
        yield* Effect.gen(function*() {
          yield* way.cut
          const [took, errors] = yield* Effect.timed(
            Effect.all([refusal(), refusal({ migrate: true }), Effect.flip(Migrations.run())])
          )
          for (const error of errors) {
            assert.strictEqual(error._tag, "StorageError")
            assert.strictEqual(error.reason, "Unavailable")
            assert.strictEqual(error.message, "The database did not answer")
          }
          assert.isBelow(Duration.toMillis(took), 5000)
          yield* way.restore
          yield* build()
        }).pipe(Effect.provide(client))
      }).pipe(Effect.provide(server.layerNew(url))))

    it.scopedLive("that goes away during work is a typed error of each call, and nothing is lost when it is back", () =>
      Effect.gen(function*() {
        const { client, way } = yield* cuttable
        yield* Effect.gen(function*() {
          const storage = yield* OutboxStorage.OutboxStorage
          yield* note("before")
          yield* way.cut
          for (let attempt = 0; attempt < 3; attempt++) {
            const [took, [writing, counting]] = yield* Effect.timed(
              Effect.all([Effect.flip(note("meanwhile")), Effect.flip(storage.statistics)])
            )
            assert.strictEqual(writing._tag, "TransactionError")
            assert.strictEqual(writing._tag === "TransactionError" ? writing.reason : "", "Unavailable")
            assert.strictEqual(counting.reason, "Unavailable")
            assert.isBelow(Duration.toMillis(took), 5000)
          }
          yield* way.restore
          yield* note("after")
          assert.strictEqual(yield* pending, 2)
        }).pipe(Effect.provide(Layer.provide(SqlStorage.layer({ migrate: true }), client)))
      }).pipe(Effect.provide(server.layerNew(url))))

    it.scopedLive("whose user may not do what is needed is an error that says so, at once", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const name = yield* database
        const user = name.replace("cqrs_test", "cqrs_user")
        yield* build({ migrate: true })
        yield* Effect.acquireRelease(
          isPostgres
            ? sql.unsafe(`create role ${user} login`)
            : sql.unsafe(`create user ${user} identified by 'pw'`),
          () => Effect.ignore(sql.unsafe(isPostgres ? `drop role ${user}` : `drop user ${user}`))
        )
        // comes in, and may read nothing
        if (!isPostgres) yield* sql.unsafe(`grant create temporary tables on ${name}.* to ${user}`)
        const [took, errors] = yield* Effect.timed(
          Effect.all([refusal(), Effect.flip(Migrations.run({ prefix: "other_" }))]).pipe(
            Effect.provide(layerClient((at) => {
              at.username = user
              at.password = isPostgres ? "" : "pw"
              at.pathname = `/${name}`
            }))
          )
        )
        // the catalogue of MariaDB and MySQL shows a user only what it may see
        assert.strictEqual(errors[0].reason, isPostgres ? "Configuration" : "Schema")
        assert.strictEqual(errors[1].reason, "Configuration")
        assert.match(errors[1].message, /refused the program's user: check/)
        assert.isBelow(Duration.toMillis(took), 5000)
      }).pipe(Effect.provide(server.layerNew(url))))
  })

  describe("the client's own layer", () => {
    const secret = "not-for-the-log"

    /** It fails, as the driver has it: typed, in a bounded time, without the password. */
    const fails = (change: (at: URL) => void) =>
      Effect.gen(function*() {
        const [took, exit] = yield* Effect.timed(Effect.exit(Effect.provide(build(), layerClient(change))))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isSuccess(exit)) return
        const { cause } = exit
        assert.isTrue(Cause.isFailType(cause), Cause.pretty(cause))
        const error = Cause.isFailType(cause) ? cause.error : undefined
        assert.strictEqual((error as { readonly _tag: string })._tag, "SqlError")
        const shown = [
          Cause.pretty(cause),
          Cause.pretty(cause, { renderErrorCause: true }),
          inspect(cause, { depth: 20, showHidden: true }),
          String(error),
          JSON.stringify(cause)
        ]
        for (const text of shown) assert.notInclude(text, secret)
        assert.isBelow(Duration.toMillis(took), 15_000)
      })

    it.scopedLive("fails on a port where nobody listens", () =>
      fails((at) => {
        at.port = "1"
        at.password = secret
      }))

    it.scopedLive("fails on a host that nobody knows", () =>
      fails((at) => {
        at.hostname = "no-such-host.invalid"
        at.password = secret
      }))

    it.scopedLive("fails on a database that is not there", () => fails((at) => at.pathname = "/cqrs_no_such_database"))

    it.scopedLive("fails on a password that is wrong, and on a user that may not come in", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const name = yield* database
        const user = name.replace("cqrs_test", "cqrs_user")
        yield* Effect.acquireRelease(
          isPostgres
            ? sql.unsafe(`create role ${user} nologin`)
            : sql.unsafe(`create user ${user} identified by 'right'`),
          () => Effect.ignore(sql.unsafe(isPostgres ? `drop role ${user}` : `drop user ${user}`))
        )
        yield* fails((at) => {
          at.username = user
          at.password = secret
        })
      }).pipe(Effect.provide(server.layerNew(url))))
  })

  describe("the tables", () => {
    for (
      const prefix of ["", "x; drop table cqrs_outbox; --", "`", "\"", "'", "é_", "a\u0000", "a.b", "x".repeat(32)]
    ) {
      it.scopedLive(`refuse the prefix ${JSON.stringify(prefix)} with a sentence, and touch nothing`, () =>
        Effect.gen(function*() {
          const errors = [
            yield* Effect.flip(Migrations.run({ prefix })),
            yield* refusal({ prefix }),
            yield* refusal({ prefix, migrate: true })
          ]
          for (const error of errors) {
            assert.strictEqual(error.reason, "Configuration")
            assert.match(error.message, /prefix.* must be a letter or underscore/)
          }
          assert.deepStrictEqual(yield* tables, [])
        }).pipe(Effect.provide(server.layerNew(url))))
    }

    for (const prefix of ["Mixed_", "x".repeat(31)]) {
      it.scopedLive(`take the prefix ${prefix}`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* Migrations.run({ prefix }), ["1_create_tables", "2_create_idempotency"])
          yield* build({ prefix })
          assert.deepStrictEqual(yield* Migrations.run({ prefix }), [])
        }).pipe(Effect.provide(server.layerNew(url))))
    }

    it.scopedLive("are named, each, when they are missing", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* Migrations.run()
        const all = yield* tables
        assert.isAtLeast(all.length, 6)
        for (const table of all) {
          yield* sql.unsafe(`alter table ${table} rename to hidden`)
          const error = yield* refusal()
          assert.strictEqual(error.reason, "Schema")
          assert.match(error.message, new RegExp(`The table ${table} is missing: run the migrations`))
          yield* sql.unsafe(`alter table hidden rename to ${table}`)
        }
        yield* build()
      }).pipe(Effect.provide(server.layerNew(url))))

    startChecks(() => server.layerNew(url))
  })

  describe("an event", () => {
    it.scopedLive("whose payload is over the limit is refused where it is added, and leaves nothing behind", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Transaction.run(
          Effect.zipRight(Outbox.add(new Noted({ text: "before" })), Outbox.add(new Noted({ text: "x".repeat(2000) })))
        ))
        assert.strictEqual(error._tag, "TransactionError")
        assert.strictEqual(error.reason, "EventRejected")
        assert.match(error.message, /maxPayloadBytes/)
        assert.strictEqual(yield* pending, 0)
        yield* note("small")
        assert.strictEqual(yield* pending, 1)
      }).pipe(
        Effect.provide(Layer.provide(
          Layer.merge(SqlStorage.layer({ migrate: true }), Serialization.layer({ maxPayloadBytes: 1000 })),
          server.layerNew(url)
        ))
      ))

    if (!isPostgres) {
      it.scopedLive("that is larger than the server's packets leaves nothing behind, and the next one goes on", () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const [row] = yield* sql<{ size: number }>`select @@max_allowed_packet as size`
          yield* Effect.gen(function*() {
            const error = yield* Effect.flip(note("x".repeat(row!.size + 1024)))
            assert.strictEqual(error.reason, "OutboxFailed")
            assert.match(error.message, /does not fit into cqrs_outbox/)
            assert.strictEqual(yield* pending, 0)
            yield* note("small")
            assert.strictEqual(yield* pending, 1)
          }).pipe(Effect.provide(
            Layer.merge(SqlStorage.layer({ migrate: true }), Serialization.layer({ maxPayloadBytes: 2 * row!.size }))
          ))
        }).pipe(Effect.provide(server.layerNew(url))))
    }
  })
})
