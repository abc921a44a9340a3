import { Migrations } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { plainSqlTests } from "./plainSql.ts"
import { Filename, layerFile } from "./sqlite.ts"

describe("the migrations as plain SQL", () => {
  plainSqlTests({
    dialect: "sqlite",
    layer: () => layerFile,
    catalogue: Effect.flatMap(
      SqlClient.SqlClient,
      (sql) =>
        sql`select m.name as relation, c.name, c.type, c."notnull", c.dflt_value, c.pk
          from sqlite_schema m, pragma_table_xinfo(m.name) c where m.name not like 'sqlite_%' order by m.name, c.cid`
    ),
    commandLine: { program: "sqlite3", arguments: Effect.map(Filename, (name) => ["-bail", name]) }
  })

  for (const dialect of ["mysql", "postgres", "sqlite"] as const) {
    it.effect(`for ${dialect} they refuse a prefix that cannot be`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Migrations.sql({ dialect, prefix: "x; drop table y" }))
        assert.strictEqual(error.reason, "Configuration")
        assert.match(error.message, /prefix.* must be/)
      }))
  }
})
