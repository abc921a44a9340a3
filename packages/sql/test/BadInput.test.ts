import { Migrations, SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { layerInMemory } from "./sqlite.ts"

describe("a SQLite database that may only be read", () => {
  it.scopedLive("is an error that says so, at the start and for the migrations", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* Migrations.run({ prefix: "there_" })
      yield* sql`pragma query_only = on`
      const errors = yield* Effect.all([
        Effect.flip(Migrations.run()),
        Effect.flip(Effect.scoped(Layer.build(SqlStorage.layer({ prefix: "there_" }))))
      ])
      for (const error of errors) {
        assert.strictEqual(error.reason, "Configuration")
        assert.match(error.message, /refused the program's user: check .* what the user may do/)
      }
    }).pipe(Effect.provide(layerInMemory)))
})
