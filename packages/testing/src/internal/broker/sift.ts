import { Broker, type Delivery } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds } from "../cases.ts"
import { assertDelivered, assertKeysInOrder, consume, idsOf, type Kit, publish } from "./kit.ts"

/** Going through what waits for a group. */
export const siftCases = <R>({ assertQuiet, facts, it, one, some }: Kit<R>): void => {
  facts.describe("sift", () => {
    it(
      "asks once of each message that waits, and only what it settles is gone",
      (topic, group) =>
        Effect.gen(function*() {
          const sent = yield* waiting(topic, group, 9)
          const asked: Array<Message> = []
          const settled = yield* sift(topic, group, ({ message }) => {
            asked.push(message)
            return Effect.succeed(place(sent, message) % 3 === 0 ? "settled" as const : "kept" as const)
          })
          assert.strictEqual(settled, 3)
          assertIds("asked", idsOf(asked), idsOf(sent))
          assertKeysInOrder(asked, sent)
          const source = yield* consume([topic], group)
          const kept = sent.filter((_, n) => n % 3 !== 0)
          assertIds("kept", idsOf(yield* some(source, kept.length)), idsOf(kept))
          yield* assertQuiet(source)
        })
    )

    it("leaves all as it was where nothing is settled, each key in order", (topic, group) =>
      Effect.gen(function*() {
        const sent = yield* waiting(topic, group, 10)
        for (let round = 0; round < 2; round++) {
          const asked: Array<Message> = []
          const settled = yield* sift(topic, group, ({ message }) => {
            asked.push(message)
            return Effect.succeed("kept")
          })
          assert.strictEqual(settled, 0)
          assertIds("asked", idsOf(asked), idsOf(sent))
          assertKeysInOrder(asked, sent)
        }
        const source = yield* consume([topic], group)
        const received = yield* some(source, sent.length)
        assertIds("messages", idsOf(received), idsOf(sent))
        assertKeysInOrder(received, sent)
        yield* assertQuiet(source)
      }))

    it("answers 0 where nothing waits, and asks nothing", (topic, group) =>
      Effect.gen(function*() {
        yield* waiting(topic, group, 0)
        assert.strictEqual(yield* sift(topic, group, () => Effect.dieMessage("there is nothing to ask")), 0)
      }))

    it(
      "a decision that fails is its failure, and what was settled before is gone",
      (topic, group) =>
        Effect.gen(function*() {
          const sent = yield* waiting(topic, group, 6)
          const settled: Array<string> = []
          const failure = yield* Effect.flip(sift(topic, group, ({ message }) =>
            Effect.suspend(() => {
              if (settled.length === 2) return Effect.fail("no")
              settled.push(message.id)
              return Effect.succeed("settled" as const)
            })))
          assert.strictEqual(failure, "no")
          const source = yield* consume([topic], group)
          const left = sent.filter((message) => !settled.includes(message.id))
          assertIds("messages", idsOf(yield* some(source, left.length)), idsOf(left))
          yield* assertQuiet(source)
        })
    )

    it(
      "brings messages elsewhere by forwarding them, and comes to an end though more is published meanwhile",
      (topic, group) =>
        Effect.gen(function*() {
          const other = yield* facts.topic(`${topic}_other`)
          const there = yield* consume([other], `${group}_other`)
          const sent = yield* waiting(topic, group, 4)
          const late: Array<Message> = []
          const settled = yield* sift(topic, group, ({ forward, message }) =>
            Effect.gen(function*() {
              assert.ok(late.length < 20, "it does not come to an end")
              late.push(messageOf({ topic, key: `late ${late.length}` }))
              yield* publish(late.slice(-1))
              if (place(sent, message) % 2 !== 0) return "kept"
              assertDelivered(yield* forward({ topic: other, headers: { again: "1" } }))
              return "settled"
            }))
          assert.strictEqual(settled, 2)
          const forwarded = [yield* one(there), yield* one(there)].map((delivery) => delivery.message)
          assertIds("forwarded", idsOf(forwarded), [sent[0]!.id, sent[2]!.id])
          for (const message of forwarded) assert.deepStrictEqual(message.headers, { again: "1" })
          const source = yield* consume([topic], group)
          const left = [sent[1]!, sent[3]!, ...late]
          assertIds("left", idsOf(yield* some(source, left.length)), idsOf(left))
          yield* assertQuiet(source)
        })
    )
  })
}

/** Messages of two keys that wait for a group without members. */
const waiting = (topic: string, group: string, count: number) =>
  Effect.gen(function*() {
    yield* Effect.scoped(consume([topic], group))
    const sent = Array.from({ length: count }, (_, n) => messageOf({ topic, key: `key ${n % 2}` }))
    if (count > 0) yield* publish(sent)
    return sent
  })

const sift = <E, R>(
  topic: string,
  group: string,
  decide: (delivery: Delivery) => Effect.Effect<"settled" | "kept", E, R>
) => Effect.flatMap(Broker, (broker) => broker.sift({ topic, group }, decide))

const place = (sent: ReadonlyArray<Message>, message: Message): number => idsOf(sent).indexOf(message.id)
