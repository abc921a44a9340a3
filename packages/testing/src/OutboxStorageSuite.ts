/**
 * The promises of the outbox storage, as a suite that every storage runs.
 *
 * @since 0.1.0
 */
import * as Event from "@effect-cqrs/core/Event"
import type { Message } from "@effect-cqrs/core/Message"
import * as Outbox from "@effect-cqrs/core/Outbox"
import { bucketOf, type Entry, OutboxStorage, type Outgoing, Settlement } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import { type Isolation, Transactor } from "@effect-cqrs/core/Transactor"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { assertOrder, casesOf, eventually } from "./internal/cases.ts"
import { assertMessage, messageOf, texts } from "./internal/messages.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of a storage. `R` is what the features need, as a SQL client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** An empty storage of this name, and the transactor that writes to it. */
  readonly layer: (name: string) => Layer.Layer<Transactor | OutboxStorage | R, unknown>
  /**
   * What was stored is there when another layer is built for the same name within the scope: it survives the process.
   */
  readonly reopen: Feature<
    (name: string) => Effect.Effect<Layer.Layer<Transactor | OutboxStorage, unknown>, unknown, Scope.Scope>
  >
  /** Two transactions can store messages at the same time, so that the one with the smaller sequences may commit later. */
  readonly concurrentWriters: Feature<true>
  /** Makes the storage refuse any change of one entry, so that a settlement fails half-way. */
  readonly refuseChange: Feature<(sequence: bigint) => Effect.Effect<unknown, unknown, R>>
  /** The largest payload to try, in bytes. */
  readonly largestPayload: number
  /** How long a case may take, in milliseconds. Default: 60,000. */
  readonly timeout?: number | undefined
}

