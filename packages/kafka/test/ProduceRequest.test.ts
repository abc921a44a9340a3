/** The requests that the adapter writes itself are those that kafkajs would have written, byte for byte. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { createRequire } from "node:module"
import type { ProduceRequest } from "../src/internal/client.ts"
import { crc32c } from "../src/internal/crc32c.ts"
import { encode } from "../src/internal/produceRequest.ts"

/** kafkajs's own, which it does not export. */
const theirs = createRequire(import.meta.url)("kafkajs/src/protocol/requests/produce/v7/request.js") as (
  request: object
) => { readonly encode: () => Promise<{ readonly buffer: Buffer }> }

const now = 1_700_000_000_123

const asTheyHaveIt = (request: ProduceRequest) =>
  theirs({
    ...request,
    acks: -1,
    topicData: request.topicData.map(({ partitions, topic }) => ({
      topic,
      partitions: partitions.map((one) => ({
        ...one,
        messages: one.messages.map((message) => ({ ...message, timestamp: now }))
      }))
    }))
  }).encode()

const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 8000, maxLength: 9000 })).map(
  (array) => Buffer.from(array)
)
const text = fc.oneof(fc.string({ unit: "binary", maxLength: 100 }), fc.string({ maxLength: 300 }))
const value = fc.oneof(bytes, text)
const headers = fc.dictionary(text.filter((name) => name !== "__proto__"), fc.oneof(value, fc.array(value)), {
  maxKeys: 12
})
const message = fc.record({ key: fc.option(bytes), value: fc.option(bytes), headers })
const partition = fc.record({
  partition: fc.nat(1000),
  firstSequence: fc.nat(2 ** 31 - 1),
  messages: fc.array(message, { minLength: 1, maxLength: 150 })
})
const request: fc.Arbitrary<ProduceRequest> = fc.record({
  topicData: fc.array(
    fc.record({ topic: text, partitions: fc.array(partition, { minLength: 1, maxLength: 3 }) }),
    { maxLength: 3 }
  ),
  producerId: fc.nat(2 ** 31 - 1).map(String),
  producerEpoch: fc.nat(1000),
  compression: fc.constantFrom(0, 1),
  timeout: fc.nat(60_000)
})

describe("a Produce request", () => {
  it("is byte for byte that of kafkajs", () =>
    fc.assert(
      fc.asyncProperty(request, async (one) => {
        const [ours, wanted] = await Promise.all([encode(one, now), asTheyHaveIt(one)])
        assert.isTrue(ours.buffer.equals(wanted.buffer))
      }),
      { numRuns: 50 }
    ), 60_000)

  it.effect("writes a header without a value, which kafkajs cannot", () =>
    Effect.gen(function*() {
      const one = (headers: object): ProduceRequest => ({
        topicData: [{
          topic: "t",
          partitions: [{ partition: 0, firstSequence: 0, messages: [{ key: null, value: null, headers } as never] }]
        }],
        producerId: "1",
        producerEpoch: 0,
        compression: 0,
        timeout: 1
      })
      const none = yield* Effect.promise(() => encode(one({ a: null }), now))
      const empty = yield* Effect.promise(() => encode(one({ a: "" }), now))
      assert.strictEqual(none.buffer.at(-1), 1)
      assert.strictEqual(empty.buffer.at(-1), 0)
    }))
})

describe("the checksum", () => {
  it("is CRC-32C: the examples of RFC 3720", () => {
    const of = (array: Uint8Array) => crc32c(array, 0, array.length).toString(16)
    assert.strictEqual(of(new Uint8Array(32)), "8a9136aa")
    assert.strictEqual(of(new Uint8Array(32).fill(255)), "62a8ab43")
    assert.strictEqual(of(Uint8Array.from({ length: 32 }, (_, n) => n)), "46dd794e")
    assert.strictEqual(of(new TextEncoder().encode("123456789")), "e3069283")
  })
})
