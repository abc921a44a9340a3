import { bucketOf, OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import {
  announce,
  append,
  dead,
  deadLetters,
  deferred,
  delivered,
  elsewhere,
  ids,
  idsOf,
  neighbour,
  read,
  redrive,
  settle,
  statistics,
  type Topic,
  waiting
} from "./topic.ts"

/** Which entries are read, and in what order. */
export const readCases = <R>({ facts, it, itWith }: Topic<R>): void => {
  facts.describe("read", () => {
    it(
      "answers nothing from an empty storage",
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* read(), [])
        const { dead, oldestAge, pending } = yield* statistics
        assert.deepStrictEqual({ dead, pending, oldestAge: Duration.toMillis(oldestAge) }, {
          dead: 0,
          pending: 0,
          oldestAge: 0
        })
        assert.deepStrictEqual(yield* deadLetters(), [])
      })
    )

    it(
      "answers entries by sequence, in the order they were stored, again and again until they are settled",
      Effect.gen(function*() {
        const stored = Array.from({ length: 30 }, (_, n) => messageOf({ key: `key ${n % 3}` }))
        yield* append(stored.slice(0, 10))
        yield* append([])
        yield* append(stored.slice(10))
        const entries = yield* read()
        assertOrder("entries", ids(entries), idsOf(stored))
        for (const [n, entry] of entries.entries()) {
          assert.ok(n === 0 || entry.sequence > entries[n - 1]!.sequence, "sequences grow")
          assert.strictEqual(entry.attempts, 0)
          assert.strictEqual(entry.malformed, undefined)
          assert.strictEqual(entry.message.sequence, entry.sequence)
        }
        assertOrder("entries", ids(yield* read()), idsOf(stored))
      })
    )

    it(
      "does not answer what was rolled back",
      Effect.gen(function*() {
        const [a, b, c] = [messageOf(), messageOf(), messageOf()]
        yield* append([a])
        yield* Effect.exit(Transaction.run(Effect.zipRight(announce("b"), Effect.fail("no"))))
        yield* append([c])
        assertOrder("entries", ids(yield* read()), idsOf([a, c]))
        assert.strictEqual((yield* statistics).pending, 2)
        yield* append([b])
        assertOrder("entries", ids(yield* read()), idsOf([a, c, b]))
      })
    )

    it(
      "answers at most `limit` entries, the first ones",
      Effect.gen(function*() {
        const stored = Array.from({ length: 10 }, () => messageOf())
        yield* append(stored)
        for (const limit of [1, 2, 9, 10, 11]) {
          assertOrder(`limit ${limit}`, ids(yield* read({ limit })), idsOf(stored.slice(0, limit)))
        }
      })
    )

    it(
      "stops after the entry that brings the payloads to `maxBytes`",
      Effect.gen(function*() {
        const stored = [100, 100, 1000, 100, 0, 100].map((size) => messageOf({ payload: new Uint8Array(size) }))
        yield* append(stored)
        for (
          const [maxBytes, count] of [[1, 1], [100, 1], [101, 2], [200, 2], [201, 3], [1200, 3], [1201, 4], [1301, 6]]
        ) {
          const entries = yield* read({ maxBytes: maxBytes! })
          assertOrder(`maxBytes ${maxBytes}`, ids(entries), idsOf(stored.slice(0, count)))
        }
      })
    )

    it(
      "leaves out the topics in `exceptTopics`, however full of them it is",
      Effect.gen(function*() {
        const stored = Array.from(
          { length: 300 },
          (_, n) => messageOf({ topic: n % 100 === 99 ? "open" : `out ${n % 2}` })
        )
        yield* append(stored)
        const open = stored.filter((one) => one.topic === "open")
        assertOrder(
          "entries",
          ids(yield* read({ exceptTopics: ["out 0", "out 1"], limit: 2 })),
          idsOf(open.slice(0, 2))
        )
        assertOrder("entries", ids(yield* read({ exceptTopics: ["out 0", "out 1", "no such"] })), idsOf(open))
        assertOrder(
          "entries",
          ids(yield* read({ exceptTopics: ["out 1"] })),
          idsOf(stored.filter((one) => one.topic !== "out 1"))
        )
      })
    )

    it(
      "answers the entries of the buckets that are asked for, and of no other",
      Effect.gen(function*() {
        const { buckets } = yield* OutboxStorage
        const stored = Array.from(
          { length: 200 },
          (_, n) => messageOf({ key: n % 4 === 0 ? undefined : `key ${n % 50}` })
        )
        yield* append(stored)
        const bucketsOf = new Map<string, number>()
        for (const entry of yield* read()) {
          assert.strictEqual(entry.bucket, bucketOf(entry.message, buckets))
          bucketsOf.set(entry.message.id, entry.bucket)
        }
        const some = Array.from({ length: buckets }, (_, bucket) => bucket).filter((bucket) => bucket % 3 === 0)
        assertOrder(
          "entries",
          ids(yield* read({ buckets: some })),
          idsOf(stored.filter((one) => some.includes(bucketsOf.get(one.id)!)))
        )
        assertOrder("entries", ids(yield* read({ buckets: [] })), [])
        const one = bucketsOf.get(stored[1]!.id)!
        assertOrder(
          "entries",
          ids(yield* read({ buckets: [one], limit: 1000 })),
          idsOf(stored.filter((message) => bucketsOf.get(message.id) === one))
        )
      })
    )

    it(
      "keeps the order of 10,000 entries through batches of any size",
      Effect.gen(function*() {
        const stored = Array.from(
          { length: 10_000 },
          (_, n) => messageOf({ topic: `topic ${n % 2}`, key: n % 7 === 0 ? undefined : `key ${n % 100}` })
        )
        for (let at = 0; at < stored.length; at += 500) yield* append(stored.slice(at, at + 500))
        assertOrder("entries", ids(yield* read({ limit: 20_000 })), idsOf(stored))
        const seen: Array<string> = []
        for (let limit = 1;; limit = limit * 3 + 1) {
          const entries = yield* read({ limit: Math.min(limit, 997) })
          if (entries.length === 0) break
          for (const id of ids(entries)) seen.push(id)
          yield* settle(entries.map(delivered))
        }
        assertOrder("entries in batches", seen, idsOf(stored))
        assert.strictEqual((yield* statistics).pending, 0)
      })
    )

    it(
      "leaves out the topics and keys that a range excepts, and no others that look like them",
      Effect.gen(function*() {
        const excepted = [messageOf({ topic: "t", key: "k" }), messageOf({ topic: "t", key: "k" })]
        const others = [
          messageOf({ topic: "t", key: yield* neighbour("t", "k") }),
          messageOf({ topic: "u", key: "k" }),
          messageOf({ topic: "t", key: "" }),
          messageOf({ topic: "t", key: undefined }),
          ...["K", "k ", " k", "ḱ", "kk", "k\u0301", "ｋ"].map((key) => messageOf({ topic: "t", key })),
          ...["T", "t ", "ţ"].map((topic) => messageOf({ topic, key: "k" }))
        ]
        yield* append([excepted[0]!, ...others, excepted[1]!])
        const except = [{ topic: "t", key: "k" }]
        assertOrder("entries", ids(yield* read({ except })), idsOf(others))
        assertOrder("the first", ids(yield* read({ except, limit: 2 })), idsOf(others.slice(0, 2)))
        assertOrder(
          "without two keys",
          ids(yield* read({ except: [...except, { topic: "t", key: "" }, { topic: "no", key: "such" }] })),
          idsOf(others.filter(({ key, topic }) => topic !== "t" || key !== ""))
        )
        assertOrder(
          "without a topic",
          ids(yield* read({ except, exceptTopics: ["t"] })),
          idsOf([1, 11, 12, 13].map((n) => others[n]!))
        )
      })
    )

    it(
      "begins behind `after`, and takes no more of a bucket than its `limit`",
      Effect.gen(function*() {
        const [first, second, third] = ["key", yield* elsewhere("key"), yield* neighbour("suite", "key")]
        const stored = Array.from({ length: 18 }, (_, n) => messageOf({ key: [first, second, third][n % 3]! }))
        yield* append(stored)
        const entries = yield* read()
        const some = (from: number, each: number): ReadonlyArray<string> => {
          const left = new Map<number, number>()
          return entries.slice(from).flatMap(({ bucket, message }) => {
            const taken = left.get(bucket) ?? 0
            left.set(bucket, taken + 1)
            return taken < each ? [message.id] : []
          })
        }
        assertOrder("behind", ids(yield* read({ after: entries[4]!.sequence })), idsOf(stored.slice(5)))
        assertOrder("behind all", ids(yield* read({ after: entries[17]!.sequence })), [])
        assertOrder("behind nothing", ids(yield* read({ after: 0n })), idsOf(stored))
        assertOrder("two of each", ids(yield* read({ each: 2 })), some(0, 2))
        assertOrder("two of each, three of all", ids(yield* read({ each: 2, limit: 3 })), some(0, 2).slice(0, 3))
        assertOrder("behind, one of each", ids(yield* read({ each: 1, after: entries[4]!.sequence })), some(5, 1))
        const storage = yield* OutboxStorage
        const from = [{
          bucket: entries[0]!.bucket,
          after: entries[6]!.sequence,
          limit: 3,
          except: [{ topic: "suite", key: third }]
        }]
        const mixed = yield* storage.read({ from, exceptTopics: [], limit: 100, maxBytes: 1e6 })
        const left = entries.slice(7).filter(({ bucket, message }) =>
          bucket === from[0]!.bucket && message.key !== third
        )
        assertOrder("all of it together", ids(mixed), ids(left.slice(0, 3)))
      })
    )

    it(
      "answers nothing of what waits beside a bucket, be it deferred or dead, and all that is behind it",
      Effect.gen(function*() {
        const stored = Array.from({ length: 6 }, () => messageOf({ key: "one" }))
        yield* append(stored)
        const entries = yield* read()
        yield* settle([deferred(entries[0]!, "0 millis"), dead(entries[2]!, "halt"), dead(entries[3]!, "skip")])
        assertOrder("entries", ids(yield* read()), idsOf([1, 4, 5].map((n) => stored[n]!)))
        assertOrder("the first", ids(yield* read({ limit: 2 })), idsOf([1, 4].map((n) => stored[n]!)))
      })
    )

    itWith(
      facts.concurrentWriters,
      "finds an entry that was committed late, behind a larger sequence",
      () =>
        Effect.gen(function*() {
          const [early, late] = [messageOf(), messageOf()]
          const placed = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const fiber = yield* Effect.fork(Transaction.run(
            Effect.flatMap(OutboxStorage, (storage) => storage.append([early])).pipe(
              Effect.zipRight(Deferred.succeed(placed, undefined)),
              Effect.zipRight(Deferred.await(go))
            )
          ))
          yield* Deferred.await(placed)
          yield* append([late])
          const first = yield* read()
          assertOrder("entries", ids(first), idsOf([late]))
          yield* settle(first.map(delivered))
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(fiber)
          const second = yield* read()
          assertOrder("entries", ids(second), idsOf([early]))
          assert.ok(second[0]!.sequence < first[0]!.sequence, "the late one had taken its place first")
        })
    )

    itWith(
      facts.concurrentWriters,
      "loses nothing of 16 writers whose commits come in another order than their sequences, while it is drained",
      () =>
        Effect.gen(function*() {
          const { append: store } = yield* OutboxStorage
          const seen: Array<string> = []
          const drain = Effect.gen(function*() {
            const entries = yield* read({ limit: 20 })
            for (const id of ids(entries)) seen.push(id)
            yield* settle(entries.map(delivered))
          })
          const expected: Array<string> = []
          const writers = new Map<string, number>()
          const writer = (n: number) =>
            Effect.forEach(Array.from({ length: 25 }, (_, round) => round), (round) => {
              const [one, other] = [messageOf({ key: `key ${n}` }), messageOf({ key: `key ${n}` })]
              const write = store([one]).pipe(
                // others take their places in the meantime, and commit before
                Effect.zipRight(Effect.sleep(Duration.millis((n * 7 + round * 13) % 30))),
                Effect.zipRight(store([other]))
              )
              const fails = (n + round) % 5 === 0
              if (!fails) expected.push(one.id, other.id)
              writers.set(one.id, n).set(other.id, n)
              return Effect.exit(Transaction.run(fails ? Effect.zipRight(write, Effect.fail("no")) : write))
            }, { discard: true })
          const draining = yield* Effect.fork(Effect.forever(drain))
          yield* Effect.forEach(Array.from({ length: 16 }, (_, n) => n), writer, { concurrency: 8, discard: true })
          yield* Fiber.interrupt(draining)
          yield* Effect.repeat(drain, { until: () => Effect.map(statistics, ({ pending }) => pending === 0) })
          assertIds("entries", [...new Set(seen)], expected)
          for (let n = 0; n < 16; n++) {
            const of = (all: ReadonlyArray<string>) => all.filter((id) => writers.get(id) === n)
            assertOrder(`of writer ${n}`, of([...new Set(seen)]), of(expected))
          }
        })
    )

    itWith(
      facts.bulk,
      "does not hinder the other keys of a bucket by a mass of one key that is left out",
      ({ count, insert }) =>
        Effect.gen(function*() {
          const mass = messageOf({ topic: "t", key: "halted" })
          const key = yield* neighbour("t", "halted")
          const { bucket, others } = yield* Effect.gen(function*() {
            const others = Array.from({ length: 5 }, () => messageOf({ topic: "t", key }))
            yield* append([others[0]!])
            yield* insert(mass, count)
            yield* append(others.slice(1))
            const storage = yield* OutboxStorage
            return { bucket: bucketOf(mass, storage.buckets), others }
          })
          assert.strictEqual((yield* statistics).pending, count + 5)
          const except = [{ topic: "t", key: "halted" }]
          const all = yield* read({ buckets: [bucket], except, limit: 100 })
          assertOrder("once over the whole mass", ids(all), idsOf(others))
          const after = all[1]!.sequence - 1n
          const [took] = yield* Effect.timed(
            Effect.repeatN(
              Effect.tap(
                read({ buckets: [bucket], except, after, limit: 100 }),
                (some) => assertOrder("behind the mass", ids(some), idsOf(others.slice(1)))
              ),
              19
            )
          )
          assert.ok(Duration.toSeconds(took) < 5, `20 reads behind the mass took ${Duration.format(took)}`)
          const head = yield* read({ buckets: [bucket], limit: 10 })
          assert.strictEqual(head.length, 10)
        })
    )

    itWith(
      facts.move,
      "answers rows of buckets that there are not as malformed, with the bucket 0",
      (move) =>
        Effect.gen(function*() {
          const { buckets } = yield* OutboxStorage
          const stored = Array.from({ length: 8 }, (_, n) => messageOf({ key: `key ${n}` }))
          yield* append(stored)
          const entries = yield* read()
          const [kept, ...moved] = entries
          for (const [n, bucket] of [buckets, 2 ** 31 - 1, -1 - buckets, -999_999].entries()) {
            yield* move(moved[n]!.sequence, bucket)
          }
          assert.strictEqual((yield* statistics).pending, 8)
          const all = yield* read()
          assertOrder("entries", ids(all), idsOf(stored))
          for (const entry of all) {
            const isMoved = moved.slice(0, 4).some(({ sequence }) => sequence === entry.sequence)
            assert.strictEqual(entry.malformed !== undefined, isMoved)
            if (isMoved) assert.strictEqual(entry.bucket, 0)
          }
          const strange = all.filter(({ malformed }) => malformed !== undefined)
          assertOrder(
            "with bucket 0",
            ids((yield* read({ buckets: [0] })).filter(({ malformed }) => malformed !== undefined)),
            ids(strange)
          )
          assert.ok((yield* read({ buckets: [0], each: 2 })).length <= 2)
          assertOrder(
            "not with the others",
            ids(yield* read({ buckets: Array.from({ length: buckets - 1 }, (_, n) => n + 1) })),
            ids(all.filter((entry) => entry.malformed === undefined && entry.bucket !== 0))
          )
          yield* settle([
            dead(strange[0]!, "halt"),
            dead(strange[2]!, "skip"),
            deferred(strange[1]!, "0 millis"),
            delivered(strange[3]!)
          ])
          assert.deepStrictEqual((yield* deadLetters()).map(({ sequence }) => sequence), [
            strange[0]!.sequence,
            strange[2]!.sequence
          ])
          assert.strictEqual((yield* waiting([0])).length, 2)
          assert.strictEqual(yield* redrive([strange[0]!.sequence]), 1)
          assert.ok(ids(yield* read({ buckets: [0] })).includes(strange[0]!.message.id), "it is in bucket 0 then")
          assert.strictEqual(kept!.malformed, undefined)
        })
    )
  })
}
