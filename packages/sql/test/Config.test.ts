import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigError, ConfigProvider, Duration, Effect, Exit, Layer, Option } from "effect"
import { layerInMemory } from "./sqlite.ts"

const withConfig = (values: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))

const tables = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ name: string }>`select name from sqlite_schema where type = 'table' and name like '%outbox'`,
    (rows) => rows.map((row) => row.name)
  ))

const build = (config: Config.Config.Wrap<SqlStorage.Options>) =>
  Effect.scoped(Layer.build(SqlStorage.layerConfig(config)))

describe("SqlStorage.config", () => {
  it.effect("reads every key", () =>
    Effect.gen(function*() {
      const options = yield* withConfig({
        CQRS_PREFIX: "rooms_",
        CQRS_BUCKETS: "16",
        CQRS_LEASE: "3 seconds",
        CQRS_MIGRATE: "true"
      })(SqlStorage.config)
      assert.deepStrictEqual(options, { prefix: "rooms_", buckets: 16, lease: Duration.seconds(3), migrate: true })
    }))

  it.effect("needs no key at all, and then changes no default", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* withConfig({})(SqlStorage.config), {})
    }))

  for (
    const [key, value, must] of [
      ["CQRS_PREFIX", "", "must be a letter or underscore"],
      ["CQRS_PREFIX", "x; drop table y", "must be a letter or underscore"],
      ["CQRS_PREFIX", "x".repeat(32), "at most 30"],
      ["CQRS_BUCKETS", "0", "must be a whole number from 1 to 4096"],
      ["CQRS_BUCKETS", "4097", "must be a whole number from 1 to 4096"],
      ["CQRS_BUCKETS", "1.5", "integer"],
      ["CQRS_BUCKETS", "many", "integer"],
      ["CQRS_LEASE", "99 millis", "must be a duration of at least 100 milliseconds"],
      ["CQRS_LEASE", "soon", "duration"],
      ["CQRS_MIGRATE", "perhaps", "boolean"]
    ] as const
  ) {
    it.effect(`${key}=${JSON.stringify(value)} is an error that names the key and what must be`, () =>
      Effect.gen(function*() {
        const exit = yield* withConfig({ [key]: value })(Effect.exit(build(SqlStorage.config)))
        const error = Exit.isFailure(exit) ? Option.getOrThrow(Cause.failureOption(exit.cause)) : undefined
        assert.isTrue(ConfigError.isConfigError(error))
        assert.include(String(error), key)
        assert.include(String(error), must)
      }).pipe(Effect.provide(layerInMemory)))
  }
})

describe("SqlStorage.layerConfig", () => {
  it.scopedLive("builds what the configuration says", () =>
    Effect.gen(function*() {
      yield* withConfig({ CQRS_PREFIX: "rooms_", CQRS_MIGRATE: "true" })(build(SqlStorage.config))
      assert.deepStrictEqual(yield* tables, ["rooms_outbox"])
    }).pipe(Effect.provide(layerInMemory)))

  it.scopedLive("takes keys of one's own", () =>
    Effect.gen(function*() {
      yield* withConfig({ DB_PREFIX: "mine_" })(build({
        prefix: Config.string("DB_PREFIX"),
        migrate: Config.succeed(true)
      }))
      assert.deepStrictEqual(yield* tables, ["mine_outbox"])
    }).pipe(Effect.provide(layerInMemory)))
})
