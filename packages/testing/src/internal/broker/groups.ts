import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { consume, idsOf, type Kit, publish } from "./kit.ts"

export const groupCases = <R>({ assertQuiet, compete, facts, hold, it, one, some }: Kit<R>): void => {
  facts.describe("groups", () => {
    it("each group gets all messages", (topic, group) =>
      Effect.gen(function*() {
        const sources = yield* Effect.forEach([1, 2, 3], (n) => consume([topic], `${group}_${n}`))
        const sent = Array.from({ length: 20 }, (_, n) => messageOf({ topic, key: `${n % 5}` }))
        yield* publish(sent)
        for (const source of sources) assertIds("messages", idsOf(yield* some(source, 20)), idsOf(sent))
        for (const source of sources) yield* assertQuiet(source)
      }))

    it("the members of a group share them, each message once", (topic, group) =>
      Effect.gen(function*() {
        const sources = yield* Effect.forEach([1, 2, 3], () => consume([topic], group))
        const sent = Array.from({ length: 300 }, (_, n) => messageOf({ topic, key: `${n % 30}` }))
        yield* publish(sent)
        const handled = yield* compete(sources, sent.length)
        assertIds("messages", idsOf(handled), idsOf(sent))
      }))

    it("what is settled does not come again to a member that joins later", (topic, group) =>
      Effect.gen(function*() {
        const [first, second] = [messageOf({ topic }), messageOf({ topic })]
        yield* Effect.scoped(Effect.gen(function*() {
          const source = yield* consume([topic], group)
          yield* publish([first])
          assert.strictEqual((yield* one(source)).message.id, first.id)
        }))
        const source = yield* consume([topic], group)
        yield* publish([second])
        assert.strictEqual((yield* one(source)).message.id, second.id)
        yield* assertQuiet(source)
      }))

    it("what is published while no member is there waits for the next", (topic, group) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const source = yield* consume([topic], group)
          yield* publish([messageOf({ topic })])
          yield* one(source)
        }))
        const sent = Array.from({ length: 5 }, () => messageOf({ topic }))
        yield* publish(sent)
        const source = yield* consume([topic], group)
        assertOrder("messages", idsOf(yield* some(source, 5)), idsOf(sent))
      }))

    it("what a member that leaves has not settled is handed to another", (topic, group) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const leaving = yield* Scope.extend(consume([topic], group), scope)
        const sent = [messageOf({ topic }), messageOf({ topic })]
        yield* publish(sent)
        const held = yield* hold(leaving)
        assert.strictEqual(held.message.id, sent[0]!.id)
        const staying = yield* consume([topic], group)
        yield* Scope.close(scope, Exit.void)
        const again = yield* hold(staying)
        assert.strictEqual(again.message.id, sent[0]!.id)
        // it is no longer its to settle
        yield* held.settle
        yield* again.settle
        assertOrder("messages", idsOf(yield* some(staying, 1)), [sent[1]!.id])
        yield* assertQuiet(staying)
      }))
  })
}
