import { Broker } from "@effect-cqrs/core/Broker"
import * as Compressor from "@effect-cqrs/core/Compressor"
import * as Consumer from "@effect-cqrs/core/Consumer"
import * as Event from "@effect-cqrs/core/Event"
import { type Message, Received } from "@effect-cqrs/core/Message"
import * as Serialization from "@effect-cqrs/core/Serialization"
import * as Subscribers from "@effect-cqrs/core/Subscribers"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as assert from "node:assert"
import { assertMessage, messageOf } from "../../Fixtures.ts"
import { assertIds, assertOrder } from "../cases.ts"
import { collect, consume, firstsOf, idsOf, type Kit, publish } from "./kit.ts"

/** Poison, through the consumer of core. */
export const deadLetterCases = <R>(
  { assertQuiet, cases, facts, it, itWith, one, some, until, within }: Kit<R>
): void => {
  facts.describe("dead letters", () => {
    it(
      "poison goes to the dead letters once, as it came and with the reason, and its key goes on",
      (topic, group) =>
        Effect.gen(function*() {
          const deadLetterTopic = yield* facts.topic(`${topic}_dead`)
          const letters = yield* consume([deadLetterTopic], `${group}_dead`)
          const { handled } = yield* consumer({ topic, group, deadLetterTopic })
          const sent = [
            eventOf(topic, "good"),
            eventOf(topic, "bad"),
            messageOf({ topic, name: "suite_closed", key: "one", payload: Uint8Array.of(255, 0) }),
            messageOf({ topic, name: "nobody_knows_it", key: "one" }),
            eventOf(topic, "good")
          ]
          yield* publish(sent)
          yield* until("the last is handled", () => handled.length === 2)
          assertOrder("handled", handled, [sent[0]!.id, sent[4]!.id])
          const dead = yield* some(letters, 3)
          assertIds("dead letters", idsOf(dead), idsOf(sent.slice(1, 4)))
          for (const letter of dead) {
            const { headers, ...rest } = letter
            const original = sent.find((message) => message.id === letter.id)!
            const own = Object.entries(headers).filter(([name]) => !name.startsWith("dead-letter"))
            assertMessage(
              { ...rest, topic, headers: Object.fromEntries(own) },
              original
            )
            assert.ok((headers[Consumer.deadLetterHeaders.reason] ?? "").length > 3, "it says why")
            assert.strictEqual(headers[Consumer.deadLetterHeaders.group], group)
            assert.strictEqual(headers[Consumer.deadLetterHeaders.topic], topic)
          }
          const bad = dead.find((letter) => letter.id === sent[1]!.id)!
          assert.strictEqual(bad.headers[Consumer.deadLetterHeaders.attempts], "3")
          yield* assertQuiet(letters)
        })
    )

    it(
      "a body that is corrupt, and one that is a bomb, are dead letters as they came, and their key goes on",
      (topic, group) =>
        Effect.gen(function*() {
          const deadLetterTopic = yield* facts.topic(`${topic}_dead`)
          const letters = yield* consume([deadLetterTopic], `${group}_dead`)
          const { handled } = yield* consumer({ topic, group, deadLetterTopic })
          const good = eventOf(topic, "good")
          const { compress } = Compressor.gzip()
          const whole = yield* compress(good.payload)
          const bomb = yield* compress(new Uint8Array(16 * mostBytes))
          const gzip = (payload: Uint8Array) => messageOf({ ...good, contentEncoding: "gzip", payload })
          const sent = [gzip(whole.subarray(0, 12)), gzip(good.payload), gzip(bomb)].map((one, n) => ({
            ...one,
            id: `${n}`
          }))
          yield* publish([...sent, { ...gzip(whole), id: "whole" }])
          yield* until("the whole one is handled", () => handled.length === 1)
          assertOrder("handled", handled, ["whole"])
          const dead = yield* some(letters, 3)
          assertIds("dead letters", idsOf(dead), idsOf(sent))
          for (const { headers, id, payload } of dead) {
            const reason = headers[Consumer.deadLetterHeaders.reason] ?? ""
            assert.ok(reason.includes(id === "2" ? "maxDecompressedBytes" : "gzip"), reason)
            assert.deepStrictEqual(Buffer.from(payload), Buffer.from(sent[Number(id)]!.payload))
          }
          yield* assertQuiet(letters)
        }).pipe(Effect.provide(Serialization.layer({ maxDecompressedBytes: mostBytes })))
    )

    itWith(
      facts.foreign,
      "a record in no known form is a dead letter with its bytes, and what is behind it is handled",
      (foreign) => (topic, group) =>
        Effect.gen(function*() {
          const deadLetterTopic = yield* facts.topic(`${topic}_dead`)
          const letters = yield* consume([deadLetterTopic], `${group}_dead`)
          const { handled } = yield* consumer({ topic, group, deadLetterTopic })
          const body = Uint8Array.of(255, 0, 128)
          yield* foreign.publish({ topic, key: "one", headers: { tenant: "größe" }, body })
          const good = eventOf(topic, "good")
          yield* publish([good])
          yield* until("the last is handled", () => handled.length === 1)
          assertOrder("handled", handled, [good.id])
          const { message } = yield* one(letters)
          assert.deepStrictEqual(Buffer.from(message.payload), Buffer.from(body))
          assert.strictEqual(message.key, "one")
          assert.strictEqual(message.headers.tenant, "größe")
          assert.ok((message.headers[Consumer.deadLetterHeaders.reason] ?? "").length > 3, "it says why")
          yield* assertQuiet(letters)
        })
    )

    cases.itWith(
      facts.network,
      "where connections are cut, poison goes to the dead letters at least once, and nothing else does",
      (id, network) =>
        Effect.flatMap(
          network(id),
          ({ layer, proxy }) =>
            within(id, facts.layer(id), (topic, group) =>
              Effect.gen(function*() {
                const deadLetterTopic = yield* facts.topic(`${topic}_dead`)
                const letters = yield* collect(yield* consume([deadLetterTopic], `${group}_dead`))
                const { handled } = yield* Effect.flatMap(
                  Layer.build(layer),
                  (context) => Effect.provide(consumer({ topic, group, deadLetterTopic }), context)
                )
                const sent = Array.from(
                  { length: 60 },
                  (_, n) => eventOf(topic, n % 6 === 0 ? "bad" : "good", `key ${n % 4}`)
                )
                const count = () => new Set(handled).size + firstsOf(letters).length
                for (let at = 0; at < sent.length; at += 20) {
                  yield* publish(sent.slice(at, at + 20))
                  yield* until(`${at + 4} are handled or dead`, () => count() >= at + 4)
                  yield* proxy.cut
                  yield* proxy.restore
                }
                yield* until(() => `${count()} of ${sent.length} are handled or dead`, () => count() >= sent.length)
                assertIds("dead letters", idsOf(firstsOf(letters)), idsOf(sent.filter((_, n) => n % 6 === 0)))
                assertIds("handled", [...new Set(handled)], idsOf(sent.filter((_, n) => n % 6 !== 0)))
              }))
        )
    )
  })
}

