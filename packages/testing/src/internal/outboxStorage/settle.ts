import { OutboxStorage, type Settlement } from "@effect-cqrs/core/OutboxStorage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as assert from "node:assert"
import { assertMessage, eventually, messageOf } from "../../Fixtures.ts"
import { assertOrder } from "../cases.ts"
import {
  append,
  dead,
  deadLetters,
  deferred,
  delivered,
  ids,
  idsOf,
  read,
  settle,
  statistics,
  type Topic,
  waiting
} from "./topic.ts"

/** What becomes of what a relay decided. */
export const settleCases = <R>({ facts, it, itWith }: Topic<R>): void => {
  facts.describe("settle", () => {
    it(
      "what is delivered leaves the pending set, and nothing else does",
      Effect.gen(function*() {
        const stored = Array.from({ length: 6 }, () => messageOf({ key: "one" }))
        yield* append(stored)
        const entries = yield* read()
        assert.strictEqual(yield* settle([delivered(entries[1]!), delivered(entries[4]!)]), true)
        assertOrder("entries", ids(yield* read()), idsOf([0, 2, 3, 5].map((n) => stored[n]!)))
      })
    )

    it(
      "what is deferred waits beside its bucket until it is due, by the storage's clock, and is pending with its attempts",
      Effect.gen(function*() {
        const stored = [messageOf({ key: "soon" }), messageOf({ key: undefined }), messageOf({ key: "soon" })]
        yield* append(stored)
        const [soon, later, behind] = yield* read()
        yield* settle([deferred(soon!, "1 second", { attempts: 2 }), deferred(later!, "1 hour", { attempts: 3 })])
        assertOrder("entries", ids(yield* read()), ids([behind!]))
        assert.strictEqual((yield* statistics).pending, 3)
        const [first, second, ...more] = yield* waiting()
        assert.deepStrictEqual(more, [])
        const { due, ...rest } = first!
        assert.deepStrictEqual(rest, { sequence: soon!.sequence, bucket: soon!.bucket, topic: "suite", key: "soon" })
        const left = Duration.toMillis(due!)
        assert.ok(left > 0 && left <= 1010, `it is due in ${left} ms`)
        assert.strictEqual(second!.key, undefined)
        assert.ok(Duration.toMinutes(second!.due!) > 59)
        const storage = yield* OutboxStorage
        const found = yield* storage.pending([later!.sequence, soon!.sequence, behind!.sequence])
        assert.deepStrictEqual(
          found.map(({ attempts, bucket, sequence }) => ({ attempts, bucket, sequence })),
          [soon!, later!, behind!].map(({ bucket, sequence }, n) => ({ attempts: [2, 3, 0][n], bucket, sequence }))
        )
        // never less than nothing, however long it has been due
        const past = yield* eventually("it is due", waiting(), (all) => Duration.toMillis(all[0]!.due!) === 0)
        assert.strictEqual(past[0]!.sequence, soon!.sequence)
        yield* Effect.sleep("20 millis")
        assert.strictEqual(Duration.toMillis((yield* waiting())[0]!.due!), 0)
      })
    )

    it(
      "what waits is that of the buckets that are asked for: deferred entries, and dead letters that halt a key",
      Effect.gen(function*() {
        const stored = ["deferred", "halted", "skipped", undefined, undefined, "", "pending"].map((key) =>
          messageOf({ key })
        )
        yield* append(stored)
        const entries = yield* read()
        yield* settle([
          deferred(entries[0]!, "1 hour"),
          dead(entries[1]!, "halt"),
          dead(entries[2]!, "skip"),
          deferred(entries[3]!, "1 hour"),
          dead(entries[4]!, "halt"),
          dead(entries[5]!, "halt")
        ])
        const all = yield* waiting()
        assert.deepStrictEqual(
          all.map(({ bucket, due, key, sequence, topic }) => [sequence, bucket, topic, key, due === undefined]),
          [0, 1, 3, 5].map((n) => [
            entries[n]!.sequence,
            entries[n]!.bucket,
            "suite",
            stored[n]!.key,
            n === 1 || n === 5
          ])
        )
        assert.deepStrictEqual(yield* waiting([]), [])
        for (const bucket of new Set(entries.map((entry) => entry.bucket))) {
          const some = (yield* waiting([bucket])).map(({ sequence }) => sequence)
          assert.deepStrictEqual(some, all.filter((one) => one.bucket === bucket).map(({ sequence }) => sequence))
        }
      })
    )

    it(
      "what is pending is answered by its sequences, in its bucket or beside it; what is gone or dead is left out",
      Effect.gen(function*() {
        const stored = Array.from({ length: 6 }, (_, n) => messageOf({ key: `key ${n}`, headers: { n: `${n}` } }))
        yield* append(stored)
        const entries = yield* read()
        yield* settle([dead(entries[0]!, "halt"), deferred(entries[1]!, "1 hour"), delivered(entries[2]!)])
        yield* settle([delivered(entries[3]!)], { keep: true })
        const { pending } = yield* OutboxStorage
        const all = entries.map(({ sequence }) => sequence)
        const found = yield* pending([...all, 999_999n].reverse())
        assertOrder("entries", ids(found), idsOf([1, 4, 5].map((n) => stored[n]!)))
        for (const entry of found) {
          assertMessage(entry.message, {
            ...stored.find(({ id }) => id === entry.message.id)!,
            sequence: entry.sequence
          })
        }
        assert.deepStrictEqual(yield* pending([]), [])
      })
    )

    it(
      "an entry that was deferred before can be delivered, deferred again or buried, where it waits",
      Effect.gen(function*() {
        const stored = ["a", "b", "c", "d"].flatMap((key) => [messageOf({ key }), messageOf({ key })])
        yield* append(stored)
        const firsts = (yield* read()).filter((_, n) => n % 2 === 0)
        yield* settle(firsts.map((entry) => deferred(entry, "1 hour", { attempts: 1 })))
        yield* settle([
          deferred(firsts[1]!, "2 hours", { attempts: 2 }),
          dead(firsts[2]!, "skip", "enough", 2)
        ])
        yield* settle([delivered(firsts[0]!)])
        yield* settle([delivered(firsts[3]!)], { keep: true })
        assertOrder("entries", ids(yield* read()), idsOf([1, 3, 5, 7].map((n) => stored[n]!)))
        const [again, ...more] = yield* waiting()
        assert.deepStrictEqual(more, [])
        assert.strictEqual(again!.sequence, firsts[1]!.sequence)
        assert.ok(Duration.toMinutes(again!.due!) > 119)
        const { pending } = yield* OutboxStorage
        assert.deepStrictEqual((yield* pending([again!.sequence])).map(({ attempts }) => attempts), [2])
        assert.deepStrictEqual((yield* deadLetters()).map((one) => one.attempts), [2])
      })
    )

    it(
      "a settlement of what is not there, or is settled already, changes nothing",
      Effect.gen(function*() {
        const stored = Array.from({ length: 4 }, (_, n) => messageOf({ key: `key ${n}` }))
        yield* append(stored)
        const entries = yield* read()
        const all = [delivered(entries[0]!), dead(entries[1]!, "halt", "first", 5), deferred(entries[2]!, "1 hour")]
        const nowhere = { ...entries[3]!, sequence: entries[3]!.sequence + 1000n }
        assert.strictEqual(yield* settle(all), true)
        assert.strictEqual(yield* settle(all), true)
        assert.strictEqual(
          yield* settle([
            deferred(entries[0]!, "0 millis"),
            dead(entries[0]!, "skip"),
            deferred(entries[1]!, "0 millis"),
            dead(entries[1]!, "skip", "second", 6),
            delivered(nowhere),
            deferred(nowhere, "0 millis"),
            dead(nowhere, "halt")
          ]),
          true
        )
        assert.strictEqual(yield* settle([]), true)
        assertOrder("entries", ids(yield* read()), [stored[3]!.id])
        assert.deepStrictEqual(
          (yield* deadLetters()).map((one) => [one.message.id, one.reason, one.policy, one.attempts]),
          [[stored[1]!.id, "first", "halt", 5]]
        )
        assert.strictEqual((yield* statistics).pending, 2)
        yield* append([messageOf()])
        assert.strictEqual((yield* read()).length, 2)
      })
    )

    it(
      "a dead letter is not delivered by a settlement that comes late",
      Effect.gen(function*() {
        yield* append([messageOf()])
        const [entry] = yield* read()
        yield* settle([dead(entry!, "halt")])
        yield* settle([delivered(entry!)])
        assert.strictEqual((yield* deadLetters()).length, 1)
      })
    )

    it(
      "many settlements at once, of all kinds",
      Effect.gen(function*() {
        const stored = Array.from({ length: 3000 }, (_, n) => messageOf({ key: `key ${n}` }))
        yield* append(stored)
        const entries = yield* read({ limit: 3000 })
        yield* settle(
          entries.flatMap((entry, n): ReadonlyArray<Settlement> =>
            n % 10 === 0
              ? [dead(entry, "skip")]
              : n % 10 === 1
              ? [deferred(entry, "1 hour")]
              : n % 10 === 2
              ? []
              : [delivered(entry)]
          )
        )
        const { dead: buried, pending } = yield* statistics
        assert.deepStrictEqual({ buried, pending }, { buried: 300, pending: 600 })
        assertOrder("entries", ids(yield* read()), idsOf(stored.filter((_, n) => n % 10 === 2)))
      })
    )

    itWith(
      facts.refuseChange,
      "applies all of a settlement or nothing",
      (refuseChange) =>
        Effect.gen(function*() {
          const stored = Array.from({ length: 4 }, (_, n) => messageOf({ key: `key ${n}` }))
          yield* append(stored)
          const entries = yield* read()
          yield* refuseChange(entries[3]!.sequence)
          const exit = yield* Effect.exit(settle([
            delivered(entries[0]!),
            deferred(entries[1]!, "1 hour"),
            dead(entries[2]!, "halt"),
            dead(entries[3]!, "halt")
          ]))
          assert.ok(Exit.isFailure(exit), "it fails")
          assertOrder("entries", ids(yield* read()), idsOf(stored))
          assert.strictEqual((yield* statistics).dead, 0)
          // and the storage is usable
          yield* settle([delivered(entries[0]!), dead(entries[1]!, "skip")])
          assertOrder("entries", ids(yield* read()), idsOf(stored.slice(2)))
        })
    )

    it(
      "what is delivered and kept is out of the way, and is not settled again",
      Effect.gen(function*() {
        const stored = Array.from({ length: 6 }, (_, n) => messageOf({ key: `key ${n % 2}` }))
        yield* append(stored)
        const entries = yield* read()
        const settlements = entries.slice(0, 4).map(delivered)
        assert.strictEqual(yield* settle(settlements, { keep: true }), true)
        assert.strictEqual(yield* settle(settlements, { keep: true }), true)
        assert.strictEqual(yield* settle(settlements), true)
        yield* settle([dead(entries[0]!, "halt"), deferred(entries[1]!, "1 hour")])
        assertOrder("entries", ids(yield* read()), idsOf(stored.slice(4)))
        assert.deepStrictEqual(yield* waiting(), [])
        assert.deepStrictEqual(yield* deadLetters(), [])
        const { dead: buried, pending } = yield* statistics
        assert.deepStrictEqual({ buried, pending }, { buried: 0, pending: 2 })
        const { purge, purgeable } = yield* OutboxStorage
        assert.strictEqual(yield* purgeable(Duration.hours(1)), 0)
        assert.strictEqual(yield* purge({ olderThan: Duration.hours(1), limit: 100 }), 0)
      })
    )

    itWith(
      facts.age,
      "what is kept is purged by its age, no more than asked for, and is not settled again in the meantime",
      (age) =>
        Effect.gen(function*() {
          const stored = Array.from({ length: 9 }, (_, n) => messageOf({ key: `key ${n}` }))
          yield* append(stored)
          const entries = yield* read()
          const { purge, purgeable } = yield* OutboxStorage
          yield* settle(entries.slice(0, 3).map(delivered), { keep: true })
          yield* settle([delivered(entries[0]!)])
          yield* settle([delivered(entries[0]!), dead(entries[1]!, "halt"), deferred(entries[2]!, "1 hour")])
          yield* age(90)
          yield* settle([delivered(entries[3]!), delivered(entries[4]!), deferred(entries[8]!, "1 hour")], {
            keep: true
          })
          yield* age(50)
          yield* settle([delivered(entries[5]!), dead(entries[6]!, "skip")], { keep: true })
          // 140 minutes, 50 minutes, none
          assert.strictEqual(yield* purge({ olderThan: Duration.hours(3), limit: 100 }), 0)
          assert.strictEqual(yield* purgeable(Duration.hours(3)), 0)
          assert.strictEqual(yield* purgeable(Duration.minutes(30)), 5)
          assert.strictEqual(yield* purge({ olderThan: Duration.hours(1), limit: 2 }), 2)
          assert.strictEqual(yield* purge({ olderThan: Duration.minutes(30), limit: 2 }), 2)
          assert.strictEqual(yield* purge({ olderThan: Duration.minutes(30), limit: 100 }), 1)
          assert.strictEqual(yield* purge({ olderThan: Duration.minutes(30), limit: 100 }), 0)
          yield* age(2)
          assert.strictEqual(yield* purge({ olderThan: Duration.zero, limit: 100 }), 1)
          const { dead: buried, pending } = yield* statistics
          assert.deepStrictEqual({ buried, pending }, { buried: 1, pending: 2 })
          assertOrder("entries", ids(yield* read()), [stored[7]!.id])
        })
    )
  })
}
