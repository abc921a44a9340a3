import { Wake } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { settled } from "./fixtures.ts"

describe("Wake", () => {
  it.effect("a signal between looking and waiting is not missed", () =>
    Effect.gen(function*() {
      const wake = yield* Wake.make
      const version = yield* wake.version
      yield* wake.signal
      yield* wake.waitPast(version)
    }))

  it.effect("waits if there was no signal since", () =>
    Effect.gen(function*() {
      const wake = yield* Wake.make
      yield* wake.signal
      const fiber = yield* Effect.flatMap(wake.version, (version) => Effect.fork(wake.waitPast(version)))
      yield* settled
      assert.isNull(fiber.unsafePoll())
      yield* wake.signal
      yield* Fiber.join(fiber)
    }))

  it.effect("one signal wakes all who wait, and none of them takes it from another", () =>
    Effect.gen(function*() {
      const wake = yield* Wake.make
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(wake.waitPast(0)))
      yield* settled
      yield* wake.signal
      yield* Fiber.joinAll(fibers)
      yield* wake.waitPast(0)
    }))

  it.effect("a wait that was interrupted harms nobody", () =>
    Effect.gen(function*() {
      const wake = yield* Wake.make
      const first = yield* Effect.fork(wake.waitPast(0))
      const second = yield* Effect.fork(wake.waitPast(0))
      yield* settled
      yield* Fiber.interrupt(first)
      yield* wake.signal
      yield* Fiber.join(second)
    }))
})
