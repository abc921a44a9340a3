import type { Message } from "@effect-cqrs/core/Message"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { consume, idsOf, type Kit, publish } from "./kit.ts"

export const orderCases = <R>({ assertQuiet, compete, facts, hold, it, itWith, one, some }: Kit<R>): void => {
  facts.describe("order", () => {
    it(
      "a key's messages come in the order of their publishing, in one batch or in many",
      (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = Array.from({ length: 100 }, (_, n) => messageOf({ topic, key: `key ${n % 7}` }))
          yield* publish(sent.slice(0, 60))
          for (const message of sent.slice(60)) yield* publish([message])
          const received = yield* some(source, sent.length)
          for (let n = 0; n < 7; n++) {
            const ofKey = (messages: ReadonlyArray<Message>) => idsOf(messages.filter((one) => one.key === `key ${n}`))
            assertOrder(`key ${n}`, ofKey(received), ofKey(sent))
          }
        })
    )

    itWith(
      facts.ordered,
      "several takers handle each key in order, one at a time",
      () => (topic, group) =>
        Effect.gen(function*() {
          const members = yield* Effect.forEach([1, 2], () => consume([topic], group))
          const takers = members.flatMap((source) => [source, source, source])
          const sent = Array.from({ length: 500 }, (_, n) => messageOf({ topic, key: `key ${n % 11}` }))
          for (let at = 0; at < sent.length; at += 50) yield* publish(sent.slice(at, at + 50))
          const handled = yield* compete(takers, sent.length)
          assertIds("messages", idsOf(handled), idsOf(sent))
          for (let n = 0; n < 11; n++) {
            const ofKey = (messages: ReadonlyArray<Message>) => idsOf(messages.filter((one) => one.key === `key ${n}`))
            assertOrder(`key ${n}`, ofKey(handled), ofKey(sent))
          }
        })
    )

    itWith(
      facts.ordered,
      "while one of a key is out, the next one waits, and other keys go on",
      () => (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const [a1, a2, b1, b2] = ["a", "a", "b", "b"].map((key) => messageOf({ topic, key }))
          yield* publish([a1!, a2!, b1!, b2!])
          const first = yield* hold(source)
          const second = yield* hold(source)
          assertIds("out", [first.message.id, second.message.id], [a1!.id, b1!.id])
          yield* assertQuiet(source)
          yield* second.settle
          const third = yield* hold(source)
          assert.strictEqual(third.message.key, second.message.key)
          yield* assertQuiet(source)
          yield* third.settle
          yield* first.settle
          const last = yield* one(source)
          assert.strictEqual(last.message.key, first.message.key)
          yield* assertQuiet(source)
        })
    )

    itWith(facts.ordered, "messages without a key wait for nobody", () => (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        const sent = Array.from({ length: 4 }, () => messageOf({ topic, key: undefined }))
        yield* publish(sent)
        const held = yield* Effect.forEach(sent, () => hold(source))
        assertIds("out", held.map((one) => one.message.id), idsOf(sent))
        for (const one of held) yield* one.settle
        yield* assertQuiet(source)
      }))
  })
}
