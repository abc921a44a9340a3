import { Broker, Consumer, Event, Message, PythonCqrs, Serialization, Subscribers, Wire } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Layer, Schema, TestClock } from "effect"
import { message, quiet, RoomClosed, settled } from "./fixtures.ts"

class RoomState extends Event.ecst<RoomState>()("room_state", {
  topic: "rooms",
  payload: { room: Schema.String, n: Schema.Number, note: Schema.NullOr(Schema.String) }
}) {}

const Mixed = Serialization.layer({ codecs: { rooms: PythonCqrs.codec } })

const id = "b3f1c6de-6a3e-4f43-9a55-1f0d7cf00a11"

const record = (given: Record<string, unknown> = {}) => ({
  event_id: id,
  event_name: "room_closed",
  event_type: "notification_event",
  event_topic: "rooms",
  event_timestamp: "2024-08-23T12:30:00.123456",
  payload: { room: "blue", n: 1 },
  ...given
})

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))

const incoming = (value: unknown, given: Partial<Wire.Incoming> = {}): Wire.Incoming => ({
  topic: "rooms",
  key: "blue",
  place: "rooms/0/1",
  isTombstone: false,
  headers: { tenant: "acme" },
  contentType: undefined,
  contentEncoding: undefined,
  body: bytes(value),
  ...given
})

const wire = Wire.make(["ce_"], { readers: { rooms: PythonCqrs.reader } })

