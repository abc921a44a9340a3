import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { assertMessage, messageOf } from "../../Fixtures.ts"
import { bytesOf, type Raw, rawOf } from "./foreign.ts"
import { assertDelivered, consume, type Kit, publish } from "./kit.ts"

/** Publishing once more what was received, as it came. */
export const forwardCases = <R>({ cases, facts, hold, it, itWith, one, within }: Kit<R>): void => {
  const both = (topic: string, group: string) =>
    Effect.gen(function*() {
      const other = yield* facts.topic(`${topic}_other`)
      return {
        other,
        here: yield* consume([topic], group),
        there: yield* consume([other], `${group}_other`)
      }
    })

  facts.describe("forward", () => {
    it(
      "publishes all of a message on another topic, with headers set and removed, and does not settle it",
      (topic, group) =>
        Effect.gen(function*() {
          const { here, other, there } = yield* both(topic, group)
          const sent = messageOf({
            topic,
            key: "schlüssel",
            kind: "ecst",
            version: 3,
            causationId: "cause",
            sequence: 12n,
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            contentType: "application/json",
            contentEncoding: "gzip",
            headers: { keep: "größe", change: "1", remove: "x", empty: "" },
            payload: Uint8Array.from({ length: 256 }, (_, n) => n)
          })
          yield* publish([sent])
          const held = yield* hold(here)
          const outcome = yield* held.forward({
            topic: other,
            headers: { change: "日本", remove: undefined, absent: undefined, add: "new" }
          })
          assertDelivered(outcome)
          yield* held.fail
          assertMessage((yield* one(here)).message, sent)
          const forwarded = yield* one(there)
          assert.strictEqual(forwarded.unreadable, undefined)
          assertMessage(forwarded.message, {
            ...sent,
            topic: other,
            headers: { keep: "größe", change: "日本", empty: "", add: "new" }
          })
        })
    )

    it("an empty payload and a missing key stay so", (topic, group) =>
      Effect.gen(function*() {
        const { here, other, there } = yield* both(topic, group)
        const sent = messageOf({ topic, key: undefined, payload: new Uint8Array(0) })
        yield* publish([sent])
        const held = yield* hold(here)
        assertDelivered(yield* held.forward({ topic: other, headers: {} }))
        yield* held.settle
        const forwarded = yield* one(there)
        assert.strictEqual(forwarded.isTombstone, false)
        assertMessage(forwarded.message, { ...sent, topic: other })
      }))

    itWith(
      facts.foreign,
      "a record is the same byte for byte, whether it can be read or not",
      (foreign) => (topic, group) =>
        Effect.gen(function*() {
          const other = yield* facts.topic(`${topic}_other`)
          const here = yield* consume([topic], group)
          const read = yield* foreign.read(other)
          const records: ReadonlyArray<Raw> = [
            {
              topic,
              key: "one",
              headers: { text: "größe", bytes: Uint8Array.of(0, 255, 254, 128) },
              body: Uint8Array.of(1, 0, 255)
            },
            {
              topic,
              key: "one",
              headers: { [`${foreign.prefix}type`]: "no id", bytes: Uint8Array.of(200) },
              contentType: "text/plain",
              body: bytesOf("{")
            },
            {
              topic,
              key: undefined,
              headers: {},
              contentType: "application/cloudevents+json",
              body: bytesOf("no JSON")
            },
            {
              topic,
              key: "one",
              headers: {
                ...Object.fromEntries(
                  Object.entries({ specversion: "1.0", id: "1", source: "/elsewhere", type: "closed", unknown: "x" })
                    .map(
                      ([name, value]) => [foreign.prefix + name, value]
                    )
                ),
                bytes: Uint8Array.of(255)
              },
              body: new Uint8Array(0)
            }
          ]
          for (const record of records) {
            yield* foreign.publish(record)
            const held = yield* hold(here)
            assertDelivered(yield* held.forward({ topic: other, headers: { why: "x" } }))
            yield* held.settle
            assert.deepStrictEqual(
              rawOf(yield* read),
              rawOf({ ...record, topic: other, headers: { ...record.headers, why: "x" } })
            )
          }
        })
    )

    cases.itWith(
      facts.tombstones,
      "a tombstone stays one",
      (id) =>
        within(id, facts.layer(id), (topic, group) =>
          Effect.gen(function*() {
            if (!("publish" in facts.foreign)) return assert.fail("tombstones come from foreign programs")
            const { here, other, there } = yield* both(topic, group)
            yield* facts.foreign.publish({ topic, key: "gone", headers: { why: "x" }, body: undefined })
            const held = yield* hold(here)
            assertDelivered(yield* held.forward({ topic: other, headers: {} }))
            yield* held.settle
            const forwarded = yield* one(there)
            assert.strictEqual(forwarded.isTombstone, true)
            assert.strictEqual(forwarded.message.key, "gone")
            assert.deepStrictEqual(forwarded.message.headers, { why: "x" })
          }))
    )
  })
}
