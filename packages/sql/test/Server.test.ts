import { Migrations, SqlInboxStorage, SqlOutboxStorage, SqlStorage } from "@effect-cqrs/sql"
import { Reactivity } from "@effect/experimental"
import { SqlClient, SqlError, Statement } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { mysql } from "../src/internal/mysql/dialect.ts"
import { complaint } from "../src/internal/server.ts"

const said = (dialect: "mysql" | "pg" | "sqlite", version: string) =>
  complaint(dialect === "mysql" ? mysql.server.productOf(version) : dialect === "pg" ? "PostgreSQL" : "SQLite", version)

describe("the version of the server", () => {
  for (
    const [dialect, version] of [
      ["mysql", "10.6.0-MariaDB"],
      ["mysql", "10.6.14-10-MariaDB-enterprise-log"],
      ["mysql", "10.11.19-MariaDB-0+deb12u1"],
      ["mysql", "5.5.5-10.11.6-MariaDB-1:10.11.6+maria~ubu2204-log"],
      ["mysql", "11.4.2-MariaDB-ubu2404"],
      ["mysql", "12.0.1-MariaDB"],
      ["mysql", "8.0.22"],
      ["mysql", "8.0.35-27"],
      ["mysql", "8.0.36-28.1-log"],
      ["mysql", "8.0.mysql_aurora.3.05.2"],
      ["mysql", "8.4.0"],
      ["mysql", "9.1.0-commercial"],
      ["pg", "13"],
      ["pg", "13.0"],
      ["pg", "15.20 (Debian 15.20-0+deb12u1)"],
      ["pg", "14.5.0"],
      ["pg", "17beta1"],
      ["pg", "18devel"],
      ["pg", "16.2 (EnterpriseDB Advanced Server 16.2.0)"],
      ["sqlite", "3.38.0"],
      ["sqlite", "3.45.1"],
      ["sqlite", "4.0.0"],
      ["mysql", "a fork that says nothing"]
    ] as const
  ) {
    it(`${dialect} ${version} will do`, () => assert.isUndefined(said(dialect, version)))
  }

  for (
    const [dialect, version, product, needed] of [
      ["mysql", "10.5.23-MariaDB-1:10.5.23+maria~deb11", "MariaDB", "10.6"],
      ["mysql", "5.5.5-10.3.39-MariaDB-log", "MariaDB", "10.6"],
      ["mysql", "5.5.68-MariaDB", "MariaDB", "10.6"],
      ["mysql", "8.0.21", "MySQL", "8.0.22"],
      ["mysql", "8.0.20-11", "MySQL", "8.0.22"],
      ["mysql", "5.7.44-log", "MySQL", "8.0.22"],
      ["mysql", "5.7.mysql_aurora.2.11.4", "MySQL", "8.0.22"],
      ["mysql", "8.0.11-TiDB-v7.5.0", "MySQL", "8.0.22"],
      ["pg", "12.19 (Ubuntu 12.19-1.pgdg22.04+1)", "PostgreSQL", "13"],
      ["pg", "9.6.24", "PostgreSQL", "13"],
      ["pg", "12beta4", "PostgreSQL", "13"],
      ["sqlite", "3.37.2", "SQLite", "3.38"],
      ["sqlite", "3.9.0", "SQLite", "3.38"]
    ] as const
  ) {
    it(`${dialect} ${version} is too old`, () =>
      assert.strictEqual(
        said(dialect, version),
        `The database is ${product} ${version}, and this library needs ${product} ${needed} or later`
      ))
  }
})

/** A client whose server only tells its version. */
const layerStub = (dialect: "mysql" | "pg" | "sqlite", version: string, asked: Array<string>) => {
  const answer = (text: string) =>
    Effect.suspend(() => {
      asked.push(text)
      return / as version$/.test(text)
        ? Effect.succeed([{ version }])
        : Effect.fail(new SqlError.SqlError({ cause: undefined, message: "This server does nothing else" }))
    })
  const connection = {
    execute: answer,
    executeRaw: answer,
    executeValues: () => Effect.dieMessage("unused"),
    executeUnprepared: answer,
    executeStream: () => Stream.dieMessage("unused")
  }
  return Layer.provide(
    Layer.effect(
      SqlClient.SqlClient,
      SqlClient.make({
        acquirer: Effect.succeed(connection),
        transactionAcquirer: Effect.succeed(connection),
        compiler: Statement.makeCompiler({
          dialect,
          placeholder: () => "?",
          onIdentifier: Statement.defaultEscape("\""),
          onRecordUpdate: () => ["", []],
          onCustom: () => ["", []]
        }),
        spanAttributes: []
      })
    ),
    Reactivity.layer
  )
}

describe("a start on a server that is too old", () => {
  for (
    const [dialect, version, sentence] of [
      [
        "mysql",
        "10.5.1-MariaDB",
        "The database is MariaDB 10.5.1-MariaDB, and this library needs MariaDB 10.6 or later"
      ],
      ["mysql", "8.0.21", "The database is MySQL 8.0.21, and this library needs MySQL 8.0.22 or later"],
      ["pg", "12.3", "The database is PostgreSQL 12.3, and this library needs PostgreSQL 13 or later"],
      ["sqlite", "3.31.1", "The database is SQLite 3.31.1, and this library needs SQLite 3.38 or later"]
    ] as const
  ) {
    it.effect(`fails with one sentence and asks nothing else: ${version}`, () =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        const refusal = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient>) =>
          Effect.flip(Effect.provide(effect, layerStub(dialect, version, asked)))
        const build = <A, E>(layer: Layer.Layer<A, E, SqlClient.SqlClient>) =>
          refusal(Effect.scoped(Layer.build(layer)))
        const errors = [
          yield* build(SqlStorage.layer()),
          yield* build(SqlStorage.layer({ migrate: true })),
          yield* build(SqlOutboxStorage.layer()),
          yield* build(SqlInboxStorage.layer()),
          yield* refusal(Migrations.run())
        ]
        for (const error of errors) {
          assert.strictEqual(error._tag, "StorageError")
          assert.strictEqual(error.reason, "Configuration")
          assert.strictEqual(error.message, sentence)
        }
        assert.isTrue(asked.every((text) => text.endsWith("as version")), asked.join("; "))
      }))
  }

  it.effect("goes on to the tables where the version will do", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(Layer.provide(SqlStorage.layer(), layerStub("pg", "13.0", []))))
      )
      assert.strictEqual(error.reason, "Unavailable")
    }))
})
