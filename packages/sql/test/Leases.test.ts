import { SqlStorage } from "@effect-cqrs/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { badLease, leaseTests } from "./leases.ts"
import { layerFile, layerInMemory } from "./sqlite.ts"

describe("SQLite in a file: leases", () => {
  leaseTests(() => layerFile, { concurrent: false })
})

describe("leases", () => {
  it.effect("refuse a duration that cannot be", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(
        badLease.pipe(Layer.provide(SqlStorage.layer({ migrate: true })), Layer.provide(layerInMemory))
      )))
      assert.include(error, { reason: "Configuration" })
    }))
})
