import { Bootstrap, Transaction } from "@effect-cqrs/core"
import { IdempotencySuite, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Layer } from "effect"

class Keys extends Context.Tag("test/Keys")<Keys, Set<string>>() {}

let ahead = 0
const clock: Clock.Clock = Object.assign(Clock.make(), { currentTimeMillis: Effect.sync(() => Date.now() + ahead) })

IdempotencySuite.suite<Keys>("memory", {
  describe,
  it,
  layer: () => Layer.mergeAll(Bootstrap.layerStorageMemory, Layer.sync(Keys, () => new Set()), Layer.setClock(clock)),
  age: (by) => Effect.sync(() => void (ahead += Duration.toMillis(by))),
  write: (key) =>
    Effect.flatMap(Keys, (keys) =>
      Effect.zipRight(
        Transaction.afterRollback(Effect.sync(() => keys.delete(key))),
        Effect.sync(() => keys.add(key))
      )),
  read: Effect.map(Keys, (keys) => [...keys]),
  reopen: Suite.unsupported("it forgets everything with the process")
})
