import type { Message } from "@effect-cqrs/core/Message"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { assertKeysInOrder, consume, type HeldMany, idsOf, type Kit, publish } from "./kit.ts"

/** Several messages at a time. */
export const takeManyCases = <R>({ assertQuiet, facts, holdMany, it, itWith, quiet, some }: Kit<R>): void => {
  facts.describe("takeMany", () => {
    it(
      "brings what is there, several at a time and never more than the limit, each key in order",
      (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = Array.from({ length: 60 }, (_, n) => messageOf({ topic, key: `key ${n % 4}` }))
          yield* publish(sent)
          const batches: Array<HeldMany> = []
          let count = 0
          while (count < sent.length) {
            const batch = yield* holdMany(source, 20)
            assert.ok(batch.deliveries.length > 0 && batch.deliveries.length <= 20, `${batch.deliveries.length} came`)
            yield* batch.settle
            batches.push(batch)
            count += batch.deliveries.length
          }
          const received = batches.flatMap(messagesOf)
          assertIds("messages", idsOf(received), idsOf(sent))
          assertKeysInOrder(received, sent)
          assert.ok(batches.length < sent.length, "never more than one came at a time")
          yield* assertQuiet(source)
        })
    )

    itWith(
      facts.ordered,
      "none of a key comes of which others are out, until they are settled",
      () => (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = Array.from({ length: 40 }, (_, n) => messageOf({ topic, key: `key ${n % 4}` }))
          yield* publish(sent)
          let received: ReadonlyArray<Message> = []
          while (received.length < sent.length) {
            const first = yield* holdMany(source, 3)
            // what else is there, as far as it comes
            const others: Array<HeldMany> = []
            yield* Effect.timeoutOption(holdMany(source, 3, others), quiet)
            const keys = new Set(messagesOf(first).map((message) => message.key))
            for (const message of others.flatMap(messagesOf)) {
              assert.ok(!keys.has(message.key), `two takers have messages of ${message.key}`)
            }
            for (const batch of [first, ...others]) {
              received = [...received, ...messagesOf(batch)]
              yield* batch.settle
            }
          }
          assertIds("messages", idsOf(received), idsOf(sent))
          assertKeysInOrder(received, sent)
        })
    )

    it(
      "what was taken together is given back together, and comes again before later ones of its key",
      (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = Array.from({ length: 6 }, () => messageOf({ topic, key: "one" }))
          yield* publish(sent)
          let largest = 0
          for (let attempt = 0; attempt < 3; attempt++) {
            const batch = yield* holdMany(source, 4)
            const ids = idsOf(messagesOf(batch))
            assertOrder("those taken", ids, idsOf(sent.slice(0, ids.length)))
            largest = Math.max(largest, ids.length)
            yield* batch.fail
          }
          assert.ok(largest > 1, "the others of the key are there, too, when it comes again")
          assertOrder("messages", idsOf(yield* some(source, 6)), idsOf(sent))
          yield* assertQuiet(source)
        })
    )
  })
}

const messagesOf = (batch: HeldMany) => batch.deliveries.map((delivery) => delivery.message)
