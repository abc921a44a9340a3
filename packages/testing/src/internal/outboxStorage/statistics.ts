import { OutboxStorage, type PendingFilter } from "@effect-cqrs/core/OutboxStorage"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertOrder } from "../cases.ts"
import { append, dead, deferred, delivered, ids, idsOf, read, settle, statistics, type Topic } from "./topic.ts"

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
      "the backlog shows what is pending by topic and key, page by page, and what is said of what was rejected",
      Effect.gen(function*() {
        const before = yield* Clock.currentTimeMillis
        const stored = Array.from({ length: 8 }, (_, n) => messageOf({ topic: `topic ${n % 2}`, key: `key ${n}` }))
        yield* append(stored)
        const entries = yield* read()
        yield* settle([
          delivered(entries[0]!),
          deferred(entries[1]!, "1 hour", { attempts: 3, reason: "too large" }),
          dead(entries[2]!, "halt")
        ])
        yield* settle([delivered(entries[3]!)], { keep: true })
        const { backlog } = yield* OutboxStorage
        const found = (filter: PendingFilter & { readonly limit?: number }, wanted: ReadonlyArray<number>) =>
          Effect.map(
            backlog({ limit: 100, ...filter }),
            (pending) =>
              assertOrder(JSON.stringify(Object.keys(filter)), ids(pending), idsOf(wanted.map((n) => stored[n]!)))
          )
        yield* found({}, [1, 4, 5, 6, 7])
        yield* found({ limit: 2 }, [1, 4])
        yield* found({ limit: 0 }, [])
        yield* found({ topic: "topic 1" }, [1, 5, 7])
        yield* found({ topic: "topic" }, [])
        yield* found({ key: "key 6" }, [6])
        yield* found({ topic: "topic 1", key: "key 6" }, [])
        yield* found({ topic: "topic 0", after: entries[4]!.sequence }, [6])
        const [first, second] = yield* backlog({ limit: 2 })
        assert.strictEqual(first!.sequence, entries[1]!.sequence)
        assert.strictEqual(first!.bucket, entries[1]!.bucket)
        assert.strictEqual(first!.attempts, 3)
        assert.strictEqual(first!.deferred?.reason, "too large")
        const due = Duration.toMinutes(first!.deferred.due)
        assert.ok(due > 59 && due <= 60, `it is due in ${due} minutes`)
        assert.strictEqual(second!.deferred, undefined)
        const now = yield* Clock.currentTimeMillis
        for (const { createdAt: { epochMillis } } of [first!, second!]) {
          assert.ok(epochMillis > before - 60_000 && epochMillis < now + 60_000, `it was stored at ${epochMillis}`)
        }
      })
    )

    it(
      "the backlog is counted by topic, most first, with the age of the oldest",
      Effect.gen(function*() {
        const { backlogCounts } = yield* OutboxStorage
        assert.deepStrictEqual(yield* backlogCounts, [])
        yield* append([messageOf({ topic: "one", key: "a" })])
        yield* Effect.sleep("300 millis")
        yield* append(["b", "c", "d"].map((key) => messageOf({ topic: "two", key })))
        const entries = yield* read()
        yield* settle([deferred(entries[0]!, "1 hour"), dead(entries[3]!, "skip")])
        const counts = yield* backlogCounts
        assert.deepStrictEqual(counts.map(({ count, topic }) => [topic, count]), [["two", 2], ["one", 1]])
        const [two, one] = counts.map(({ oldestAge }) => Duration.toMillis(oldestAge))
        assert.ok(one! >= 290 && one! >= two! + 200, `the oldest are ${one} and ${two} ms old`)
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
