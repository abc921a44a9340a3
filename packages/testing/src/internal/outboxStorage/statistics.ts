import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { append, dead, deferred, delivered, read, settle, statistics, type Topic } from "./topic.ts"

/** What an operator looks at. */
export const statisticsCases = <R>({ facts, it }: Topic<R>): void => {
  facts.describe("statistics", () => {
    it(
      "count what is pending, deferred entries among it, and what is dead",
      Effect.gen(function*() {
        yield* append(Array.from({ length: 5 }, (_, n) => messageOf({ key: `key ${n}` })))
        const entries = yield* read()
        yield* settle([delivered(entries[0]!), deferred(entries[1]!, "1 hour"), dead(entries[2]!, "halt")])
        const { dead: buried, pending } = yield* statistics
        assert.deepStrictEqual({ buried, pending }, { buried: 1, pending: 3 })
      })
    )

    it(
      "say how long the oldest pending entry has been waiting, which a dead letter does not",
      Effect.gen(function*() {
        const before = yield* Clock.currentTimeMillis
        yield* append([messageOf(), messageOf({ key: "two" })])
        yield* Effect.sleep("300 millis")
        yield* append([messageOf({ key: "three" })])
        const [first, second] = yield* read()
        const age = Duration.toMillis((yield* statistics).oldestAge)
        assert.ok(age >= 290, `the oldest is ${age} ms old`)
        assert.ok(age <= (yield* Clock.currentTimeMillis) - before + 20, `the oldest is ${age} ms old`)
        yield* settle([dead(first!, "halt"), delivered(second!)])
        const younger = Duration.toMillis((yield* statistics).oldestAge)
        assert.ok(younger < (yield* Clock.currentTimeMillis) - before - 280, `the oldest is ${younger} ms old`)
      })
    )

    it(
      "say how long the oldest has been waiting that is deferred, too",
      Effect.gen(function*() {
        yield* append([messageOf()])
        const [first] = yield* read()
        yield* settle([deferred(first!, "1 hour")])
        yield* Effect.sleep("200 millis")
        yield* append([messageOf({ key: "two" })])
        const age = Duration.toMillis((yield* statistics).oldestAge)
        assert.ok(age >= 190, `the oldest is ${age} ms old`)
      })
    )

    it(
      "the tail is the largest sequence that was committed",
      Effect.gen(function*() {
        const { tail } = yield* OutboxStorage
        assert.strictEqual(yield* tail, 0n)
        yield* append([messageOf(), messageOf({ key: "two" })])
        const entries = yield* read()
        assert.strictEqual(yield* tail, entries[1]!.sequence)
        yield* settle([dead(entries[1]!, "halt"), delivered(entries[0]!)])
        assert.strictEqual(yield* tail, entries[1]!.sequence)
        yield* append([messageOf()])
        assert.strictEqual(yield* tail, (yield* read())[0]!.sequence)
      })
    )
  })
}
