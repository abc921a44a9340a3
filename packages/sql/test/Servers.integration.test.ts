import * as Endpoint from "@effect-cqrs/testing/Endpoint"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

const hint = "`npm run services -- up` finds or starts one."

const versionIsAtLeast = (major: number, minor: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly version: string }>`SELECT version() AS version`
    const [, ...numbers] = /(\d+)\.(\d+)/.exec(row.version)!
    const [a, b] = numbers.map(Number)
    assert.isTrue(a > major || (a === major && b >= minor), row.version)
  })

Endpoint.suite("MariaDB", { describe, it, variable: "EFFECT_CQRS_MARIADB_URL", hint }, (url) => {
  it.scoped("is 10.6 or later", () => Effect.provide(versionIsAtLeast(10, 6), MysqlClient.layer({ url })))
})

Endpoint.suite(
  "MySQL",
  { describe, it, variable: "EFFECT_CQRS_MYSQL_URL", hint: "It is optional.", optional: true },
  (url) => {
    it.scoped("is 8.0 or later", () => Effect.provide(versionIsAtLeast(8, 0), MysqlClient.layer({ url })))
  }
)

Endpoint.suite("PostgreSQL", { describe, it, variable: "EFFECT_CQRS_POSTGRES_URL", hint }, (url) => {
  it.scoped("is 13 or later", () => Effect.provide(versionIsAtLeast(13, 0), PgClient.layer({ url })))
})
