import { Broker } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds } from "../cases.ts"
import { assertKeysInOrder, consume, idsOf, type Kit, publish, tagsOf } from "./kit.ts"

/** What becomes of a batch of which some cannot be delivered. */
export const outcomeCases = <R>({ assertQuiet, facts, itWith, some, until }: Kit<R>): void => {
  facts.describe("outcomes", () => {
    itWith(
      facts.refused,
      "of a batch, what the broker refuses is rejected, later ones of its key are not published before it, and the rest is",
      (refused) => (topic, group) =>
        Effect.gen(function*() {
          const broker = yield* Broker
          const source = yield* consume([topic], group)
          const keys = ["a", "b", "a", "b", undefined, "a", "c", undefined, "b"]
          const sent = keys.map((key) => messageOf({ topic, key }))
          const outcomes = yield* broker.publish(sent.map((message, n) => n === 2 ? refused(message) : message))
          assert.deepStrictEqual(tagsOf(outcomes), [
            "Delivered",
            "Delivered",
            "Rejected",
            "Delivered",
            "Delivered",
            "Retriable",
            "Delivered",
            "Delivered",
            "Delivered"
          ])
          const arrived = sent.filter((_, n) => n !== 2 && n !== 5)
          const received = yield* some(source, arrived.length)
          assertIds("messages", idsOf(received), idsOf(arrived))
          yield* assertQuiet(source)
          // it is not held against the key, nor against the topic
          yield* publish([sent[5]!])
          assertIds("later", idsOf(yield* some(source, 1)), [sent[5]!.id])
          assertKeysInOrder(received.filter((one) => one.key === "b"), arrived.filter((one) => one.key === "b"))
        })
    )

    itWith(
      facts.refused,
      "what is refused alone or in a batch of its like is rejected each time",
      (refused) => (topic, group) =>
        Effect.gen(function*() {
          const broker = yield* Broker
          const source = yield* consume([topic], group)
          for (let round = 0; round < 2; round++) {
            const outcomes = yield* broker.publish(
              ["a", "b", undefined].map((key) => refused(messageOf({ topic, key })))
            )
            assert.deepStrictEqual(tagsOf(outcomes), ["Rejected", "Rejected", "Rejected"])
          }
          const good = messageOf({ topic, key: "a" })
          yield* publish([good])
          assertIds("messages", idsOf(yield* some(source, 1)), [good.id])
          yield* assertQuiet(source)
        })
    )

    itWith(
      facts.destination,
      "a topic that is taken away holds back its own messages and no others, until it is there again",
      ({ remove, restore }) => (topic, group) =>
        Effect.gen(function*() {
          const broker = yield* Broker
          const other = yield* facts.topic(`${topic}_other`)
          // both are known to the broker's client, and have a group, before one is taken away
          const source = yield* Effect.scoped(
            Effect.zipRight(consume([topic], group), consume([other], `${group}_other`))
          ).pipe(Effect.zipRight(consume([other], `${group}_other`)))
          yield* publish([messageOf({ topic: other })])
          yield* remove(topic)
          const held = ["a", "b", "a"].map((key) => messageOf({ topic, key }))
          const free = ["a", "b"].map((key) => messageOf({ topic: other, key }))
          const batch = [held[0]!, free[0]!, held[1]!, free[1]!, held[2]!]
          const outcomes = yield* broker.publish(batch)
          assert.deepStrictEqual(
            outcomes.map((outcome) => outcome._tag === "Retriable" ? outcome.scope : outcome._tag),
            ["destination", "Delivered", "destination", "Delivered", "destination"]
          )
          yield* restore(topic)
          let pending: ReadonlyArray<(typeof held)[number]> = held
          yield* Effect.forkScoped(Effect.repeat(
            Effect.map(
              broker.publish(pending),
              (answers) => pending = pending.filter((_, n) => answers[n]!._tag !== "Delivered")
            ).pipe(Effect.zipRight(Effect.sleep("50 millis"))),
            { until: () => pending.length === 0 }
          ))
          yield* until("the topic takes messages again", () => pending.length === 0)
          assertIds("of the other", idsOf(yield* some(source, 3)).slice(1), idsOf(free))
          const back = yield* consume([topic], group)
          assertIds("of the topic", idsOf(yield* some(back, held.length)), idsOf(held))
        })
    )
  })
}
