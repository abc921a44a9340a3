import { PgNotifications, SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { layerInMemory } from "./sqlite.ts"

const refusal = (options: PgNotifications.Options, canListen: boolean) => {
  const client = Layer.orDie(layerInMemory)
  const listening = Layer.effect(
    SqlClient.SqlClient,
    Effect.map(SqlClient.SqlClient, (sql) => Object.assign(sql, { listen: () => Stream.never }))
  )
  return PgNotifications.layer(options).pipe(
    Layer.provide(canListen ? listening : Layer.empty),
    Layer.provide(SqlStorage.layer({ migrate: true })),
    Layer.provide(client),
    Layer.build,
    Effect.scoped,
    Effect.flip
  )
}

describe("PgNotifications.layer", () => {
  for (
    const [name, options, canListen, sentence] of [
      ["a client that cannot listen", {}, false, /Only PostgreSQL .* @effect\/sql-pg/],
      ["a prefix that is no identifier", { prefix: "a; drop" }, true, /prefix .* must be/],
      ["a heartbeat that would not end", { heartbeat: 0 }, true, /heartbeat .* at least 100 milliseconds/]
    ] as const
  ) {
    it.effect(`refuses ${name}`, () =>
      Effect.gen(function*() {
        const error = yield* refusal(options, canListen)
        assert.strictEqual(error.reason, "Configuration")
        assert.match(error.message, sentence)
      }))
  }
})
