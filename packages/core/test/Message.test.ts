import { Message } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import { message } from "./fixtures.ts"
import { messagesOf } from "./support/messages.ts"

const messages = messagesOf({ text: fc.fullUnicodeString() })

describe("attributes", () => {
  it.prop("and back is the same message", [messages], ([given]) => {
    const { headers, payload, topic } = given
    const back = Message.fromAttributes(Message.attributes(given), { headers, payload, topic })
    assert.deepStrictEqual(Either.getOrThrow(back), given)
  })

  it.prop("say nothing of topic, headers and payload, and leave out what is not there", [messages], ([given]) => {
    const attributes = Message.attributes(given)
    assert.notProperty(attributes, "topic")
    for (const value of Object.values(attributes)) assert.isString(value)
    assert.strictEqual("partitionkey" in attributes, given.key !== undefined)
    assert.strictEqual("causationid" in attributes, given.causationId !== undefined)
    assert.strictEqual("traceparent" in attributes, given.traceparent !== undefined)
    assert.strictEqual("sequence" in attributes, given.sequence !== undefined)
  })

  it("have the names and formats of CloudEvents 1.0", () => {
    assert.deepStrictEqual(
      Message.attributes(message({
        id: "1",
        key: "blue",
        sequence: 17n,
        causationId: "cause",
        traceparent: "00-a-b-01",
        contentEncoding: "gzip",
        time: 1700000000123
      })),
      {
        specversion: "1.0",
        id: "1",
        source: "/tests",
        type: "room_closed",
        time: "2023-11-14T22:13:20.123Z",
        datacontenttype: "application/json",
        eventkind: "notification",
        schemaversion: "1",
        correlationid: "correlation",
        contentencoding: "gzip",
        partitionkey: "blue",
        causationid: "cause",
        traceparent: "00-a-b-01",
        sequence: "17"
      }
    )
  })
})

describe("fromAttributes", () => {
  const rest = { topic: "rooms", headers: {}, payload: new Uint8Array() }

  it("fills in what a foreign sender may have left out", () => {
    assert.deepStrictEqual(Either.getOrThrow(Message.fromAttributes({ id: "1", type: "room_closed" }, rest)), {
      id: "1",
      name: "room_closed",
      kind: "notification",
      version: 1,
      key: undefined,
      source: "",
      time: 0,
      correlationId: "1",
      causationId: undefined,
      traceparent: undefined,
      sequence: undefined,
      contentType: "application/json",
      contentEncoding: "identity",
      ...rest
    })
  })

  for (
    const [wrong, says] of [
      [{ id: undefined }, "id is missing"],
      [{ id: "" }, "id is missing"],
      [{ type: undefined }, "type is missing"],
      [{ time: "yesterday" }, "time"],
      [{ schemaversion: "0" }, "schemaversion"],
      [{ schemaversion: "1.5" }, "schemaversion"],
      [{ schemaversion: "new" }, "schemaversion"],
      [{ schemaversion: "" }, "schemaversion"],
      [{ sequence: "-1" }, "sequence"],
      [{ sequence: "17 " }, "sequence"],
      [{ eventkind: "domain" }, "eventkind"]
    ] as const
  ) {
    it(`${JSON.stringify(wrong)} is refused, and the message says which attribute it is`, () => {
      const result = Message.fromAttributes(Object.assign({ id: "1", type: "room_closed" }, wrong), rest)
      const error = Either.getOrThrow(Either.flip(result))
      assert.instanceOf(error, Message.MessageError)
      assert.include(error.message, says)
    })
  }
})