/**
 * Runs the suite: each case on a storage of its own.
 *
 * @example
 * ```ts
 * import { OutboxStorage, Transactor } from "@effect-cqrs/core"
 * import { OutboxStorageSuite, Suite } from "@effect-cqrs/testing"
 * import { Layer } from "effect"
 *
 * export const memory = (runner: Suite.Runner) =>
 *   OutboxStorageSuite.suite("memory", {
 *     ...runner,
 *     layer: () => Layer.provideMerge(Transactor.layerMemory, OutboxStorage.layerMemory()),
 *     reopen: Suite.unsupported("it forgets everything with the process"),
 *     concurrentWriters: Suite.unsupported("sequences are given out by the commit itself"),
 *     refuseChange: Suite.unsupported("a change in memory cannot fail"),
 *     largestPayload: 1024 * 1024
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  type Services = Transactor | OutboxStorage | R

  const cases = casesOf(facts, { timeout: facts.timeout ?? 60_000 })
  const it = (name: string, test: Effect.Effect<void, unknown, Services | Scope.Scope>) =>
    cases.it(name, (id) => Effect.provide(test, facts.layer(id)))

  facts.describe(`${name}: outbox storage`, () => {
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
        "leaves out the topics in `except`, however full of them it is",
        Effect.gen(function*() {
          const stored = Array.from(
            { length: 300 },
            (_, n) => messageOf({ topic: n % 100 === 99 ? "open" : `out ${n % 2}` })
          )
          yield* append(stored)
          const open = stored.filter((one) => one.topic === "open")
          assertOrder("entries", ids(yield* read({ except: ["out 0", "out 1"], limit: 2 })), idsOf(open.slice(0, 2)))
          assertOrder("entries", ids(yield* read({ except: ["out 0", "out 1", "no such"] })), idsOf(open))
          assertOrder(
            "entries",
            ids(yield* read({ except: ["out 1"] })),
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

      cases.itWith(
        facts.concurrentWriters,
        "finds an entry that was committed late, behind a larger sequence",
        (id) =>
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
          }).pipe(Effect.provide(facts.layer(id)))
      )
    })

    facts.describe("key locks", () => {
      for (const isolation of [undefined, "ReadCommitted", "RepeatableRead"] as const) {
        cases.itWith(
          facts.concurrentWriters,
          `a transaction that asks for a key's lock waits for another's end, and no other does: ${
            isolation ?? "default"
          }`,
          (id) =>
            Effect.gen(function*() {
              const [first, second] = [messageOf({ keyLock: true }), messageOf({ keyLock: true })]
              const placed = yield* Deferred.make<void>()
              const go = yield* Deferred.make<void>()
              const one = yield* Effect.fork(Transaction.run(
                Effect.flatMap(OutboxStorage, (storage) => storage.append([first])).pipe(
                  Effect.zipRight(Deferred.succeed(placed, undefined)),
                  Effect.zipRight(Deferred.await(go))
                ),
                { isolation }
              ))
              yield* Deferred.await(placed)
              const two = yield* Effect.fork(commit([second], isolation))
              // these pass it while it waits: of other keys or topics, without a key, and without the wish
              const others = Array.from({ length: 5 }, (_, n) => [
                messageOf({ keyLock: true, key: `other ${n}` }),
                messageOf({ keyLock: true, topic: `other ${n}` }),
                messageOf({ keyLock: true, key: undefined }),
                messageOf()
              ]).flat()
              for (const other of others) yield* commit([other], isolation)
              assert.deepStrictEqual(yield* Fiber.poll(two), Option.none(), "the second has not waited")
              yield* Deferred.succeed(go, undefined)
              yield* Fiber.join(one)
              yield* Fiber.join(two)
              const locked = (yield* read()).map((entry) => entry.message.id).filter((one) =>
                one === first.id || one === second.id
              )
              assertOrder("entries", locked, [first.id, second.id])
            }).pipe(Effect.provide(facts.layer(id)))
        )
      }

      it(
        "transactions that ask for several, each in another order, do not wait for each other forever",
        Effect.gen(function*() {
          const keys = ["a", "b", "c", "d"]
          yield* Effect.forEach(
            Array.from({ length: 40 }, (_, n) => n),
            (n) =>
              commit([...keys.slice(n % 4), ...keys.slice(0, n % 4)].map((key) => messageOf({ key, keyLock: true }))),
            { concurrency: 8, discard: true }
          )
          assert.strictEqual((yield* statistics).pending, 160)
        })
      )
    })

    for (const [how, store] of ways) {
      facts.describe(`what a transaction stores ${how} comes back`, () => {
        it(
          "every attribute of a message, and those it does not have",
          Effect.gen(function*() {
            const full = messageOf({
              id: "0190a0b0-0000-7000-8000-000000000001",
              name: "room_closed",
              kind: "ecst",
              version: 7,
              topic: "rooms",
              key: "blue",
              source: "/rooms?a=b#c",
              time: 1_700_000_000_123,
              correlationId: "correlation",
              causationId: "causation",
              traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
              contentType: "application/json; charset=utf-8",
              contentEncoding: "gzip",
              headers: { tenant: "acme", empty: "" }
            })
            const bare = messageOf({ key: undefined, source: "", time: 0 })
            const empty = messageOf({ key: "" })
            yield* store([full, bare, empty])
            const [first, second, third] = yield* read()
            // the empty key is a key
            assertMessage(third!.message, { ...empty, sequence: third!.sequence })
            assertMessage(first!.message, { ...full, sequence: first!.sequence })
            assertMessage(second!.message, { ...bare, sequence: second!.sequence })
          })
        )

        it(
          "text of any script in every field, four-byte characters among them",
          Effect.gen(function*() {
            const stored = texts.map((text) =>
              messageOf({
                name: text,
                topic: text,
                key: text,
                source: text,
                correlationId: text,
                causationId: text,
                traceparent: text,
                contentType: text,
                contentEncoding: text,
                headers: { [text]: text, plain: text }
              })
            )
            yield* store(stored)
            const entries = yield* read()
            assertOrder("entries", ids(entries), idsOf(stored))
            for (const [n, entry] of entries.entries()) {
              assert.strictEqual(entry.malformed, undefined)
              assertMessage(entry.message, { ...stored[n]!, sequence: entry.sequence })
            }
            yield* settle(entries.map((entry) => dead(entry, "halt", texts.join())))
            assert.deepStrictEqual((yield* deadLetters()).map((one) => one.reason), texts.map(() => texts.join()))
            for (const text of texts) {
              const found = yield* deadLetters({ topic: text })
              assert.deepStrictEqual(found.map((one) => one.message.topic), [text])
            }
          })
        )

        it(
          "headers of any name",
          Effect.gen(function*() {
            const headers = {
              "": "empty name",
              constructor: "c",
              ["__proto__"]: "p",
              "quote\"and\\backslash": "\"\\",
              "line\nbreak": "a\r\nb\tc",
              number: "1"
            }
            yield* store([messageOf({ headers })])
            const [entry] = yield* read()
            assert.deepStrictEqual(Object.entries(entry!.message.headers).sort(), Object.entries(headers).sort())
          })
        )

        it(
          "payloads of any bytes and sizes",
          Effect.gen(function*() {
            const all = Uint8Array.from({ length: 256 }, (_, n) => n)
            const stored = [
              new Uint8Array(0),
              all,
              Uint8Array.from(all).reverse(),
              Uint8Array.of(0),
              new TextEncoder().encode("'; drop table outbox; -- \u{1F600}"),
              // a view into a larger buffer is its own bytes, and no others
              all.subarray(10, 20),
              Uint8Array.from({ length: facts.largestPayload }, (_, n) => (n * 31 + (n >> 8)) & 255)
            ].map((payload) => messageOf({ payload }))
            // the largest by itself: how it goes may depend on the size of all
            yield* store(stored.slice(0, -1))
            yield* store(stored.slice(-1))
            const entries = yield* read()
            assertOrder("entries", ids(entries), idsOf(stored))
            for (const [n, entry] of entries.entries()) {
              assertMessage(entry.message, { ...stored[n]!, sequence: entry.sequence })
            }
          })
        )

        cases.itWith(
          facts.reopen,
          "after a restart, with all that was decided",
          (id, reopen) =>
            Effect.gen(function*() {
              const layer = yield* reopen(id)
              const stored = Array.from({ length: 6 }, (_, n) => messageOf({ key: `key ${n}` }))
              const before = yield* Effect.gen(function*() {
                yield* store(stored)
                const entries = yield* read()
                yield* settle([
                  delivered(entries[0]!),
                  deferred(entries[1]!, "1 hour", { attempts: 3 }),
                  dead(entries[2]!, "halt", "broken", 4),
                  dead(entries[3]!, "skip", "worse")
                ])
                return entries
              }).pipe(Effect.provide(Layer.fresh(layer)))
              yield* Effect.gen(function*() {
                assertOrder("entries", ids(yield* read()), idsOf(stored.slice(4)))
                assert.deepStrictEqual(
                  (yield* read()).map((entry) => entry.bucket),
                  before.slice(4).map((one) => one.bucket)
                )
                assert.deepStrictEqual(
                  (yield* deadLetters()).map((one) => [one.message.id, one.reason, one.policy, one.attempts]),
                  [[stored[2]!.id, "broken", "halt", 4], [stored[3]!.id, "worse", "skip", 1]]
                )
                const { dead, pending } = yield* statistics
                assert.deepStrictEqual({ dead, pending }, { dead: 2, pending: 3 })
                // a place is never given out twice
                const another = messageOf()
                yield* store([another])
                const last = (yield* read()).at(-1)!
                assert.strictEqual(last.message.id, another.id)
                assert.ok(last.sequence > before.at(-1)!.sequence)
              }).pipe(Effect.provide(Layer.fresh(layer)))
            })
        )
      })
    }

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
        "what is deferred is not answered before it is due, by the storage's clock, and then with its attempts",
        Effect.gen(function*() {
          const [soon, late] = [messageOf(), messageOf()]
          yield* append([soon, late])
          const entries = yield* read()
          const before = yield* Clock.currentTimeMillis
          yield* settle([
            deferred(entries[0]!, "1 second", { attempts: 2 }),
            deferred(entries[1]!, "1 hour", { attempts: 3 })
          ])
          assert.strictEqual((yield* statistics).pending, 2)
          const due = yield* eventually("it is due", read(), (found) => found.length > 0)
          // clocks of a few milliseconds' grain
          const waited = (yield* Clock.currentTimeMillis) - before
          assert.ok(waited >= 980, `it came after ${waited} ms`)
          assertOrder("entries", ids(due), [soon.id])
          assert.strictEqual(due[0]!.attempts, 2)
        })
      )

      it(
        "what is deferred holds back later entries of its topic and key, and nobody else",
        Effect.gen(function*() {
          const earlier = messageOf({ topic: "t", key: "k" })
          const blocking = messageOf({ topic: "t", key: "k" })
          const behind = messageOf({ topic: "t", key: "k" })
          const others = [
            messageOf({ topic: "t", key: yield* neighbour("t", "k") }),
            messageOf({ topic: "u", key: "k" }),
            messageOf({ topic: "t", key: "" }),
            messageOf({ topic: "t", key: undefined }),
            ...["K", "k ", " k", "ḱ", "kk", "k\u0301", "ｋ"].map((key) => messageOf({ topic: "t", key })),
            ...["T", "t ", "ţ"].map((topic) => messageOf({ topic, key: "k" }))
          ]
          yield* append([earlier, blocking, behind, ...others])
          const entries = yield* read()
          yield* settle([deferred(entries[1]!, "1 hour")])
          assertOrder("entries", ids(yield* read()), idsOf([earlier, ...others]))
          const later = messageOf({ topic: "t", key: "k" })
          yield* append([later])
          assertOrder("entries", ids(yield* read()), idsOf([earlier, ...others]))
          assertOrder("the first", ids(yield* read({ limit: 2 })), idsOf([earlier, others[0]!]))
        })
      )

      it(
        "what is deferred without a key holds back nobody",
        Effect.gen(function*() {
          const stored = Array.from({ length: 4 }, () => messageOf({ key: undefined }))
          yield* append(stored)
          yield* settle([deferred((yield* read())[0]!, "1 hour")])
          assertOrder("entries", ids(yield* read()), idsOf(stored.slice(1)))
          const [empty, behind] = [messageOf({ key: "" }), messageOf({ key: "" })]
          yield* append([empty, behind])
          const entry = (yield* read()).find((one) => one.message.id === empty.id)!
          yield* settle([deferred(entry, "1 hour")])
          // the empty key is a key
          assertOrder("entries", ids(yield* read()), idsOf(stored.slice(1)))
        })
      )

      it(
        "once it is due, those behind it come after it",
        Effect.gen(function*() {
          const stored = Array.from({ length: 4 }, () => messageOf({ key: "one" }))
          yield* append(stored)
          yield* settle([deferred((yield* read())[1]!, "200 millis")])
          const all = yield* eventually("all are back", read(), (entries) => entries.length === 4)
          assertOrder("entries", ids(all), idsOf(stored))
        })
      )

      it(
        "a dead letter that halts holds back its topic and key; one that is skipped holds back nobody",
        Effect.gen(function*() {
          const stored = ["halted", "skipped", "other"].flatMap((key) =>
            Array.from({ length: 3 }, () => messageOf({ key }))
          )
          yield* append(stored)
          const entries = yield* read()
          yield* settle([dead(entries[1]!, "halt"), dead(entries[4]!, "skip")])
          assertOrder("entries", ids(yield* read()), idsOf([0, 3, 5, 6, 7, 8].map((n) => stored[n]!)))
          assert.strictEqual((yield* statistics).dead, 2)
        })
      )

      it(
        "an entry that was deferred before can be delivered, deferred again or buried",
        Effect.gen(function*() {
          const stored = ["a", "b", "c"].flatMap((key) => [messageOf({ key }), messageOf({ key })])
          yield* append(stored)
          const firsts = (yield* read()).filter((_, n) => n % 2 === 0)
          yield* settle(firsts.map((entry) => deferred(entry, "1 hour", { attempts: 1 })))
          assertOrder("entries", ids(yield* read()), [])
          yield* settle([
            delivered(firsts[0]!),
            deferred(firsts[1]!, "0 millis", { attempts: 2 }),
            dead(firsts[2]!, "skip", "enough", 2)
          ])
          const due = yield* eventually("it is due", read(), (entries) => entries.length === 4)
          assertOrder("entries", ids(due), idsOf([1, 2, 3, 5].map((n) => stored[n]!)))
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

      cases.itWith(
        facts.refuseChange,
        "applies all of a settlement or nothing",
        (id, refuseChange) =>
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
          }).pipe(Effect.provide(facts.layer(id)))
      )
    })

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
        "are redriven to their old places, with no attempts counted, before those that waited behind them",
        Effect.gen(function*() {
          const stored = Array.from({ length: 5 }, () => messageOf({ key: "one" }))
          yield* append(stored)
          const entries = yield* read()
          yield* settle([dead(entries[1]!, "halt", "no", 9), dead(entries[3]!, "halt", "no", 9)])
          assertOrder("entries", ids(yield* read()), [stored[0]!.id])
          assert.strictEqual(yield* redrive([entries[3]!.sequence]), 1)
          assertOrder("entries", ids(yield* read()), [stored[0]!.id])
          assert.strictEqual(yield* redrive([entries[1]!.sequence]), 1)
          const all = yield* read()
          assertOrder("entries", ids(all), idsOf(stored))
          assert.deepStrictEqual(all.map((entry) => entry.attempts), [0, 0, 0, 0, 0])
          assert.deepStrictEqual(yield* deadLetters(), [])
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
        "are discarded for good, and keys that they halted go on",
        Effect.gen(function*() {
          const stored = Array.from({ length: 4 }, () => messageOf({ key: "one" }))
          yield* append(stored)
          const entries = yield* read()
          yield* settle([dead(entries[0]!, "halt"), dead(entries[2]!, "halt")])
          assertOrder("entries", ids(yield* read()), [])
          assert.strictEqual(yield* discard([entries[0]!.sequence]), 1)
          assertOrder("entries", ids(yield* read()), [stored[1]!.id])
          assert.strictEqual(yield* discard([entries[2]!.sequence, entries[0]!.sequence]), 1)
          assertOrder("entries", ids(yield* read()), idsOf([stored[1]!, stored[3]!]))
          assert.deepStrictEqual(yield* deadLetters(), [])
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
        "a thousand of them are redriven at once",
        Effect.gen(function*() {
          const stored = Array.from({ length: 1000 }, (_, n) => messageOf({ key: `key ${n % 10}` }))
          yield* append(stored)
          const entries = yield* read({ limit: 1000 })
          yield* settle(entries.map((entry) => dead(entry, "halt")))
          assert.strictEqual(yield* redrive(entries.map((entry) => entry.sequence).reverse()), 1000)
          assertOrder("entries", ids(yield* read()), idsOf(stored))
        })
      )
    })

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
    })

    facts.describe("arrivals", () => {
      it(
        "are signalled after a commit that stored events, when these can be read",
        Effect.gen(function*() {
          const { arrivals } = yield* OutboxStorage
          const version = yield* arrivals.version
          const woken = yield* Effect.fork(Effect.zipRight(arrivals.waitPast(version), read()))
          yield* Effect.yieldNow()
          const id = yield* Transaction.run(announce("a"))
          assertOrder("entries", ids(yield* Fiber.join(woken)), [id])
          // a level: whoever looks later misses nothing
          yield* arrivals.waitPast(version)
        })
      )

      it(
        "are not signalled by a transaction that was rolled back, nor by one without events",
        Effect.gen(function*() {
          const { arrivals } = yield* OutboxStorage
          const version = yield* arrivals.version
          yield* Transaction.run(Effect.void)
          yield* Effect.exit(Transaction.run(Effect.zipRight(announce("a"), Effect.fail("no"))))
          yield* Transaction.run(Effect.exit(Transaction.run(Effect.zipRight(announce("a"), Effect.fail("no")))))
          assert.strictEqual(yield* arrivals.version, version)
          yield* Transaction.run(announce("b"))
          assert.notStrictEqual(yield* arrivals.version, version)
        })
      )

      it(
        "are not signalled before the commit",
        Effect.gen(function*() {
          const { arrivals } = yield* OutboxStorage
          const version = yield* arrivals.version
          yield* Transaction.run(Effect.gen(function*() {
            yield* announce("a")
            yield* Transaction.run(announce("b"))
            assert.strictEqual(yield* arrivals.version, version)
          }))
          assert.notStrictEqual(yield* arrivals.version, version)
        })
      )

      it(
        "are signalled when dead letters are redriven or discarded, since there is work then",
        Effect.gen(function*() {
          const { arrivals } = yield* OutboxStorage
          yield* append([messageOf({ key: "one" }), messageOf({ key: "two" })])
          const [first, second] = yield* read()
          yield* settle([dead(first!, "halt"), dead(second!, "halt")])
          const version = yield* arrivals.version
          yield* redrive([first!.sequence])
          const redriven = yield* arrivals.version
          assert.notStrictEqual(redriven, version)
          yield* discard([second!.sequence])
          assert.notStrictEqual(yield* arrivals.version, redriven)
        })
      )
    })
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

class Announced extends Event.notification<Announced>()("outbox_suite_announced", {
  topic: "outbox_suite",
  payload: {}
}) {}

/** Adds an event to the open transaction, and answers with its message's id. */
const announce = (_what: string) => Outbox.add(new Announced())

