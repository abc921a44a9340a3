import { OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc, TestClock } from "effect"
import { everywhere, message } from "./fixtures.ts"

const { Settlement, bucketOf } = OutboxStorage
type Storage = typeof OutboxStorage.OutboxStorage.Service

const read = (given: Partial<Parameters<Storage["read"]>[0]> = {}) =>
  Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
    Effect.map(
      storage.read({ from: everywhere(storage.buckets), limit: 100, maxBytes: 1_000_000, exceptTopics: [], ...given }),
      (entries) => entries.map((entry) => entry.message.id)
    ))
const append = (...messages: ReadonlyArray<Parameters<typeof message>[0]>) =>
  Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => storage.append(messages.map((one) => message(one))))
const settle = (...settlements: ReadonlyArray<OutboxStorage.Settlement>) =>
  Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => storage.settle(0n, settlements))

const dead = (sequence: bigint, policy: "halt" | "skip" = "halt") =>
  Settlement.Dead({ sequence, attempts: 3, policy, reason: "malformed" })
const deferred = (sequence: bigint, delay: Duration.DurationInput) =>
  Settlement.Deferred({ sequence, attempts: 1, delay: Duration.decode(delay), reason: "malformed" })

describe("OutboxStorage over memory", () => {
  it.effect("gives growing sequences and hands out entries by them, with their buckets", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a", key: "x" }, { id: "b", key: "y" })
      yield* append({ id: "c", key: "x" })
      const entries = yield* storage.read({
        from: everywhere(storage.buckets),
        limit: 9,
        maxBytes: 9999,
        exceptTopics: []
      })
      assert.deepStrictEqual(
        entries.map((
          { attempts, bucket, message, sequence }
        ) => [message.id, sequence, message.sequence, attempts, bucket]),
        [["a", 1n, "x"], ["b", 2n, "y"], ["c", 3n, "x"]].map(([id, sequence, key]) => [
          id,
          sequence,
          sequence,
          0,
          bucketOf({ topic: "rooms", key: key as string, id: "" }, 64)
        ])
      )
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("what is pending is what is there: reading removes nothing", () =>
    Effect.gen(function*() {
      yield* append({ id: "a" }, { id: "b" })
      assert.deepStrictEqual(yield* read(), ["a", "b"])
      assert.deepStrictEqual(yield* read(), ["a", "b"])
      yield* settle(Settlement.Delivered({ sequence: 1n }))
      assert.deepStrictEqual(yield* read(), ["b"])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("hands out no other buckets, no topics that are excepted, and no more than asked for", () =>
    Effect.gen(function*() {
      yield* append({ id: "a", key: "x" }, { id: "b", key: "y", topic: "openings" }, { id: "c", key: "z" })
      const bucket = bucketOf({ topic: "rooms", key: "x", id: "" }, 64)
      assert.deepStrictEqual(yield* read({ from: [{ bucket }] }), ["a"])
      assert.deepStrictEqual(yield* read({ from: [] }), [])
      assert.deepStrictEqual(yield* read({ from: [{ bucket, after: 1n }] }), [])
      assert.deepStrictEqual(yield* read({ from: [{ bucket, limit: 0 }] }), [])
      assert.deepStrictEqual(yield* read({ from: [{ bucket, except: [{ topic: "rooms", key: "x" }] }] }), [])
      assert.deepStrictEqual(yield* read({ from: [{ bucket, except: [{ topic: "rooms", key: "y" }] }] }), ["a"])
      assert.deepStrictEqual(yield* read({ exceptTopics: ["rooms"] }), ["b"])
      assert.deepStrictEqual(yield* read({ limit: 2 }), ["a", "b"])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("stops after the entry that brings the payloads to maxBytes", () =>
    Effect.gen(function*() {
      const payload = new Uint8Array(10)
      yield* append({ id: "a", payload }, { id: "b", payload }, { id: "c", payload })
      assert.deepStrictEqual(yield* read({ maxBytes: 1 }), ["a"])
      assert.deepStrictEqual(yield* read({ maxBytes: 10 }), ["a"])
      assert.deepStrictEqual(yield* read({ maxBytes: 11 }), ["a", "b"])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("a deferred entry waits beside its bucket, by the storage's clock, and later ones of its key stay there", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const waiting = Effect.map(
        storage.waiting(Array.from({ length: 64 }, (_, bucket) => bucket)),
        (found) => found.map(({ due, key, sequence }) => [sequence, key, due && Duration.toMillis(due)])
      )
      yield* append({ id: "a", key: "x" }, { id: "b", key: "x" }, { id: "c", key: "y" }, { id: "d", key: undefined })
      yield* settle(deferred(1n, "2 seconds"), deferred(4n, "1 second"))
      assert.deepStrictEqual(yield* read(), ["b", "c"])
      assert.deepStrictEqual(yield* waiting, [[1n, "x", 2000], [4n, undefined, 1000]])
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(yield* waiting, [[1n, "x", 500], [4n, undefined, 0]])
      assert.deepStrictEqual(yield* read(), ["b", "c"])
      assert.deepStrictEqual((yield* storage.pending([4n, 1n, 2n, 99n])).map((entry) => entry.message.id), [
        "a",
        "b",
        "d"
      ])
      yield* settle(Settlement.Delivered({ sequence: 1n }), Settlement.Delivered({ sequence: 4n }))
      assert.deepStrictEqual(yield* waiting, [])
      assert.deepStrictEqual(yield* storage.pending([1n, 4n]), [])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("counts attempts, and redriving starts anew", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a" })
      yield* settle(deferred(1n, 0))
      const attempts = Effect.map(storage.pending([1n]), ([entry]) => entry?.attempts)
      assert.strictEqual(yield* attempts, 1)
      yield* settle(dead(1n))
      assert.strictEqual(yield* attempts, undefined)
      assert.strictEqual((yield* storage.deadLetters({ limit: 1 }))[0]!.attempts, 3)
      yield* storage.redrive([1n])
      assert.strictEqual(yield* attempts, 0)
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("a dead letter that halts its key waits beside its bucket, one that does not is no one's concern", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a", key: "x" }, { id: "b", key: "x" }, { id: "c", key: "y" }, { id: "d", key: undefined })
      yield* settle(dead(1n, "halt"), dead(3n, "skip"), dead(4n, "halt"))
      assert.deepStrictEqual(yield* read(), ["b"])
      assert.deepStrictEqual(yield* storage.waiting(Array.from({ length: 64 }, (_, bucket) => bucket)), [{
        sequence: 1n,
        bucket: bucketOf({ topic: "rooms", key: "x", id: "" }, 64),
        topic: "rooms",
        key: "x",
        due: undefined
      }])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("the revision changes when dead letters are redriven or discarded, and at no other time", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a", key: "x" }, { id: "b", key: "y" })
      const first = yield* storage.revision
      yield* settle(dead(1n), dead(2n))
      assert.strictEqual(yield* storage.revision, first)
      yield* storage.redrive([1n])
      const second = yield* storage.revision
      assert.notStrictEqual(second, first)
      yield* storage.discard([2n])
      assert.notStrictEqual(yield* storage.revision, second)
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("keeps what was delivered if told to, apart from what is pending, until it is purged", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a" }, { id: "b" }, { id: "c" })
      yield* storage.settle(0n, [Settlement.Delivered({ sequence: 1n })], { keep: true })
      yield* TestClock.adjust("1 hour")
      yield* storage.settle(0n, [Settlement.Delivered({ sequence: 2n })], { keep: true })
      assert.deepStrictEqual(yield* read(), ["c"])
      assert.strictEqual((yield* storage.statistics).pending, 1)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* storage.purge({ olderThan: Duration.minutes(90), limit: 10 }), 1)
      assert.strictEqual(yield* storage.purge({ olderThan: Duration.minutes(30), limit: 10 }), 1)
      assert.strictEqual(yield* storage.purge({ olderThan: Duration.zero, limit: 10 }), 0)
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("redriven dead letters come back in their old places, and wake the relay", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a", key: "x" }, { id: "b", key: "x" }, { id: "c", key: "y" })
      yield* settle(dead(2n), dead(1n))
      const version = yield* storage.arrivals.version
      assert.strictEqual(yield* storage.redrive([2n, 1n, 1n, 3n, 99n]), 2)
      assert.isAbove(yield* storage.arrivals.version, version)
      assert.deepStrictEqual(yield* read(), ["a", "b", "c"])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("only dead letters can be discarded; their keys go on, and the relay is woken", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a", key: "x" }, { id: "b", key: "x" })
      yield* settle(dead(1n))
      const version = yield* storage.arrivals.version
      assert.strictEqual(yield* storage.discard([1n, 1n, 2n]), 1)
      assert.isAbove(yield* storage.arrivals.version, version)
      assert.deepStrictEqual(yield* read(), ["b"])
      assert.deepStrictEqual(yield* storage.deadLetters({ limit: 9 }), [])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("lists dead letters by sequence with their reason, of one topic if it is given", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* append({ id: "a" }, { id: "b", topic: "openings" }, { id: "c" }, { id: "d" })
      yield* settle(dead(3n, "skip"), dead(2n), dead(1n))
      const letters = (options: Parameters<Storage["deadLetters"]>[0]) =>
        Effect.map(
          storage.deadLetters(options),
          (found) => found.map(({ message, policy, reason }) => `${message.id} ${policy} ${reason}`)
        )
      assert.deepStrictEqual(yield* letters({ limit: 9 }), ["a halt malformed", "b halt malformed", "c skip malformed"])
      assert.deepStrictEqual(yield* letters({ limit: 1 }), ["a halt malformed"])
      assert.deepStrictEqual(yield* letters({ limit: 9, topic: "openings" }), ["b halt malformed"])
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("a settlement of an entry that is gone, or dead already, changes nothing", () =>
    Effect.gen(function*() {
      yield* append({ id: "a" })
      yield* settle(dead(1n))
      assert.isTrue(yield* settle(Settlement.Delivered({ sequence: 1n }), deferred(99n, 0)))
      const storage = yield* OutboxStorage.OutboxStorage
      assert.strictEqual((yield* storage.deadLetters({ limit: 9 })).length, 1)
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("says how many wait, how many are dead, and how old the oldest waiting one is", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      assert.deepStrictEqual(yield* storage.statistics, { pending: 0, dead: 0, oldestAge: Duration.zero })
      yield* append({ id: "a" })
      yield* TestClock.adjust("1 second")
      yield* append({ id: "b" }, { id: "c" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* storage.statistics, { pending: 3, dead: 0, oldestAge: Duration.seconds(2) })
      yield* settle(dead(1n))
      assert.deepStrictEqual(yield* storage.statistics, { pending: 2, dead: 1, oldestAge: Duration.seconds(1) })
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))
})

describe("bucketOf", () => {
  // part of the stored format: these never change
  for (
    const [topic, key, id, bucket64, bucket1000] of [
      ["rooms", "blue", "a", 18, 442],
      ["rooms", "red", "a", 39, 431],
      ["openings", "blue", "a", 38, 598],
      ["", "", "", 27, 203],
      ["rooms", undefined, "0190163d-8694-739b-aea5-966c26f8ad91", 36, 764],
      ["räume", "größe 🙂", "x", 35, 747]
    ] as const
  ) {
    it(`${JSON.stringify({ topic, key, id })} is in bucket ${bucket64} of 64 and ${bucket1000} of 1000`, () => {
      assert.strictEqual(bucketOf({ topic, key, id }, 64), bucket64)
      assert.strictEqual(bucketOf({ topic, key, id }, 1000), bucket1000)
    })
  }

  it.prop(
    "depends on topic and key alone where there is a key, and is one of the buckets",
    [fc.fullUnicodeString(), fc.fullUnicodeString(), fc.string(), fc.string(), fc.integer({ min: 1, max: 4096 })],
    ([topic, key, id, other, buckets]) => {
      const bucket = bucketOf({ topic, key, id }, buckets)
      assert.strictEqual(bucketOf({ topic, key, id: other }, buckets), bucket)
      assert.isTrue(Number.isInteger(bucket) && bucket >= 0 && bucket < buckets)
    }
  )

  it("spreads keys, and ids where there is no key, evenly", () => {
    for (const keyed of [true, false]) {
      const counts = new Array<number>(64).fill(0)
      for (let n = 0; n < 64_000; n++) {
        const text = `user-${n}`
        counts[bucketOf({ topic: "rooms", key: keyed ? text : undefined, id: text }, 64)]! += 1
      }
      // 1000 each; the standard deviation is about 31
      assert.isAbove(Math.min(...counts), 840)
      assert.isBelow(Math.max(...counts), 1160)
    }
  })

  it("topic and key do not run into each other", () => {
    const buckets = 1 << 30
    assert.notStrictEqual(
      bucketOf({ topic: "ab", key: "c", id: "" }, buckets),
      bucketOf({ topic: "a", key: "bc", id: "" }, buckets)
    )
  })
})
