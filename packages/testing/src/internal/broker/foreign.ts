import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import type { Foreign } from "../../BrokerSuite.ts"
import { messageOf } from "../../Fixtures.ts"
import { assertOrder } from "../cases.ts"
import { consume, type Kit, publish } from "./kit.ts"

export type Raw = Foreign

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * A record with all in it as bytes. Headers that begin with `x-` are the broker's own, and one may be where the protocol has
 * its key.
 */
export const rawOf = (record: Raw) => ({
  topic: record.topic,
  key: record.key,
  contentType: record.contentType,
  headers: Object.fromEntries(
    Object.entries(record.headers)
      .filter(([name]) => !name.startsWith("x-") && name !== "content-type" && !name.endsWith("partitionkey"))
      .sort(([one], [other]) => one < other ? -1 : 1)
      .map(([name, value]) => [name, Buffer.from(value).toString("hex")])
  ),
  body: record.body === undefined ? undefined : Buffer.from(record.body).toString("hex")
})

/** What other programs write, and what they read. */
export const foreignCases = <R>({ assertQuiet, facts, itWith, one, some }: Kit<R>): void => {
  facts.describe("other programs", () => {
    itWith(
      facts.foreign,
      "records in no known form are handed out as such, in order, and stop nothing behind them",
      ({ prefix, publish: put }) => (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const garbage: ReadonlyArray<Raw> = [
            { topic, key: "one", headers: {}, body: bytesOf("{}") },
            { topic, key: "one", headers: { tenant: "größe", bytes: Uint8Array.of(255, 0) }, body: Uint8Array.of(255) },
            {
              topic,
              key: "one",
              headers: { [`${prefix}specversion`]: "1.0", [`${prefix}type`]: "x", [`${prefix}source`]: "/" },
              body: bytesOf("{}")
            },
            { topic, key: "one", headers: {}, contentType: "application/cloudevents+json", body: bytesOf("{\"id\":") },
            { topic, key: "one", headers: {}, contentType: "application/cloudevents+avro", body: Uint8Array.of(1, 2) },
            { topic, key: "one", headers: { ["__proto__"]: "x", traceparent: "no" }, body: new Uint8Array(0) }
          ]
          for (const record of garbage) yield* put(record)
          const good = messageOf({ topic, key: "one" })
          yield* publish([good])
          for (const record of garbage) {
            const { isTombstone, message, unreadable } = yield* one(source)
            assert.ok(unreadable !== undefined && unreadable.length > 10, "it says why it is no message")
            assert.strictEqual(isTombstone, false)
            assert.deepStrictEqual([message.topic, message.key], [topic, "one"])
            assert.deepStrictEqual(Buffer.from(message.payload), Buffer.from(record.body!))
            if ("tenant" in record.headers) assert.strictEqual(message.headers.tenant, "größe")
          }
          const last = yield* one(source)
          assert.strictEqual(last.unreadable, undefined)
          assert.strictEqual(last.message.id, good.id)
          yield* assertQuiet(source)
        })
    )

    itWith(
      facts.foreign,
      "what cannot be read and is given back comes again, before what is behind it",
      (foreign) => (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          yield* foreign.publish({ topic, key: "one", headers: {}, body: bytesOf("a") })
          yield* foreign.publish({ topic, key: "one", headers: {}, body: bytesOf("b") })
          const seen: Array<string> = []
          for (const ending of [Effect.fail("no"), Effect.void, Effect.void]) {
            yield* Effect.exit(Effect.scoped(Effect.flatMap(source.take, ({ message }) => {
              seen.push(Buffer.from(message.payload).toString())
              return ending
            })))
          }
          assertOrder("payloads", seen, ["a", "a", "b"])
        })
    )

    itWith(
      facts.foreign,
      "CloudEvents of any SDK are read, in binary and in structured mode",
      ({ prefix, publish: put }) => (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const attributes = {
            specversion: "1.0",
            id: "größe 1",
            source: "/elsewhere",
            type: "room_closed",
            time: "2023-11-14T22:13:20.123Z"
          }
          const binary = Object.fromEntries(
            Object.entries(attributes).map(([name, value]) => [prefix + name, value])
          )
          yield* put({ topic, key: "one", headers: binary, contentType: "text/plain", body: bytesOf("ä") })
          const structured = (rest: Record<string, unknown>): Raw => ({
            topic,
            key: "one",
            headers: {},
            contentType: "application/cloudevents+json; charset=UTF-8",
            body: bytesOf(JSON.stringify({ ...attributes, ...rest }))
          })
          yield* put(structured({ data: { room: "blau" } }))
          yield* put(structured({ datacontenttype: "text/plain", data_base64: "w6Q=" }))
          const seen: Array<unknown> = []
          for (const message of yield* some(source, 3)) {
            assert.deepStrictEqual(
              [message.id, message.source, message.name, message.time, message.key],
              ["größe 1", "/elsewhere", "room_closed", 1_700_000_000_123, "one"]
            )
            seen.push([message.contentType, Buffer.from(message.payload).toString()])
          }
          assert.deepStrictEqual(seen, [
            ["text/plain", "ä"],
            ["application/json", "{\"room\":\"blau\"}"],
            ["text/plain", "ä"]
          ])
        })
    )

    itWith(
      facts.foreign,
      "they find attributes under the names of CloudEvents, and the payload as the body",
      ({ prefix, read }) => (topic) =>
        Effect.gen(function*() {
          const next = yield* read(topic)
          const sent = messageOf({
            topic,
            key: "one",
            sequence: 7n,
            headers: { tenant: "größe" },
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
          })
          yield* publish([sent])
          const record = yield* next
          const text = (name: string) => Buffer.from(record.headers[name] ?? "").toString()
          const expected = {
            specversion: "1.0",
            id: sent.id,
            source: "/suite",
            type: "suite_event",
            time: "2023-11-14T22:13:20.000Z",
            correlationid: "correlation",
            partitionkey: "one",
            sequence: "7"
          }
          for (const [name, value] of Object.entries(expected)) assert.strictEqual(text(prefix + name), value)
          assert.strictEqual(text("tenant"), "größe")
          assert.strictEqual(text("traceparent"), sent.traceparent)
          assert.deepStrictEqual([record.key, record.contentType], ["one", "application/json"])
          assert.deepStrictEqual(Buffer.from(record.body!), Buffer.from(sent.payload))
        })
    )

    itWith(facts.tombstones, "a tombstone is told from an empty body", () => (topic, group) =>
      Effect.gen(function*() {
        if (!("publish" in facts.foreign)) return assert.fail("tombstones come from foreign programs")
        const source = yield* consume([topic], group)
        yield* facts.foreign.publish({ topic, key: "gone", headers: {}, body: undefined })
        yield* publish([messageOf({ topic, key: "gone", payload: new Uint8Array(0) })])
        const first = yield* one(source)
        assert.deepStrictEqual([first.isTombstone, first.message.key], [true, "gone"])
        assert.strictEqual(first.message.payload.length, 0)
        const second = yield* one(source)
        assert.deepStrictEqual([second.isTombstone, second.unreadable], [false, undefined])
      }))
  })
}
