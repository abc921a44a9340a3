import { Codec, Compressor, Event, Serialization } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, FastCheck as fc, Schema } from "effect"
import { message, Noticed, RoomClosed, RoomOpened } from "./fixtures.ts"

class Everything extends Event.ecst<Everything>()("everything", {
  topic: "everything",
  payload: {
    text: Schema.String,
    when: Schema.Date,
    big: Schema.BigInt,
    bytes: Schema.Uint8ArrayFromBase64,
    list: Schema.Array(Schema.Struct({ n: Schema.Int })),
    maybe: Schema.optionalWith(Schema.String, { exact: true }),
    option: Schema.Option(Schema.Int)
  }
}) {}

const configured = <A, E, R>(effect: Effect.Effect<A, E, R>, options: Serialization.Options) =>
  Effect.provide(effect, Serialization.layer(options))
const encode = (event: RoomClosed | RoomOpened | Noticed, options: Serialization.Options = {}) =>
  configured(Serialization.encode(event), options)
const text = (length: number) => new Noticed({ text: "a".repeat(length) })

/** Writes JSON of a shape of its own, under JSON's own media type. */
const wrapped: Codec.Codec = {
  contentType: "application/json",
  encode: (payload, envelope) => Codec.json.encode({ event_name: envelope.name, payload }, envelope),
  decode: (bytes, envelope) =>
    Effect.map(Codec.json.decode(bytes, envelope), (value) => (value as { readonly payload: unknown }).payload)
}

describe("encode and decode", () => {
  for (const compressor of Compressor.defaults) {
    it.effect.prop(
      `give back the event, whatever it carries, with ${compressor.encoding}`,
      [Arbitrary.make(Everything)],
      ([event]) =>
        configured(
          Effect.gen(function*() {
            const back = yield* Effect.flatMap(Serialization.encode(event), (one) =>
              Serialization.decode(Everything, one))
            assert.instanceOf(back, Everything)
            assert.deepStrictEqual(back, event)
          }),
          { compressor, compressFrom: 0 }
        ),
      { fastCheck: { numRuns: 20 } }
    )
  }

  it.effect("write a message with all that is known of the event", () =>
    Effect.gen(function*() {
      const { correlationId, id, payload, ...rest } = yield* encode(new RoomOpened({ room: "blue", n: 1 }), {
        source: "/rooms"
      })
      assert.strictEqual(correlationId, id)
      assert.deepStrictEqual(JSON.parse(new TextDecoder().decode(payload)), { room: "blue", n: 1 })
      assert.deepStrictEqual(rest, {
        name: "room_opened",
        kind: "ecst",
        version: 3,
        topic: "openings",
        key: "blue",
        source: "/rooms",
        time: 0,
        causationId: undefined,
        traceparent: undefined,
        sequence: undefined,
        contentType: "application/json",
        contentEncoding: "identity",
        headers: {}
      })
    }))

  it.effect("two messages of one event have two ids", () =>
    Effect.gen(function*() {
      const event = new RoomClosed({ room: "blue", n: 1 })
      assert.notStrictEqual((yield* encode(event)).id, (yield* encode(event)).id)
    }))

  it.effect("an event without a key has none", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* encode(text(1))).key)
    }))

  it.effect("small payloads are not compressed, and can be read whatever compressors were given", () =>
    Effect.gen(function*() {
      const options = { compressor: Compressor.gzip(), compressors: [Compressor.gzip()] }
      const small = yield* encode(text(10), options)
      const large = yield* encode(text(5000), options)
      assert.deepStrictEqual([small.contentEncoding, large.contentEncoding], ["identity", "gzip"])
      assert.isBelow(large.payload.length, 1000)
      for (const one of [small, large]) yield* configured(Serialization.decode(Noticed, one), options)
    }))

  it.effect("what was written with one compressor is read by a program that writes with another", () =>
    Effect.gen(function*() {
      const written = yield* encode(text(5000), { compressor: Compressor.brotli() })
      const event = yield* configured(Serialization.decode(Noticed, written), { compressor: Compressor.gzip() })
      assert.strictEqual(event.text.length, 5000)
    }))

  it.effect("a codec of the program's own is used for both directions, even under JSON's media type", () =>
    Effect.gen(function*() {
      for (const options of [{ codec: wrapped }, { codecs: { rooms: wrapped } }]) {
        const written = yield* encode(new RoomClosed({ room: "blue", n: 1 }), options)
        assert.include(new TextDecoder().decode(written.payload), "event_name")
        const event = yield* configured(Serialization.decode(RoomClosed, written), options)
        assert.deepStrictEqual(event, new RoomClosed({ room: "blue", n: 1 }))
      }
    }))

  it.effect("a codec of one topic is not used for another", () =>
    Effect.gen(function*() {
      const written = yield* encode(new RoomOpened({ room: "blue", n: 1 }), { codecs: { rooms: wrapped } })
      assert.notInclude(new TextDecoder().decode(written.payload), "event_name")
    }))

  it.effect("parameters and case of the media type do not matter", () =>
    Serialization.decode(RoomClosed, message({ contentType: "Application/JSON; charset=utf-8" })))
})