const append = (messages: ReadonlyArray<Outgoing>) =>
  Effect.flatMap(OutboxStorage, (storage) => Transaction.run(storage.append(messages)))

/** As the events of `Outbox.add` are stored. */
const commit = (messages: ReadonlyArray<Outgoing>, isolation?: Isolation) =>
  Effect.scoped(
    Effect.flatMap(Transactor, (transactor) =>
      Effect.flatMap(transactor.begin({ isolation }), (session) => session.commit(messages)))
  )

const ways = [["as it commits", commit], ["beforehand", append]] as const

const read = (
  options?: {
    readonly buckets?: ReadonlyArray<number>
    readonly limit?: number
    readonly maxBytes?: number
    readonly except?: ReadonlyArray<string>
  }
) =>
  Effect.flatMap(OutboxStorage, (storage) =>
    storage.read({
      buckets: Array.from({ length: storage.buckets }, (_, bucket) => bucket),
      limit: 1000,
      maxBytes: Number.MAX_SAFE_INTEGER,
      except: [],
      ...options
    }))

const settle = (settlements: ReadonlyArray<Settlement>) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.settle(0n, settlements))

const statistics = Effect.flatMap(OutboxStorage, (storage) => storage.statistics)

const deadLetters = (options?: { readonly topic?: string; readonly limit?: number }) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.deadLetters({ limit: 1000, ...options }))

const redrive = (sequences: ReadonlyArray<bigint>) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.redrive(sequences))

const discard = (sequences: ReadonlyArray<bigint>) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.discard(sequences))

const delivered = ({ sequence }: Entry) => Settlement.Delivered({ sequence })

const deferred = (
  { sequence }: Entry,
  delay: Duration.DurationInput,
  { attempts, reason }: { readonly attempts?: number; readonly reason?: string } = {}
) => Settlement.Deferred({ sequence, attempts: attempts ?? 1, delay: Duration.decode(delay), reason: reason ?? "no" })

const dead = ({ sequence }: Entry, policy: "halt" | "skip", reason = "no", attempts = 1) =>
  Settlement.Dead({ sequence, attempts, policy, reason })

const ids = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> => entries.map((entry) => entry.message.id)

const idsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => messages.map((message) => message.id)

/** Another key of the topic in the same bucket. */
const neighbour = (topic: string, key: string) =>
  Effect.map(OutboxStorage, ({ buckets }) => {
    const bucket = bucketOf({ topic, key, id: "" }, buckets)
    for (let n = 0;; n++) {
      if (bucketOf({ topic, key: `neighbour ${n}`, id: "" }, buckets) === bucket) return `neighbour ${n}`
    }
  })