const mostBytes = 1024 * 1024

const eventOf = (topic: string, what: "good" | "bad", key = "one"): Message =>
  messageOf({
    topic,
    key,
    name: "suite_closed",
    headers: { tenant: "größe" },
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    causationId: "cause",
    payload: new TextEncoder().encode(JSON.stringify({ what }))
  })

/** A consumer whose handler fails for what is bad; the ids of what it has handled. */
const consumer = (options: { readonly topic: string; readonly group: string; readonly deadLetterTopic: string }) =>
  Effect.gen(function*() {
    class Closed extends Event.notification<Closed>()("suite_closed", {
      topic: options.topic,
      payload: { what: Schema.String }
    }) {}
    const handled: Array<string> = []
    yield* Layer.build(
      Consumer.layer({
        subscription: { group: options.group },
        events: [Closed],
        retry: Schedule.recurs(2),
        deadLetter: { topic: options.deadLetterTopic },
        concurrency: 4
      }).pipe(
        Layer.provide(Subscribers.layer(Closed, {
          see: (event) =>
            event.what === "bad" ? Effect.fail("no") : Effect.map(Received, ({ id }) => {
              handled.push(id)
            })
        })),
        Layer.provide(Layer.succeed(Broker, yield* Broker))
      )
    )
    return { handled }
  })
