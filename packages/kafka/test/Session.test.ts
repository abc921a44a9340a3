import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as Session from "../src/internal/session.ts"

describe("session", () => {
  it.effect("a node that is still loading is asked again", () =>
    Effect.gen(function*() {
      let asked = 0
      const sessions = yield* Session.make({
        producerId: Effect.suspend(() =>
          ++asked < 3
            ? Effect.fail({ name: "KafkaJSProtocolError", type: "GROUP_LOAD_IN_PROGRESS", code: 14 })
            : Effect.succeed({ producerId: "7", producerEpoch: 0 })
        )
      })
      const fiber = yield* Effect.fork(sessions.current)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).producerId, "7")
    }))

  it.effect("numbers are given once, and a session that was given up is followed by another", () =>
    Effect.gen(function*() {
      let id = 0
      const sessions = yield* Session.make({
        producerId: Effect.sync(() => ({ producerId: String(++id), producerEpoch: 0 }))
      })
      const first = yield* sessions.current
      assert.strictEqual(first.next("a", 0, 10), 0)
      assert.strictEqual(first.next("a", 0, 5), 10)
      assert.strictEqual(first.next("a", 1, 5), 0)
      assert.strictEqual(yield* sessions.current, first)
      sessions.giveUp(first)
      const second = yield* sessions.current
      assert.notStrictEqual(second.producerId, first.producerId)
      // one that was given up long ago takes nothing with it
      sessions.giveUp(first)
      assert.strictEqual(yield* sessions.current, second)
    }))
})
