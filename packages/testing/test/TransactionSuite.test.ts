import { OutboxStorage, Transaction, Transactor } from "@effect-cqrs/core"
import { Suite, TransactionSuite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"

class State extends Context.Tag("test/State")<State, { readonly keys: Set<string>; isBroken: boolean }>() {}

const layerBreakable = Layer.effect(
  OutboxStorage.OutboxStorage,
  Effect.gen(function*() {
    const state = yield* State
    const storage = yield* OutboxStorage.OutboxStorage
    return {
      ...storage,
      append: (messages) =>
        state.isBroken
          ? new OutboxStorage.StorageError({ reason: "Unavailable", message: "no disk" })
          : storage.append(messages)
    }
  })
).pipe(Layer.provide(OutboxStorage.layerMemory()))

const noStatements = Suite.unsupported("no statements in memory")

TransactionSuite.suite("memory", {
  describe,
  it,
  layer: () =>
    Transactor.layerMemory.pipe(
      Layer.provideMerge(layerBreakable),
      Layer.provideMerge(Layer.sync(State, () => ({ keys: new Set<string>(), isBroken: false })))
    ),
  write: (key) =>
    Effect.flatMap(State, ({ keys }) =>
      Effect.zipRight(
        Transaction.afterRollback(Effect.sync(() => keys.delete(key))),
        Effect.sync(() => keys.add(key))
      )),
  read: Effect.map(State, ({ keys }) => [...keys]),
  breakOutbox: Effect.map(State, (state) => state.isBroken = true),
  failing: noStatements,
  losing: noStatements,
  uncommittable: noStatements,
  implicitCommit: noStatements,
  conflict: Suite.unsupported("transactions in memory never conflict"),
  withTransaction: noStatements,
  statement: noStatements
})
