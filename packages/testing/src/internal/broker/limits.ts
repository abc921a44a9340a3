import { Broker } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { consume, idsOf, type Kit, publish } from "./kit.ts"

export const limitCases = <R>({ assertQuiet, cases, facts, hold, one, some, within }: Kit<R>): void => {
  facts.describe("limits", () => {
    cases.itWith(
      facts.capacity,
      "a group that is full holds publishing back, and no message overtakes",
      (id, capacity) =>
        within(id, capacity(id, 3), (topic, group) =>
          Effect.gen(function*() {
            const broker = yield* Broker
            const source = yield* consume([topic], group)
            const sent = ["a", "b", "a", "a", "b", "c"].map((key) => messageOf({ topic, key }))
            const first = yield* broker.publish(sent)
            assert.deepStrictEqual(first.map((outcome) => outcome._tag), [
              "Delivered",
              "Delivered",
              "Delivered",
              "Retriable",
              "Retriable",
              "Retriable"
            ])
            const held = yield* hold(source)
            // one that is out is still unsettled
            const second = yield* broker.publish([sent[3]!])
            assert.strictEqual(second[0]!._tag, "Retriable")
            yield* held.settle
            const third = yield* broker.publish(sent.slice(3))
            assert.deepStrictEqual(third.map((outcome) => outcome._tag), ["Delivered", "Retriable", "Retriable"])
            const handled = [held.message, ...(yield* some(source, 3))]
            assertOrder(
              "key a",
              idsOf(handled.filter((one) => one.key === "a")),
              idsOf([sent[0]!, sent[2]!, sent[3]!])
            )
            yield* publish(sent.slice(4))
            assertIds("messages", idsOf(yield* some(source, 2)), idsOf(sent.slice(4)))
            yield* assertQuiet(source)
          }))
    )

    cases.itWith(
      facts.restart,
      "what was delivered survives a restart of the broker",
      (id, server) =>
        Effect.flatMap(
          server(id),
          ({ layer, restart }) =>
            within(id, layer, (topic, group) =>
              Effect.gen(function*() {
                yield* Effect.scoped(
                  Effect.flatMap(consume([topic], group), (source) =>
                    Effect.zipRight(publish([messageOf({ topic })]), one(source)))
                )
                const sent = Array.from({ length: 10 }, (_, n) =>
                  messageOf({ topic, key: `key ${n % 3}` }))
                yield* publish(sent)
                yield* restart
                const source = yield* consume([topic], group)
                assertIds("messages", idsOf(yield* some(source, sent.length)), idsOf(sent))
              }))
        )
    )
  })
}