describe("PythonCqrs", () => {
  it.effect("an event that is announced with its codec is the Python library's JSON", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678))
      const written = yield* Serialization.encode(new RoomClosed({ room: "blue", n: 1 }))
      assert.strictEqual(
        new TextDecoder().decode(written.payload),
        `{"event_id":"${written.id}","event_name":"room_closed","event_type":"notification_event",` +
          "\"event_topic\":\"rooms\",\"topic\":\"rooms\",\"event_timestamp\":\"2026-01-02T03:04:05.678\",\"payload\":{\"room\":\"blue\",\"n\":1}}"
      )
      const state = yield* Serialization.encode(new RoomState({ room: "blue", n: 1, note: null }))
      assert.strictEqual(JSON.parse(new TextDecoder().decode(state.payload)).event_type, "ecst_event")
    }).pipe(Effect.provide(Mixed)))

  it.effect.prop(
    "what was written is read again, with headers and without",
    { room: Schema.String, n: Schema.Int, note: Schema.NullOr(Schema.String) },
    (fields) =>
      Effect.gen(function*() {
        const event = new RoomState(fields)
        const written = yield* Serialization.encode(event)
        assert.deepStrictEqual(yield* Serialization.decode(RoomState, written), event)
        const bare = wire.decode(incoming(new TextDecoder().decode(written.payload)))
        assert.isUndefined(bare.unreadable)
        assert.deepInclude(bare.message, { id: written.id, name: "room_state", kind: "ecst", time: written.time })
        assert.deepStrictEqual(yield* Serialization.decode(RoomState, bare.message), event)
      }).pipe(Effect.provide(Mixed))
  )

  it.effect("for versions before 1.0 the record is in an envelope, which says its kind; either codec decodes it", () =>
    Effect.gen(function*() {
      const envelope = message({ id, kind: "ecst", name: "room_state" })
      const payload = { room: "blue", n: 1, note: null }
      const written = yield* PythonCqrs.codecBefore1.encode(payload, envelope)
      const { payload: inner, ...outer } = JSON.parse(new TextDecoder().decode(written))
      assert.deepStrictEqual(outer, { message_type: "ecst_event", message_name: "room_state", message_id: id })
      assert.deepInclude(inner, { event_id: id, event_name: "room_state" })
      for (const codec of [PythonCqrs.codec, PythonCqrs.codecBefore1]) {
        assert.deepStrictEqual(yield* codec.decode(written, envelope), payload)
        assert.deepStrictEqual(
          yield* codec.decode(yield* PythonCqrs.codec.encode(payload, envelope), envelope),
          payload
        )
      }
      const { message: back } = wire.decode(incoming("", { body: written }))
      assert.deepInclude(back, { id, name: "room_state", kind: "ecst" })
    }))

  it("a record of any version is a message", () => {
    const read = (value: unknown) => wire.decode(incoming(value))
    const time = Date.UTC(2024, 7, 23, 12, 30, 0, 123)
    assert.deepInclude(read(record()).message, {
      id,
      name: "room_closed",
      kind: "notification",
      key: "blue",
      time,
      correlationId: id,
      contentType: PythonCqrs.codec.contentType
    })
    assert.strictEqual(read(record()).message.headers.tenant, "acme")
    const { event_timestamp: _timestamp, event_topic: _topic, event_type: _type, ...least } = record()
    for (
      const [value, expected] of [
        [record({ event_type: "ecst_event" }), { kind: "ecst" }],
        [record({ event_timestamp: "2024-08-23 12:30:00" }), { time: time - 123 }],
        [record({ event_timestamp: "2024-08-23T14:30:00.123456+02:00" }), { time }],
        [record({ event_id: id.replaceAll("-", "") }), { id: id.replaceAll("-", "") }],
        [least, { kind: "notification", time: 0 }],
        // 0.0.3: the kind is the envelope's, whose name may be that of a base class
        [
          { message_type: "ecst_event", message_name: "ECSTEvent", message_id: id, payload: least },
          { id, name: "room_closed", kind: "ecst" }
        ],
        // 4.x: a bare record, of a pydantic model or of a dataclass
        [{ ...least, event_timestamp: _timestamp, topic: "rooms" }, {
          name: "room_closed",
          kind: "notification",
          time
        }],
        [
          {
            eventId: id.replaceAll("-", ""),
            eventName: "room_closed",
            eventTimestamp: _timestamp,
            topic: "rooms",
            payload: { room: "blue", n: 1 }
          },
          { id: id.replaceAll("-", ""), name: "room_closed", time }
        ]
      ] as const
    ) {
      const { message, unreadable } = read(value)
      assert.isUndefined(unreadable)
      assert.deepInclude(message, expected)
    }
  })

  it("what is no such record is unreadable, with a sentence", () => {
    for (
      const value of [
        "{",
        "[]",
        "null",
        {},
        record({ event_id: "1" }),
        record({ event_name: "" }),
        record({ event_type: "other" }),
        record({ event_timestamp: "yesterday" }),
        record({ event_timestamp: 5 })
      ]
    ) assert.isString(wire.decode(incoming(value)).unreadable)
    assert.isUndefined(PythonCqrs.reader(incoming("", { isTombstone: true })))
    assert.isUndefined(PythonCqrs.reader(incoming(record(), { contentEncoding: "gzip" })))
  })

  it.effect("an id that a Python program could not read is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(PythonCqrs.codec.encode({}, message({ id: "no-uuid" })))
      assert.strictEqual(error.reason, "Unencodable")
      assert.strictEqual((yield* Effect.flip(PythonCqrs.codec.encode(1n, message({ id })))).reason, "Unencodable")
      assert.strictEqual((yield* Effect.flip(PythonCqrs.codec.decode(bytes("{}"), message()))).reason, "Undecodable")
    }))

  it.scoped("a Python program's record reaches a typed handler", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [string, number, string]> = []
      const broker = yield* Broker.Broker
      yield* Layer.build(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(Subscribers.layer(RoomClosed, {
            see: (event) =>
              Effect.map(Message.Received, ({ id }) => {
                seen.push([event.room, event.n, id])
              })
          })),
          Layer.provide(Mixed)
        )
      )
      yield* broker.publish([Either.getOrThrow(PythonCqrs.reader(incoming(record()))!)])
      yield* settled
      assert.deepStrictEqual(seen, [["blue", 1, id]])
    }).pipe(Effect.provide(Layer.merge(Broker.layerMemory(), quiet))))
})
