import { assert, describe, it } from "@effect/vitest"
import type { Record } from "../src/internal/client.ts"
import { encode } from "../src/internal/produceRequest.ts"
import { changed, sizeOf } from "../src/internal/record.ts"

describe("record", () => {
  it("a header without a value is passed on without one", async () => {
    // kafkajs reads them, and its types do not tell
    const headers = { none: null, many: [null, Buffer.from("a")] } as unknown as Record["headers"]
    const record: Record = { offset: "0", timestamp: "0", key: null, value: null, headers }
    const outgoing = changed(record, { topic: "other", headers: { added: "b" } })
    assert.deepStrictEqual<unknown>(outgoing.headers, { ...headers, added: "b" })
    assert.isAbove(sizeOf(outgoing).least, 0)
    const request = await encode({
      topicData: [{ topic: "other", partitions: [{ partition: 0, firstSequence: 0, messages: [outgoing] }] }],
      producerId: "1",
      producerEpoch: 0,
      compression: 0,
      timeout: 1000
    }, 0)
    assert.isAbove(request.buffer.length, 0)
  })
})
