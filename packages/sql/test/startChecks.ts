import { Migrations, SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"

const build = (options?: SqlStorage.Options) => Effect.asVoid(Effect.scoped(Layer.build(SqlStorage.layer(options))))

const refusal = (options?: SqlStorage.Options) => Effect.flip(build(options))

/** What a start finds out about the tables of an empty database. */
export const startChecks = <E>(layer: () => Layer.Layer<SqlClient.SqlClient, E>): void => {
  it.scopedLive("tells older tables from newer ones, and what to do about either", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* Migrations.run()
      yield* sql`insert into cqrs_migrations (migration_id, name) values (99, 'from_the_future')`
      const newer = yield* refusal()
      assert.strictEqual(newer.reason, "Schema")
      assert.match(newer.message, /version 99, newer than .* update/)
      yield* sql`delete from cqrs_migrations`
      const older = yield* refusal()
      assert.strictEqual(older.reason, "Schema")
      assert.match(older.message, /version 0, .* run the migrations/)
    }).pipe(Effect.provide(layer())))

  it.scopedLive("takes the number of buckets that is stored, and refuses another that is asked for or stored in its place", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* build({ migrate: true, buckets: 8 })
      const other = yield* refusal({ buckets: 16 })
      assert.strictEqual(other.reason, "Configuration")
      assert.match(other.message, /8 buckets and 16 are asked for/)
      yield* sql`update cqrs_settings set value = '32' where name = 'buckets'`
      const changed = yield* refusal({ buckets: 8 })
      assert.strictEqual(changed.reason, "Configuration")
      assert.match(changed.message, /32 buckets and 8 are asked for/)
      for (const nonsense of ["", "many", "0", "-8", "1e9", "8.5"]) {
        yield* sql`update cqrs_settings set value = ${nonsense} where name = 'buckets'`
        const corrupt = yield* refusal({ buckets: 8 })
        assert.strictEqual(corrupt.reason, "Corrupt", nonsense)
        assert.match(corrupt.message, /cqrs_settings says .* restore the number/)
      }
    }).pipe(Effect.provide(layer())))
}
