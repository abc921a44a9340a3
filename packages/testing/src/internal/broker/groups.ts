import { Broker } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { assertArrived, collect, consume, idsOf, type Kit, publish } from "./kit.ts"

export const groupCases = <R>(
  { assertQuiet, cases, compete, facts, hold, it, one, some, until, within }: Kit<R>
): void => {
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

    it(
      "what many publish at a time comes to a group of many, each message once",
      (topic, group) =>
        Effect.gen(function*() {
          const publishers = Array.from(
            { length: 8 },
            (_, p) => Array.from({ length: 40 }, (_, n) => messageOf({ topic, key: `publisher ${p}, key ${n % 3}` }))
          )
          const sent = publishers.flat()
          const members = yield* Effect.forEach([1, 2], () => consume([topic], group))
          const publishing = yield* Effect.fork(
            Effect.forEach(
              publishers,
              (messages) => Effect.forEach([0, 10, 20, 30], (at) => publish(messages.slice(at, at + 10))),
              { concurrency: "unbounded" }
            )
          )
          const handled = yield* compete(members.flatMap((source) => [source, source, source]), sent.length)
          yield* Fiber.join(publishing)
          assertIds("messages", idsOf(handled), idsOf(sent))
        })
    )

    it(
      "many topics at a time, each with a group of its own: nothing goes astray",
      (topic, group) =>
        Effect.gen(function*() {
          yield* Effect.forEach([1, 2, 3, 4, 5, 6], (n) =>
            Effect.gen(function*() {
              const own = yield* facts.topic(`${topic}_${n}`)
              const source = yield* consume([own], `${group}_${n}`)
              const sent = Array.from({ length: 30 }, (_, n) => messageOf({ topic: own, key: `key ${n % 4}` }))
              yield* publish(sent)
              const received = yield* some(source, sent.length)
              assertIds(own, idsOf(received), idsOf(sent))
              yield* assertQuiet(source)
            }), { concurrency: "unbounded" })
        })
    )

    it(
      "members that come and go with messages in hand lose none, and no later one overtakes",
      (topic, group) =>
        Effect.gen(function*() {
          yield* Effect.scoped(consume([topic], group))
          const sent = Array.from({ length: 30 }, (_, n) => messageOf({ topic, key: `key ${n % 3}` }))
          yield* publish(sent)
          const handled: Array<Message> = []
          for (let member = 0; member < 3; member++) {
            yield* Effect.scoped(Effect.gen(function*() {
              const source = yield* consume([topic], group, { window: 12 })
              for (let n = 0; n < 4; n++) handled.push((yield* one(source)).message)
              yield* hold(source)
              yield* hold(source)
            }))
          }
          const received = yield* collect(yield* consume([topic], group))
          const distinct = () => new Set(idsOf([...handled, ...received])).size
          yield* until(() => `${distinct()} of ${sent.length} came`, () => distinct() >= sent.length)
          assertArrived([...handled, ...received], sent)
        })
    )

    it(
      "what one member has failed again and again comes to the next, in order",
      (topic, group) =>
        Effect.gen(function*() {
          yield* Effect.scoped(consume([topic], group))
          const sent = Array.from({ length: 20 }, (_, n) => messageOf({ topic, key: `key ${n % 3}` }))
          yield* publish(sent)
          yield* Effect.scoped(Effect.gen(function*() {
            const source = yield* consume([topic], group)
            for (let n = 0; n < 30; n++) yield* Effect.flatMap(hold(source), ({ fail }) => fail)
          }))
          const source = yield* consume([topic], group)
          const received = yield* some(source, sent.length)
          assertArrived(received, sent)
          yield* assertQuiet(source)
        })
    )

    it("members that join and leave all at a time harm nobody", (topic, group) =>
      Effect.gen(function*() {
        yield* Effect.forEach(
          [1, 2, 3, 4, 5],
          () => Effect.scoped(consume([topic], group)),
          { concurrency: "unbounded" }
        )
        const sent = Array.from({ length: 20 }, (_, n) => messageOf({ topic, key: `key ${n % 3}` }))
        yield* publish(sent)
        const source = yield* consume([topic], group)
        assertIds("messages", idsOf(yield* some(source, sent.length)), idsOf(sent))
        yield* assertQuiet(source)
      }))

    cases.itWith(
      facts.durable,
      "what was acknowledged is there though its publisher went away at once, in the middle of publishing",
      (id) =>
        Effect.gen(function*() {
          const sent: Array<Message> = []
          const delivered = new Set<string>()
          let name = ""
          yield* within(id, facts.layer(id), (topic, group) =>
            Effect.gen(function*() {
              name = topic
              yield* Effect.scoped(consume([topic], group))
              const broker = yield* Broker
              yield* Effect.forEach([1, 2, 3, 4, 5], (p) =>
                Effect.forkScoped(Effect.forever(
                  Effect.delay("1 millis")(Effect.suspend(() => {
                    const batch = Array.from({ length: 5 }, () => messageOf({ topic, key: `publisher ${p}` }))
                    for (const message of batch) sent.push(message)
                    return Effect.map(broker.publish(batch), (outcomes) => {
                      for (const [n, { _tag }] of outcomes.entries()) {
                        if (_tag === "Delivered") {
                          delivered.add(batch[n]!.id)
                        }
                      }
                    })
                  }))
                )))
              yield* until("messages are delivered", () => delivered.size >= 100)
            }))
          yield* Effect.gen(function*() {
            const received = yield* collect(yield* consume([name], `${id}_group`))
            const missing = () => {
              const ids = new Set(idsOf(received))
              return [...delivered].filter((one) => !ids.has(one))
            }
            yield* until(() => `${missing().length} of ${delivered.size} are missing`, () => missing().length === 0)
            const arrived = new Set(idsOf(received))
            assertArrived(received, sent.filter((message) => arrived.has(message.id)))
          }).pipe(Effect.scoped, Effect.provide(facts.layer(id)))
        })
    )
  })
}
