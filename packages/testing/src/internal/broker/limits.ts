import { Broker } from "@effect-cqrs/core/Broker"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { consume, type HeldMany, idsOf, type Kit, publish } from "./kit.ts"

export const limitCases = <R>(
  { holdMany, quiet, until, itWith, assertQuiet, cases, facts, hold, some, within }: Kit<R>
): void => {
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

    itWith(
      facts.window,
      "a member holds no more unsettled messages than its window, and gets the rest as it settles them",
      ({ beyond }) => (topic, group) =>
        Effect.gen(function*() {
          const window = 8
          const source = yield* consume([topic], group, { window })
          const count = window + beyond + 50
          const sent = Array.from({ length: count }, () =>
            messageOf({ topic, key: undefined, payload: new Uint8Array(1024) }))
          for (let at = 0; at < count; at += 500) {
            yield* publish(sent.slice(at, at + 500))
          }
          const held: Array<HeldMany> = []
          const total = () =>
            held.reduce((sum, one) => sum + one.deliveries.length, 0)
          yield* Effect.forever(holdMany(source, count, held)).pipe(
            Effect.race(
              until("it holds what it may", () => total() >= window).pipe(
                Effect.zipRight(Effect.sleep(Duration.times(quiet, 3)))
              )
            )
          )
          assert.ok(total() <= window + beyond, `it holds ${total()}, its window is ${window} and ${beyond}`)
          const first = held.flatMap((batch) => batch.deliveries.map((delivery) => delivery.message.id))
          for (const batch of held) yield* batch.settle
          const rest = yield* some(source, count - first.length)
          assertIds("messages", [...first, ...idsOf(rest)], idsOf(sent))
          yield* assertQuiet(source)
        })
    )
  })
}
