import { type DeadLetterFilter, OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { assertMessage, messageOf } from "../../Fixtures.ts"
import { assertOrder } from "../cases.ts"
import {
  append,
  dead,
  deadLetters,
  deferred,
  delivered,
  discard,
  ids,
  idsOf,
  read,
  redrive,
  settle,
  statistics,
  type Topic,
  waiting
} from "./topic.ts"

/** What stands as a dead letter, and what becomes of it. */
export const deadLetterCases = <R>({ facts, it }: Topic<R>): void => {
  facts.describe("dead letters", () => {
    it(
      "are listed by sequence, of one topic or of all, as many as asked for",
      Effect.gen(function*() {
        const stored = Array.from(
          { length: 10 },
          (_, n) =>
            messageOf({ topic: `topic ${n % 2}`, key: `key ${n}`, payload: Uint8Array.of(n), headers: { n: `${n}` } })
        )
        yield* append(stored)
        const entries = yield* read()
        // not in the order of their sequences
        for (const n of [7, 3, 1, 0, 5, 8]) {
          yield* settle([dead(entries[n]!, n % 2 === 0 ? "skip" : "halt", `reason ${n}`, n)])
        }
        const letters = yield* deadLetters()
        assertOrder("dead letters", ids(letters), idsOf([0, 1, 3, 5, 7, 8].map((n) => stored[n]!)))
        for (const letter of letters) {
          const n = Number(letter.message.headers.n)
          assert.strictEqual(letter.reason, `reason ${n}`)
          assert.strictEqual(letter.policy, n % 2 === 0 ? "skip" : "halt")
          assert.strictEqual(letter.attempts, n)
          assert.strictEqual(letter.bucket, entries[n]!.bucket)
          assert.strictEqual(letter.sequence, entries[n]!.sequence)
          assertMessage(letter.message, { ...stored[n]!, sequence: letter.sequence })
        }
        assertOrder(
          "of one topic",
          ids(yield* deadLetters({ topic: "topic 0" })),
          idsOf([0, 8].map((n) => stored[n]!))
        )
        assertOrder("of no topic", ids(yield* deadLetters({ topic: "topic" })), [])
        assertOrder("limited", ids(yield* deadLetters({ limit: 2 })), idsOf([0, 1].map((n) => stored[n]!)))
        assertOrder(
          "of one topic, limited",
          ids(yield* deadLetters({ topic: "topic 1", limit: 3 })),
          idsOf([1, 3, 5].map((n) => stored[n]!))
        )
      })
    )

    it(
      "are found by topic, key and when they died, page by page, and counted by topic and reason",
      Effect.gen(function*() {
        const stored = Array.from({ length: 12 }, (_, n) => messageOf({ topic: `topic ${n % 2}`, key: `key ${n % 3}` }))
        yield* append(stored)
        const entries = yield* read()
        const reason = (n: number) => n % 4 === 0 ? "a" : n % 4 === 1 ? "b" : ""
        const bury = (some: ReadonlyArray<number>) => settle(some.map((n) => dead(entries[n]!, "skip", reason(n))))
        yield* bury([0, 1, 2, 3, 4, 5])
        yield* Effect.sleep("30 millis")
        yield* bury([6, 7, 8, 9, 10, 11])
        const all = yield* deadLetters()
        const found = (filter: DeadLetterFilter & { readonly limit?: number }, wanted: ReadonlyArray<number>) =>
          Effect.map(
            deadLetters(filter),
            (letters) =>
              assertOrder(JSON.stringify(Object.keys(filter)), ids(letters), idsOf(wanted.map((n) => stored[n]!)))
          )
        yield* found({ topic: "topic 1" }, [1, 3, 5, 7, 9, 11])
        yield* found({ key: "key 1" }, [1, 4, 7, 10])
        yield* found({ topic: "topic 0", key: "key 1" }, [4, 10])
        yield* found({ topic: "topic 0", key: "key 9" }, [])
        yield* found({ key: "key 1 " }, [])
        yield* found({ after: entries[8]!.sequence }, [9, 10, 11])
        yield* found({ topic: "topic 0", after: entries[3]!.sequence, limit: 2 }, [4, 6])
        const { diedAt } = all[6]!
        assert.ok(Math.abs(diedAt.epochMillis - (yield* Clock.currentTimeMillis)) < 60_000, "it died just now")
        yield* found({ since: diedAt }, [6, 7, 8, 9, 10, 11])
        yield* found({ until: diedAt }, [0, 1, 2, 3, 4, 5])
        yield* found({ since: all[0]!.diedAt, until: diedAt, key: "key 0" }, [0, 3])
        const pages: Array<string> = []
        for (let after = 0n;;) {
          const page = yield* deadLetters({ after, limit: 5 })
          if (page.length === 0) break
          for (const id of ids(page)) pages.push(id)
          after = page.at(-1)!.sequence
        }
        assertOrder("page by page", pages, idsOf(stored))

        const { deadLetterCounts } = yield* OutboxStorage
        const counts = (filter: DeadLetterFilter) =>
          Effect.map(
            deadLetterCounts(filter),
            (all) => all.map(({ count, reason, topic }) => `${count} ${topic} ${reason}`).sort()
          )
        assert.deepStrictEqual(yield* counts({}), ["3 topic 0 ", "3 topic 0 a", "3 topic 1 ", "3 topic 1 b"])
        assert.deepStrictEqual(yield* counts({ topic: "topic 0", until: diedAt }), ["1 topic 0 ", "2 topic 0 a"])
        assert.deepStrictEqual(yield* counts({ key: "key 1", after: entries[1]!.sequence }), [
          "1 topic 0 ",
          "1 topic 0 a",
          "1 topic 1 "
        ])
        yield* append([messageOf({ topic: "topic 0" })])
        const [another] = yield* read()
        yield* settle([dead(another!, "halt", "a")])
        const [most] = yield* deadLetterCounts({})
        assert.deepStrictEqual(most, { topic: "topic 0", reason: "a", count: 4 })
      })
    )

    it(
      "are redriven to their old places, with no attempts counted, before those that waited behind them",
      Effect.gen(function*() {
        const stored = Array.from({ length: 5 }, () => messageOf({ key: "one" }))
        yield* append(stored)
        const entries = yield* read()
        yield* settle([dead(entries[1]!, "halt", "no", 9), dead(entries[3]!, "halt", "no", 9)])
        assertOrder("entries", ids(yield* read()), idsOf([0, 2, 4].map((n) => stored[n]!)))
        assert.strictEqual(yield* redrive([entries[3]!.sequence]), 1)
        assertOrder("entries", ids(yield* read()), idsOf([0, 2, 3, 4].map((n) => stored[n]!)))
        assert.deepStrictEqual((yield* waiting()).map(({ sequence }) => sequence), [entries[1]!.sequence])
        assert.strictEqual(yield* redrive([entries[1]!.sequence]), 1)
        const all = yield* read()
        assertOrder("entries", ids(all), idsOf(stored))
        assert.deepStrictEqual(all.map((entry) => entry.attempts), [0, 0, 0, 0, 0])
        assert.deepStrictEqual(all.map((entry) => entry.bucket), entries.map((entry) => entry.bucket))
        assert.deepStrictEqual(yield* deadLetters(), [])
        assert.deepStrictEqual(yield* waiting(), [])
        const { dead: buried, pending } = yield* statistics
        assert.deepStrictEqual({ buried, pending }, { buried: 0, pending: 5 })
      })
    )

    it(
      "can die again after a redrive, for another reason",
      Effect.gen(function*() {
        yield* append([messageOf({ key: "one" }), messageOf({ key: "one" })])
        const [entry] = yield* read()
        yield* settle([dead(entry!, "halt", "first", 3)])
        yield* redrive([entry!.sequence])
        yield* settle([dead(entry!, "skip", "second", 1)])
        const [letter] = yield* deadLetters()
        assert.deepStrictEqual([letter!.reason, letter!.policy, letter!.attempts], ["second", "skip", 1])
        assert.strictEqual((yield* read()).length, 1)
      })
    )

    it(
      "are discarded for good, and hold back nobody then",
      Effect.gen(function*() {
        const stored = Array.from({ length: 4 }, () => messageOf({ key: "one" }))
        yield* append(stored)
        const entries = yield* read()
        yield* settle([dead(entries[0]!, "halt"), dead(entries[2]!, "halt")])
        assert.strictEqual(yield* discard([entries[0]!.sequence]), 1)
        assert.deepStrictEqual((yield* waiting()).map(({ sequence }) => sequence), [entries[2]!.sequence])
        assert.strictEqual(yield* discard([entries[2]!.sequence, entries[0]!.sequence]), 1)
        assert.deepStrictEqual(yield* waiting(), [])
        assertOrder("entries", ids(yield* read()), idsOf([stored[1]!, stored[3]!]))
        assert.deepStrictEqual(yield* deadLetters(), [])
        assert.deepStrictEqual(
          yield* (yield* OutboxStorage).pending(entries.map(({ sequence }) => sequence)),
          yield* read()
        )
      })
    )

    it(
      "change the revision when they are redriven or discarded, and nothing else does",
      Effect.gen(function*() {
        const { revision } = yield* OutboxStorage
        yield* append(Array.from({ length: 4 }, (_, n) => messageOf({ key: `key ${n}` })))
        const entries = yield* read()
        const first = yield* revision
        yield* settle([
          dead(entries[0]!, "halt"),
          dead(entries[1]!, "skip"),
          deferred(entries[2]!, "1 hour"),
          delivered(entries[3]!)
        ])
        assert.strictEqual(yield* revision, first)
        yield* redrive([entries[0]!.sequence])
        const second = yield* revision
        assert.notStrictEqual(second, first)
        yield* discard([entries[1]!.sequence])
        const third = yield* revision
        assert.ok(third !== second && third !== first)
        assert.strictEqual(yield* revision, third)
      })
    )

    it(
      "are counted once, and what is no dead letter is neither redriven nor discarded",
      Effect.gen(function*() {
        const stored = Array.from({ length: 5 }, (_, n) => messageOf({ key: `key ${n}` }))
        yield* append(stored)
        const entries = yield* read()
        const [first, second, pending, later, done] = entries.map((entry) => entry.sequence)
        yield* settle([
          dead(entries[0]!, "halt"),
          dead(entries[1]!, "halt"),
          deferred(entries[3]!, "1 hour", { attempts: 2 }),
          delivered(entries[4]!)
        ])
        const others = [pending!, later!, done!, 999_999n]
        assert.strictEqual(yield* redrive([]), 0)
        assert.strictEqual(yield* discard([]), 0)
        assert.strictEqual(yield* redrive(others), 0)
        assert.strictEqual(yield* discard(others), 0)
        assert.strictEqual(yield* redrive([first!, first!, ...others]), 1)
        assert.strictEqual(yield* discard([second!, first!, second!, ...others]), 1)
        assertOrder("entries", ids(yield* read()), idsOf([stored[0]!, stored[2]!]))
        assert.strictEqual((yield* statistics).pending, 3)
      })
    )

    it(
      "thousands of them are redriven at once",
      Effect.gen(function*() {
        const stored = Array.from({ length: 2500 }, (_, n) => messageOf({ key: `key ${n % 10}` }))
        yield* append(stored)
        const entries = yield* read({ limit: 2500 })
        yield* settle(entries.map((entry) => dead(entry, "halt")))
        assert.strictEqual(yield* redrive(entries.map((entry) => entry.sequence).reverse()), 2500)
        assertOrder("entries", ids(yield* read({ limit: 2500 })), idsOf(stored))
      })
    )
  })
}
