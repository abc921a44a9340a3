import { type Source } from "@effect-cqrs/core/Broker"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as assert from "node:assert"
import { assertMessage, messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { consume, idsOf, type Kit, publish } from "./kit.ts"

export const acknowledgementCases = <R>(
  { assertQuiet, facts, hold, it, itWith, next, one, patience, some }: Kit<R>
): void => {
  facts.describe("the scope is the acknowledgement", () => {
    it(
      "a message whose scope failed comes again, before later ones of its key",
      (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = Array.from({ length: 3 }, () => messageOf({ topic, key: "one" }))
          yield* publish(sent)
          const seen: Array<string> = []
          for (let attempt = 0; attempt < 3; attempt++) {
            const held = yield* hold(source)
            seen.push(held.message.id)
            yield* held.fail
          }
          assertOrder("attempts", seen, [sent[0]!.id, sent[0]!.id, sent[0]!.id])
          assertOrder("messages", idsOf(yield* some(source, 3)), idsOf(sent))
          yield* assertQuiet(source)
        })
    )

    it("a redelivered message is the same", (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        const message = messageOf({ topic, headers: { tenant: "ä" }, payload: Uint8Array.of(0, 255, 128) })
        yield* publish([message])
        const held = yield* hold(source)
        yield* held.fail
        assertMessage((yield* one(source)).message, message)
      }))

    itWith(facts.countsRedeliveries, "a redelivered message says so", () => (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        yield* publish([messageOf({ topic })])
        const first = yield* hold(source)
        assert.strictEqual(first.redeliveries, 0)
        yield* first.fail
        const second = yield* hold(source)
        assert.ok(second.redeliveries >= 1, `redeliveries: ${second.redeliveries}`)
        yield* second.fail
        const third = yield* one(source)
        assert.ok(third.redeliveries >= second.redeliveries, `redeliveries: ${third.redeliveries}`)
      }))

    it(
      "a handler that fails, dies or is interrupted leaves its message to be handled again",
      (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = [messageOf({ topic, key: "one" }), messageOf({ topic, key: "one" })]
          yield* publish(sent)
          const seen: Array<string> = []
          const handle = (ending: Effect.Effect<unknown, unknown>) =>
            Effect.exit(Effect.scoped(Effect.flatMap(next(source), ({ message }) => {
              seen.push(message.id)
              return ending
            })))
          yield* handle(Effect.fail("no"))
          yield* handle(Effect.die("boom"))
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.fork(handle(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)))
          yield* Deferred.await(begun)
          yield* Fiber.interrupt(fiber)
          yield* handle(Effect.void)
          yield* handle(Effect.void)
          const [first, second] = idsOf(sent)
          assertOrder("attempts", seen, [first!, first!, first!, first!, second!])
          yield* assertQuiet(source)
        })
    )

    it("one that is failed holds up no other key", (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        const sent = Array.from({ length: 20 }, (_, n) =>
          messageOf({ topic, key: n % 10 === 0 ? "bad" : `key ${n % 10}` }))
        yield* publish(sent)
        const handled: Array<string> = []
        let attempts = 0
        const good = sent.filter((message) =>
          message.key !== "bad"
        )
        while (handled.length < good.length && attempts < 1000) {
          attempts += 1
          yield* Effect.exit(Effect.scoped(Effect.flatMap(next(source), ({ message }) => {
            // others may still be on their way from the server
            if (message.key === "bad") return Effect.delay(Effect.fail("no"), "1 millis")
            handled.push(message.id)
            return Effect.void
          })))
        }
        assertIds("messages", handled, idsOf(good))
        assertOrder("the bad ones", idsOf(yield* some(source, 2)), idsOf([sent[0]!, sent[10]!]))
      }))

    it("an interrupted take loses nothing, whenever it is interrupted", (topic, group) =>
      Effect.gen(function*() {
        const source = yield* consume([topic], group)
        let handled: ReadonlyArray<string> = []
        const handle = (take: Source["take"]) =>
          Effect.scoped(Effect.map(take, ({ message }) => {
            handled = [...handled, message.id]
          }))
        for (let round = 0; round < 60; round++) {
          handled = []
          const taker = yield* Effect.fork(handle(source.take))
          for (let i = 0; i < 10 * (round % 4); i++) yield* Effect.yieldNow()
          const message = messageOf({ topic, key: round % 2 === 0 ? undefined : `key ${round % 6}` })
          // the interruption comes in the same moment as the message, or shortly after it
          yield* publish([message])
          for (let i = 0; i < round % 5; i++) yield* Effect.yieldNow()
          yield* Fiber.interrupt(taker)
          if (handled.length === 0) yield* Effect.timeoutOption(handle(source.take), patience)
          assertIds(`round ${round}`, handled, [message.id])
        }
        yield* assertQuiet(source)
      }))
  })
}
