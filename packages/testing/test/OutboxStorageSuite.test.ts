import { OutboxStorage, Transactor } from "@effect-cqrs/core"
import { OutboxStorageSuite, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Layer } from "effect"

OutboxStorageSuite.suite("memory", {
  describe,
  it,
  layer: () => Layer.provideMerge(Transactor.layerMemory, OutboxStorage.layerMemory()),
  reopen: Suite.unsupported("it forgets everything with the process"),
  concurrentWriters: Suite.unsupported("sequences are given out by the commit itself"),
  refuseChange: Suite.unsupported("a change in memory cannot fail"),
  move: Suite.unsupported("nobody gets at its entries"),
  age: Suite.unsupported("its clock is that of the process"),
  bulk: Suite.unsupported("it looks at all that it has"),
  largestPayload: 8 * 1024 * 1024
})

OutboxStorageSuite.suite("memory with one bucket", {
  describe,
  it,
  layer: () => Layer.provideMerge(Transactor.layerMemory, OutboxStorage.layerMemory({ buckets: 1 })),
  reopen: Suite.unsupported("it forgets everything with the process"),
  concurrentWriters: Suite.unsupported("sequences are given out by the commit itself"),
  refuseChange: Suite.unsupported("a change in memory cannot fail"),
  move: Suite.unsupported("nobody gets at its entries"),
  age: Suite.unsupported("its clock is that of the process"),
  bulk: Suite.unsupported("it looks at all that it has"),
  largestPayload: 1024
})
