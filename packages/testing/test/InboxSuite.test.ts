import { Bootstrap, Transaction } from "@effect-cqrs/core"
import { InboxSuite, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"

class Keys extends Context.Tag("test/Keys")<Keys, Set<string>>() {}

InboxSuite.suite<Keys>("memory", {
  describe,
  it,
  layer: () => Layer.merge(Bootstrap.layerStorageMemory, Layer.sync(Keys, () => new Set())),
  write: (key) =>
    Effect.flatMap(Keys, (keys) =>
      Effect.zipRight(
        Transaction.afterRollback(Effect.sync(() => keys.delete(key))),
        Effect.sync(() => keys.add(key))
      )),
  read: Effect.map(Keys, (keys) => [...keys]),
  reopen: Suite.unsupported("it forgets everything with the process")
})
