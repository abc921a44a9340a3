import { Message, Wire } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import { message } from "./fixtures.ts"
import { messagesOf, optional } from "./support/messages.ts"

const text = fc.oneof(
  fc.fullUnicodeString(),
  fc.constantFrom("__proto__", "constructor", "toString", "größe", "\u{1F600}")
)
const isFree = (name: string) =>
  !/^(ce_|cloudEvents[:_])/i.test(name) &&
  !["content-type", "content-encoding", "traceparent"].includes(name.toLowerCase())
const own = (entries: ReadonlyArray<readonly [string, string]>): Record<string, string> => Object.fromEntries(entries)
const headers = fc.array(fc.tuple(text.filter(isFree), text), { maxLength: 5 }).map(own)
const traceparent = fc.tuple(
  fc.hexaString({ minLength: 32, maxLength: 32 }),
  fc.hexaString({ minLength: 16, maxLength: 16 })
)
  .map(([trace, span]) => `00-${trace}-${span}-01`)
const encoder = new TextEncoder()
const payload = fc.oneof(
  fc.uint8Array(),
  fc.json().map((json) => encoder.encode(json)),
  fc.constantFrom("", " {}", "{\"a\": 1}", "9007199254740993", "1e400", "{\"2\":0,\"1\":0}", "\"ä\"", "null", "\uFEFF1")
    .map(
      (json) => encoder.encode(json)
    )
)
const messages = messagesOf({
  text,
  traceparent: optional(traceparent),
  contentType: fc.oneof(
    fc.constantFrom("application/json", "application/problem+json; charset=utf-8", "text/plain", "application/avro"),
    text.filter((type) => !type.trim().toLowerCase().startsWith("application/cloudevents"))
  ),
  headers,
  payload
})

const prefixes = ["ce_"] as const
const incoming = (
  packet: Partial<Wire.Packet>,
  given: Partial<Wire.Incoming> = {}
): Wire.Incoming => ({
  headers: {},
  contentType: undefined,
  contentEncoding: undefined,
  body: new Uint8Array(0),
  topic: "rooms",
  key: undefined,
  place: "rooms/0/1",
  isTombstone: false,
  ...packet,
  ...given
})
const wire = Wire.make(prefixes)
const packetOf = (given: Message.Message, by = wire) => Either.getOrThrow(by.encode(given))
const json = (value: unknown) => encoder.encode(typeof value === "string" ? value : JSON.stringify(value))
const structuredType = "application/cloudevents+json"