describe("bad input", () => {
  class Seats extends Event.notification<Seats>()("seats", {
    topic: "rooms",
    payload: {
      seats: Schema.Record({ key: Schema.String, value: Schema.Int }),
      rows: Schema.Array(Schema.Struct({ n: Schema.Int }))
    }
  }) {}

  it.effect("is told by the event's own field, and never by a key that is data", () =>
    Effect.gen(function*() {
      const value = { seats: { "ada@example.org": 1.5, "grace@example.org": 2.5 }, rows: [{ n: 1 }] }
      const encoded = yield* Effect.flip(Serialization.encode(new Seats(value, true)))
      assert.strictEqual(encoded.message, "seats does not fit its schema: Refinement at seats.…")
      const decode = (payload: unknown) =>
        Effect.flip(Serialization.decode(
          Seats,
          message({ name: "seats", payload: new TextEncoder().encode(JSON.stringify(payload)) })
        ))
      for (const error of [yield* decode(value), yield* decode({ seats: { "ada@example.org": "x" }, rows: [] })]) {
        assert.include(error.message, " at seats.…")
        assert.notInclude(error.message, "ada")
      }
      assert.include((yield* decode({ ...value, seats: {}, rows: [{ n: "x" }] })).message, " at rows.…")
      assert.include((yield* decode({ rows: [] })).message, "Missing at seats")
    }))

  const failing = (effect: Effect.Effect<unknown, Serialization.SerializationError>) =>
    Effect.map(Effect.flip(effect), (error) => {
      assert.instanceOf(error, Serialization.SerializationError)
      assert.notInclude(error.message, "secret")
      return error
    })
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

  it.effect("an event that does not fit its schema is Invalid, and the error says where and not what", () =>
    Effect.gen(function*() {
      const wrong = new RoomClosed({ room: "secret", n: "secret" as unknown as number }, { disableValidation: true })
      const error = yield* failing(encode(wrong))
      assert.strictEqual(error.reason, "Invalid")
      assert.include(error.message, "at n")
    }))

  it.effect("an event whose key cannot be computed, or is not a string, is Invalid", () =>
    Effect.gen(function*() {
      for (
        const key of [() => {
          throw new Error("secret")
        }, () => 17 as unknown as string]
      ) {
        class Odd extends Event.notification<Odd>()("odd", { topic: "odd", payload: {}, key }) {}
        const error = yield* failing(Serialization.encode(new Odd()))
        assert.strictEqual(error.reason, "Invalid")
        assert.include(error.message, "odd")
      }
    }))

  it.effect("an event without a form in its codec is Invalid", () => {
    class Odd extends Event.notification<Odd>()("odd", { topic: "odd", payload: { n: Schema.BigIntFromSelf } }) {}
    return Effect.gen(function*() {
      const error = yield* failing(Serialization.encode(new Odd({ n: 1n })))
      assert.strictEqual(error.reason, "Invalid")
    })
  })

  it.effect("a payload over the limit is TooLarge, exactly, and says what to do", () =>
    Effect.gen(function*() {
      const size = (yield* encode(text(100))).payload.length
      yield* encode(text(100), { maxPayloadBytes: size })
      const error = yield* failing(encode(text(100), { maxPayloadBytes: size - 1 }))
      assert.strictEqual(error.reason, "TooLarge")
      assert.include(error.message, "maxPayloadBytes")
    }))

  it.effect("the limit is for the payload as it is stored", () =>
    encode(text(100_000), { maxPayloadBytes: 1000, compressor: Compressor.gzip() }))

  it.effect("a payload that grows beyond the limit when it is decompressed is TooLarge", () =>
    Effect.gen(function*() {
      const written = yield* encode(text(100_000), { compressor: Compressor.gzip() })
      const error = yield* failing(
        configured(Serialization.decode(Noticed, written), { maxDecompressedBytes: 10_000 })
      )
      assert.strictEqual(error.reason, "TooLarge")
      assert.include(error.message, "maxDecompressedBytes")
    }))

  for (
    const [given, reason, says] of [
      [{ payload: json({ room: "secret", n: "secret" }) }, "Undecodable", "at n"],
      [{ payload: json({ n: 1 }) }, "Undecodable", "at room"],
      [{ payload: json(null) }, "Undecodable", "at the top"],
      [{ payload: new TextEncoder().encode("{secret") }, "Undecodable", "JSON"],
      [{ payload: new TextEncoder().encode("secret"), contentEncoding: "gzip" }, "Undecodable", "gzip"],
      [{ contentEncoding: "lzma" }, "UnknownEncoding", "lzma"],
      [{ contentType: "application/avro" }, "UnknownContentType", "application/avro"]
    ] as const
  ) {
    it.effect(`${reason}: the error says ${says}, and nothing of the payload`, () =>
      Effect.gen(function*() {
        const error = yield* failing(Serialization.decode(RoomClosed, message(given)))
        assert.strictEqual(error.reason, reason)
        assert.include(error.message, says)
      }))
  }

  it.effect.prop(
    "whatever the payload is, decoding it never dies",
    [
      fc.oneof(fc.uint8Array(), fc.json().map((one) => new TextEncoder().encode(one))),
      fc.constantFrom(
        "identity",
        "gzip",
        "zlib",
        "brotli"
      )
    ],
    ([payload, contentEncoding]) =>
      Effect.map(
        Effect.either(Serialization.decode(RoomClosed, message({ payload, contentEncoding }))),
        () => undefined
      ),
    { fastCheck: { numRuns: 100 } }
  )
})
