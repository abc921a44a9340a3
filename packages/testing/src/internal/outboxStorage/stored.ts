import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as assert from "node:assert"
import { assertMessage, fullMessageOf, messageOf, texts } from "../../Fixtures.ts"
import { assertOrder } from "../cases.ts"
import {
  append,
  commit,
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

/** What comes back is what was stored. */
export const storedCases = <R>({ cases, facts, it }: Topic<R>): void => {
  for (const [how, store] of [["as it commits", commit], ["beforehand", append]] as const) {
    facts.describe(`what a transaction stores ${how} comes back`, () => {
      it(
        "every attribute of a message, and those it does not have",
        Effect.gen(function*() {
          const full = fullMessageOf({ contentType: "application/json; charset=utf-8" })
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
          yield* store(stored)
          const entries = yield* read()
          assertOrder("entries", ids(entries), idsOf(stored))
          for (const [n, entry] of entries.entries()) {
            assertMessage(entry.message, { ...stored[n]!, sequence: entry.sequence })
          }
        })
      )
    })
  }

  facts.describe("what is stored comes back", () => {
    cases.itWith(facts.reopen, "after a restart, with all that was decided", (id, reopen) =>
      Effect.gen(function*() {
        const layer = yield* reopen(id)
        const stored = Array.from({ length: 6 }, (_, n) => messageOf({ key: `key ${n}` }))
        const before = yield* Effect.gen(function*() {
          yield* append(stored)
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
            (yield* waiting()).map(({ due, sequence }) => [sequence, due !== undefined]),
            [[before[1]!.sequence, true], [before[2]!.sequence, false]]
          )
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
          yield* append([another])
          const last = (yield* read()).at(-1)!
          assert.strictEqual(last.message.id, another.id)
          assert.ok(last.sequence > before.at(-1)!.sequence)
        }).pipe(Effect.provide(Layer.fresh(layer)))
      }))
  })
}
