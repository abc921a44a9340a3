import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Session from "../src/internal/session.ts"

describe("session", () => {
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