describe("Wire", () => {
  for (const mode of ["binary", "structured"] as const) {
    const by = Wire.make(["cloudEvents:", "cloudEvents_"], { mode })

    it.prop(
      `what is written in ${mode} mode is read as it was, whatever the reader's own mode`,
      [messages],
      ([given]) => {
        const packet = packetOf(given, by)
        for (const reader of [by, Wire.make(["cloudEvents:"], { mode: "structured" })]) {
          const { message: back, unreadable } = reader.decode(incoming(packet, { topic: given.topic, key: given.key }))
          assert.strictEqual(unreadable, undefined)
          assert.deepStrictEqual({ ...back, payload: [...back.payload] }, { ...given, payload: [...given.payload] })
        }
      }
    )

    it.prop(
      `without a key of its own, a record read in ${mode} mode has the one in its attributes`,
      [messages],
      ([given]) => {
        const { message: back } = by.decode(incoming(packetOf(given, by), { topic: given.topic }))
        assert.strictEqual(back.key, given.key)
      }
    )
  }

  it.prop(
    "nothing that is received makes it throw, and what cannot be read keeps its key, its body and a sentence",
    [
      fc.array(
        fc.tuple(
          fc.oneof(
            text,
            fc.constantFrom("id", "type", "time", "specversion", "sequence", "schemaversion").map((name) =>
              `ce_${name}`
            )
          ),
          fc.oneof(text, fc.constantFrom("1.0", "2.0", "1", "", "2023-11-14T22:13:20Z"))
        )
      ).map(own),
      fc.oneof(
        fc.uint8Array(),
        fc.json().map(json),
        fc.dictionary(
          fc.constantFrom("id", "type", "specversion", "data", "data_base64", "time", "__proto__"),
          fc.jsonValue()
        ).map(json)
      ),
      optional(
        fc.oneof(
          text,
          fc.constantFrom(structuredType, `${structuredType}; charset=utf-8`, "application/cloudevents+avro")
        )
      ),
      optional(text),
      fc.boolean(),
      text
    ],
    ([headers, body, contentType, key, isTombstone, topic]) => {
      const { message: back, unreadable } = wire.decode(
        incoming({ headers, body, contentType }, { key, isTombstone, topic })
      )
      if (unreadable === undefined) return assert.isAbove(back.id.length, 0)
      assert.isAbove(unreadable.length, 10)
      assert.deepStrictEqual([back.topic, back.key, back.payload], [topic, key, body])
      for (const name of Object.keys(headers)) {
        if (isFree(name)) assert.strictEqual(Object.getOwnPropertyDescriptor(back.headers, name)?.value, headers[name])
      }
    }
  )

  it("in binary mode attributes are headers, the body is the payload, and the content type is the protocol's", () => {
    const given = message({
      id: "1",
      key: "blue",
      sequence: 17n,
      contentEncoding: "gzip",
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      headers: { tenant: "acme" }
    })
    const { body, contentEncoding, contentType, headers } = packetOf(given)
    assert.strictEqual(body, given.payload)
    assert.deepStrictEqual([contentType, contentEncoding], ["application/json", "gzip"])
    assert.strictEqual(headers.traceparent, given.traceparent)
    assert.deepStrictEqual(
      [
        headers.tenant,
        headers.ce_id,
        headers.ce_specversion,
        headers.ce_type,
        headers.ce_partitionkey,
        headers.ce_sequence
      ],
      ["acme", "1", "1.0", "room_closed", "blue", "17"]
    )
    assert.notProperty(headers, "ce_datacontenttype")
  })

  it("in structured mode the body is a JSON document, with the payload as it stands, or in base64", () => {
    const by = Wire.make(prefixes, { mode: (topic) => topic === "rooms" ? "structured" : "binary" })
    const documentOf = (given: Partial<Message.Message>) => {
      const packet = packetOf(message(given), by)
      assert.strictEqual(packet.contentType, "application/cloudevents+json; charset=UTF-8")
      return JSON.parse(new TextDecoder().decode(packet.body))
    }
    const document = documentOf({ id: "1", payload: json("{\"n\":1}") })
    assert.deepStrictEqual([document.id, document.specversion, document.data], ["1", "1.0", { n: 1 }])
    // what a parser would change goes as it is
    for (const text of ["{\"n\": 1}", "9007199254740993", "no JSON"]) {
      assert.strictEqual(Buffer.from(documentOf({ payload: json(text) }).data_base64, "base64").toString(), text)
    }
    assert.strictEqual(documentOf({ contentEncoding: "gzip", payload: json("1") }).data_base64, "MQ==")
    assert.strictEqual(packetOf(message({ topic: "others" }), by).contentType, "application/json")
  })

  it("names of the protocol's own are refused as headers, in any case, by name", () => {
    const by = Wire.make(["cloudEvents:", "cloudEvents_"])
    for (const name of ["cloudEvents:id", "cloudevents_x", "Content-Type", "content-encoding", "TraceParent"]) {
      const refusal = by.encode(message({ headers: { [name]: "x" } }))
      assert.isTrue(Either.isLeft(refusal) && refusal.left.includes(name), name)
    }
    assert.isTrue(Either.isRight(by.encode(message({ headers: { ce_id: "x", "my-content-type": "x" } }))))
  })

  it("a time that no date can have is refused with a sentence", () => {
    for (const time of [Number.NaN, Number.POSITIVE_INFINITY, 8.65e15]) {
      assert.match(Either.getOrThrow(Either.flip(wire.encode(message({ time })))), /time/)
    }
  })

  it("the trace context is read from the attribute, and else from the header of W3C", () => {
    const headers = { ce_id: "1", ce_type: "x", traceparent: "00-a-b-01" }
    assert.strictEqual(wire.decode(incoming({ headers })).message.traceparent, "00-a-b-01")
    const both = { ...headers, ce_traceparent: "00-c-d-01" }
    assert.strictEqual(wire.decode(incoming({ headers: both })).message.traceparent, "00-c-d-01")
    const body = json({ specversion: "1.0", id: "1", type: "x" })
    const structured = wire.decode(
      incoming({ headers: { traceparent: "00-a-b-01" }, contentType: structuredType, body })
    )
    assert.strictEqual(structured.message.traceparent, "00-a-b-01")
    assert.deepStrictEqual(structured.message.headers, {})
  })

  it("structured data is read whatever JSON value it is, and text where the content type says so", () => {
    const payloadOf = (rest: object) => {
      const body = json({ specversion: "1.0", id: "1", type: "x", extension: 7, nothing: null, flag: true, ...rest })
      const { message: back, unreadable } = wire.decode(incoming({ contentType: `${structuredType};charset=x`, body }))
      assert.strictEqual(unreadable, undefined)
      return Buffer.from(back.payload).toString()
    }
    assert.strictEqual(payloadOf({ data: { a: [1, null] } }), "{\"a\":[1,null]}")
    assert.strictEqual(payloadOf({ data: "text" }), "\"text\"")
    assert.strictEqual(payloadOf({ data: "text", datacontenttype: "text/plain" }), "text")
    assert.strictEqual(payloadOf({ data: "text", datacontenttype: "application/x+json" }), "\"text\"")
    assert.strictEqual(payloadOf({ data: null }), "null")
    assert.strictEqual(payloadOf({}), "")
    assert.strictEqual(payloadOf({ data_base64: "dGV4dA==" }), "text")
  })

  it("what cannot be read says why in a sentence", () => {
    const why = (packet: Partial<Wire.Packet>, given: Partial<Wire.Incoming> = {}) => {
      const { unreadable } = wire.decode(incoming(packet, given))
      return unreadable ?? assert.fail("it was read")
    }
    const structured = (value: unknown) => why({ contentType: structuredType, body: json(value) })
    assert.match(why({}), /has none of its headers/)
    assert.match(why({}, { isTombstone: true }), /tombstone/)
    assert.match(why({ headers: { ce_type: "x" } }), /id is missing/)
    assert.match(why({ headers: { ce_id: "1" } }), /type is missing/)
    assert.match(why({ headers: { ce_id: "1", ce_type: "x", ce_specversion: "0.3" } }), /another version/)
    assert.match(why({ headers: { ce_id: "1", ce_type: "x", ce_time: "now" } }), /time/)
    assert.match(why({ contentType: "application/cloudevents-batch+json", body: json([]) }), /send JSON/)
    for (const bad of ["{", "[]", "null", "1"]) assert.match(structured(bad), /no JSON object/)
    assert.match(why({ contentType: structuredType, body: Uint8Array.of(123, 255, 125) }), /no JSON object/)
    assert.match(structured({ id: "1", type: "x" }), /specversion/)
    assert.match(structured({ specversion: "1.0", id: {}, type: "x" }), /"id" is neither/)
    assert.match(structured({ specversion: "1.0", id: "1", type: "x", data: 1, data_base64: "" }), /beside data/)
    assert.match(structured({ specversion: "1.0", id: "1", type: "x", data_base64: 1 }), /data_base64/)
    assert.match(
      structured(`{"specversion":"1.0","id":"1","type":"x","data":${"[".repeat(200_000)}${"]".repeat(200_000)}}`),
      /cannot be read|no JSON object/
    )
  })

  it("an unreadable record is called by its own id, or else by its place", () => {
    assert.strictEqual(wire.decode(incoming({ headers: { ce_id: "1" } })).message.id, "1")
    assert.strictEqual(wire.decode(incoming({})).message.id, "rooms/0/1")
  })

  it("a topic's reader reads what is no CloudEvent, and only there; one that throws has not read it", () => {
    const by = Wire.make(prefixes, {
      readers: {
        legacy: ({ body, topic }) => Either.right(message({ id: "read", topic, payload: body })),
        picky: () => Either.left(new Message.MessageError({ reason: "Malformed", message: "not my kind of message" })),
        other: () => undefined,
        broken: () => {
          throw new Error("boom")
        }
      }
    })
    const read = (topic: string, packet: Partial<Wire.Packet> = {}) => by.decode(incoming(packet, { topic }))
    assert.deepStrictEqual([read("legacy").message.id, read("legacy").unreadable], ["read", undefined])
    assert.strictEqual(read("legacy", { headers: { ce_id: "1", ce_type: "x" } }).message.id, "1")
    assert.strictEqual(read("picky").unreadable, "not my kind of message")
    for (const topic of ["other", "rooms", "constructor", "toString", "__proto__"]) {
      assert.match(read(topic).unreadable!, /Not a CloudEvent/)
    }
    assert.match(read("broken").unreadable!, /cannot be read/)
  })

  it("names of attributes and of the protocol's headers are read in any case; one that is written as it should be wins", () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    const headers = {
      CE_ID: "1",
      Ce_Type: "x",
      CE_SpecVersion: "1.0",
      TraceParent: traceparent,
      "Content-Type": "x",
      Tenant: "a"
    }
    const { message: back, unreadable } = wire.decode(incoming({ headers }))
    assert.isUndefined(unreadable)
    assert.deepInclude(back, { id: "1", name: "x", traceparent })
    assert.deepStrictEqual(back.headers, { Tenant: "a" })
    const both = { CE_ID: "upper", ce_id: "1", ce_type: "x", CE_TYPE: "upper" }
    assert.deepInclude(wire.decode(incoming({ headers: both })).message, { id: "1", name: "x" })
    const amqp = Wire.make(["cloudEvents:", "cloudEvents_"])
    const { message: other } = amqp.decode(incoming({ headers: { "cloudevents:id": "1", "CLOUDEVENTS_type": "x" } }))
    assert.deepInclude(other, { id: "1", name: "x" })
  })

  it("a payload that is a CloudEvent itself is refused in binary mode, where it would be taken for the message", () => {
    for (const contentType of ["application/cloudevents+json; charset=utf-8", "Application/CloudEvents-Batch+json"]) {
      const refusal = wire.encode(message({ contentType }))
      assert.isTrue(Either.isLeft(refusal) && refusal.left.includes("structured"), contentType)
      const by = Wire.make(prefixes, { mode: "structured" })
      const given = message({ contentType, payload: json("{}") })
      assert.deepStrictEqual(by.decode(incoming(packetOf(given, by), { key: given.key })).message, given)
    }
  })

  it("a message without a time is of 1970, and one without a source of none", () => {
    const { message: back } = wire.decode(incoming({ headers: { ce_id: "1", ce_type: "x", ce_specversion: "1.0" } }))
    assert.deepInclude(back, { time: 0, source: "", kind: "notification", version: 1, correlationId: "1" })
  })

  it("what an extension or the state of a trace says stays as it came, or is left out, and disturbs nothing", () => {
    const { message: back, unreadable } = wire.decode(incoming({
      headers: { ce_id: "1", ce_type: "x", ce_subject: "s", ce_constructor: "c", ce___proto__: "p", tracestate: "a=b" }
    }))
    assert.isUndefined(unreadable)
    assert.deepStrictEqual(back.headers, { tracestate: "a=b" })
    assert.strictEqual(Object.getPrototypeOf(back.headers), Object.prototype)
    assert.isFalse("p" in {} || "c" in {})
  })
})
