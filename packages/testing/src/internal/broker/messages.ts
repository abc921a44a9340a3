import { Broker } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { assertMessage, fullMessageOf, messageOf, texts } from "../../Fixtures.ts"
import { assertIds } from "../cases.ts"
import { consume, idsOf, type Kit, publish } from "./kit.ts"

export const messageCases = <R>({ assertQuiet, facts, it, one, some }: Kit<R>): void => {
  facts.describe("publish and consume", () => {
    it("brings every attribute of a message, and those it does not have", (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        const full = fullMessageOf({ topic, sequence: 9_007_199_254_740_993n })
        yield* publish([full])
        assertMessage((yield* one(source)).message, full)
        // the empty key is a key
        const empty = messageOf({ topic, key: "" })
        yield* publish([empty])
        assertMessage((yield* one(source)).message, empty)
        const bare = messageOf({ topic, key: undefined, time: 0 })
        yield* publish([bare])
        const delivery = yield* one(source)
        assertMessage(delivery.message, bare)
      }))

    it("brings text of any script in keys, attributes and headers", (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        const sent = texts.map((text) =>
          messageOf({
            topic,
            key: text,
            name: text,
            source: text,
            correlationId: text,
            headers: { text, [text]: "x" }
          })
        )
        yield* publish(sent)
        const received = new Map((yield* some(source, sent.length)).map((message) => [message.id, message]))
        assertIds("messages", [...received.keys()], idsOf(sent))
        for (const message of sent) assertMessage(received.get(message.id)!, message)
      }))

    it("brings payloads of any bytes and sizes", (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        const all = Uint8Array.from({ length: 256 }, (_, n) => n)
        const sent = [
          new Uint8Array(0),
          all,
          all.subarray(10, 20),
          Uint8Array.from({ length: facts.largestPayload }, (_, n) => (n * 31 + (n >> 8)) & 255)
        ].map((payload) => messageOf({ topic, payload }))
        for (const message of sent) {
          yield* publish([message])
          assertMessage((yield* one(source)).message, message)
        }
      }))

    it("answers a batch with as many outcomes, in its order", (topic, group) =>
      Effect.gen(function*() {
        const broker = yield* Broker
        const source = yield* consume([topic], group)
        assert.deepStrictEqual(yield* broker.publish([]), [])
        const batch = Array.from({ length: 200 }, (_, n) =>
          messageOf({ topic, key: n % 3 === 0 ? undefined : `key ${n % 20}` }))
        const outcomes = yield* broker.publish(batch)
        assert.deepStrictEqual(
          outcomes.map((outcome) =>
            outcome._tag
          ),
          batch.map(() => "Delivered")
        )
        assertIds("messages", idsOf(yield* some(source, batch.length)), idsOf(batch))
        yield* assertQuiet(source)
      }))

    it(
      "brings a batch of several topics to those who want them, and no other",
      (topic, group) =>
        Effect.gen(function*() {
          const other = yield* facts.topic(`${topic}_other`)
          const third = yield* facts.topic(`${topic}_third`)
          const both = yield* consume([topic, other], `${group}_both`)
          const single = yield* consume([other], `${group}_single`)
          const batch = Array.from(
            { length: 30 },
            (_, n) => messageOf({ topic: [topic, other, third][n % 3]!, key: `${n}` })
          )
          yield* publish(batch.filter((message) => message.topic !== third))
          assertIds(
            "of both",
            idsOf(yield* some(both, 20)),
            idsOf(batch.filter((message) => message.topic !== third))
          )
          assertIds(
            "of one",
            idsOf(yield* some(single, 10)),
            idsOf(batch.filter((message) => message.topic === other))
          )
          yield* assertQuiet(both)
          yield* assertQuiet(single)
        })
    )
  })
}
