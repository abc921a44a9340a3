import { Endpoint } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, type Layer, Redacted } from "effect"
import { cases } from "./support/cases.ts"
import { layerProgram, run } from "./support/program.ts"

let databases = 0

/** A database that goes with the scope. */
const fresh = (
  url: Redacted.Redacted,
  clientOf: (url: Redacted.Redacted) => Layer.Layer<SqlClient.SqlClient, unknown>,
  force: string
) =>
  Effect.gen(function*() {
    const name = `cqrs_cli_${process.pid}_${++databases}`
    const execute = (statement: string) =>
      Effect.provide(Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)), clientOf(url))
    yield* Effect.acquireRelease(
      execute(`create database ${name}`),
      () => Effect.ignore(execute(`drop database if exists ${name}${force}`))
    )
    const own = new URL(Redacted.value(url))
    own.pathname = `/${name}`
    return { url: own.href, client: clientOf(Redacted.make(own.href)) }
  })

const servers = [
  {
    name: "MariaDB",
    variable: "EFFECT_CQRS_MARIADB_URL",
    client: (url: Redacted.Redacted) => MysqlClient.layer({ url, maxConnections: 4 }),
    force: ""
  },
  {
    name: "PostgreSQL",
    variable: "EFFECT_CQRS_POSTGRES_URL",
    client: (url: Redacted.Redacted) => PgClient.layer({ url, maxConnections: 4 }),
    force: " with (force)"
  }
]

for (const { client, force, name, variable } of servers) {
  Endpoint.suite(name, { describe, it, variable, hint: "`npm run services -- up` finds or starts one." }, (url) => {
    layer(layerProgram, { timeout: 60_000, excludeTestServices: true })((it) => {
      cases(it, fresh(url, client, force))

      it.effect("a wrong password or database is a sentence without the password", () =>
        Effect.gen(function*() {
          const wrong = new URL(Redacted.value(url))
          wrong.username = "nobody_of_this_name"
          wrong.password = "s3cret-word"
          const { code, stderr, stdout } = yield* run(["outbox", "status", "--database", wrong.href])
          assert.strictEqual(code, 3)
          assert.match(stderr, /^The database .* cannot be used: .*\n$/)
          assert.notInclude(stdout + stderr, "s3cret-word")
        }), 30_000)
    })
  })
}
