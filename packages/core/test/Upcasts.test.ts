import { Broker, Consumer, Event, type Message, PythonCqrs, Serialization, Subscribers, Wire } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Either, Layer, Schema } from "effect"
import { message, quiet, settled } from "./fixtures.ts"

// what three programs of three years announce under one name

class Opened1 extends Event.notification<Opened1>()("opened", {
  topic: "rooms",
  payload: { room: Schema.String, at: Schema.Date }
}) {}

class Opened2 extends Event.notification<Opened2>()("opened", {
  topic: "rooms",
  payload: { room: Schema.String, at: Schema.Date, seats: Schema.Int },
  version: 2
}) {}

const Seats = Schema.Int.pipe(Schema.between(0, 100), Schema.brand("Seats"))

class Opened extends Event.notification<Opened>()("opened", {
  topic: "rooms",
  payload: {
    roomId: Schema.String,
    at: Schema.Date,
    seats: Seats,
    note: Schema.optional(Schema.String)
  },
  key: (event) => event.roomId,
  version: 3,
  upcasts: {
    1: { payload: { room: Schema.String, at: Schema.Date }, to: (old) => ({ ...old, seats: 8 }) },
    2: {
      payload: { room: Schema.String, at: Schema.Date, seats: Schema.Int },
      // a branded value that nobody has checked: what a step makes is validated
      to: ({ at, room, seats }) => ({ roomId: room, at, seats: Seats.make(seats, true) })
    }
  }
}) {}

/** Reads from version 2 on: what was version 1 is given up. */
class Late extends Event.notification<Late>()("opened", {
  topic: "rooms",
  payload: { room: Schema.String },
  version: 3,
  upcasts: { 2: { payload: { room: Schema.String }, to: (old) => old } }
}) {}

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

const opened = (version: number, payload: unknown, given: Partial<Message.Message> = {}) =>
  message({ name: "opened", version, payload: bytes(payload), ...given })

const at = "2026-01-02T03:04:05.000Z"

const refusal = (of: Event.ClassOf<Event.Integration>, one: Message.Message) =>
  Effect.map(Effect.flip(Serialization.decode(of, one)), ({ message, reason }) => {
    assert.notInclude(message, "secret")
    return { message, reason }
  })

class Linked extends Event.notification<Linked>()("linked", {
  topic: "rooms",
  payload: {
    to: Schema.transform(Schema.String, Schema.instanceOf(URL), {
      decode: (text) => new URL(text), // throws
      encode: String
    })
  }
}) {}

describe("a message that makes something of the user's throw is Undecodable, and the sentence holds nothing of it", () => {
  it.effect("the schema", () =>
    Effect.gen(function*() {
      const one = message({ name: "linked", payload: bytes({ to: "secret" }) })
      assert.deepStrictEqual(yield* refusal(Linked, one), {
        reason: "Undecodable",
        message: "The schema of linked threw"
      })
    }))

  for (
    const [how, decode] of [
      ["at once", () => {
        throw new Error("secret")
      }],
      ["later", () => Effect.die(new Error("secret"))]
    ] as const
  ) {
    it.effect(`the codec, ${how}`, () =>
      Effect.gen(function*() {
        const one = message({ name: "linked", contentType: "text/plain", payload: bytes({ to: "secret" }) })
        assert.deepStrictEqual(yield* refusal(Linked, one), {
          reason: "Undecodable",
          message: "The codec or the compressor threw as it read linked"
        })
      }).pipe(
        Effect.provide(
          Serialization.layer({ codec: { contentType: "text/plain", encode: () => Effect.never, decode } })
        )
      ))
  }
})

describe("an older message", () => {
  it.effect.prop(
    "that was written by the older class is what each step has made of it",
    [Arbitrary.make(Opened1), Schema.Int.pipe(Schema.between(0, 100))],
    ([old, seats]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* Effect.flatMap(Serialization.encode(old), (one) => Serialization.decode(Opened, one)),
          new Opened({ roomId: old.room, at: old.at, seats: Seats.make(8) })
        )
        const newer = new Opened2({ ...old, seats })
        assert.deepStrictEqual(
          yield* Effect.flatMap(Serialization.encode(newer), (one) => Serialization.decode(Opened, one)),
          new Opened({ roomId: old.room, at: old.at, seats: Seats.make(seats) })
        )
      }),
    { fastCheck: { numRuns: 20 } }
  )

  it.effect("is an instance of today's class, and what is announced has today's version", () =>
    Effect.gen(function*() {
      const event = yield* Serialization.decode(Opened, opened(1, { room: "blue", at }))
      assert.instanceOf(event, Opened)
      const written = yield* Serialization.encode(event)
      assert.strictEqual(written.version, 3)
      assert.deepStrictEqual(JSON.parse(new TextDecoder().decode(written.payload)), { roomId: "blue", at, seats: 8 })
    }))

  it.effect("in structured mode, and one that says no version, which is version 1, are read as well", () =>
    Effect.gen(function*() {
      const wire = Wire.make(["ce_"], { mode: "structured" })
      const packet = Either.getOrThrow(wire.encode(opened(2, { room: "blue", at, seats: 3 })))
      const incoming = { topic: "rooms", key: "blue", place: "rooms/0/1", isTombstone: false }
      const structured = wire.decode({ ...packet, ...incoming })
      assert.deepStrictEqual(
        yield* Serialization.decode(Opened, structured.message),
        new Opened({ roomId: "blue", at: new Date(at), seats: Seats.make(3) })
      )
      const foreign = wire.decode({
        ...incoming,
        headers: { ce_specversion: "1.0", ce_id: "1", ce_type: "opened", ce_source: "/elsewhere" },
        contentType: "application/json",
        contentEncoding: undefined,
        body: bytes({ room: "blue", at })
      })
      assert.strictEqual((yield* Serialization.decode(Opened, foreign.message)).seats, 8)
    }))

  it.effect("of a Python program is read as version 1, which that program does not say", () =>
    Effect.gen(function*() {
      const wire = Wire.make(["ce_"], { readers: { rooms: PythonCqrs.reader } })
      const { message } = wire.decode({
        topic: "rooms",
        key: "blue",
        place: "rooms/0/1",
        isTombstone: false,
        headers: {},
        contentType: undefined,
        contentEncoding: undefined,
        body: bytes({
          event_id: "b3f1c6de-6a3e-4f43-9a55-1f0d7cf00a11",
          event_name: "opened",
          event_timestamp: at,
          payload: { room: "blue", at }
        })
      })
      assert.deepStrictEqual(
        yield* Serialization.decode(Opened, message),
        new Opened({ roomId: "blue", at: new Date(at), seats: Seats.make(8) })
      )
    }).pipe(Effect.provide(Serialization.layer({ codecs: { rooms: PythonCqrs.codec } }))))

  it.effect("that does not fit its own version is Undecodable, and the sentence says where and not what", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* refusal(Opened, opened(2, { room: "secret", at, seats: "secret" })), {
        reason: "Undecodable",
        message: "The payload does not fit version 2 of opened: Type at seats"
      })
    }))

  it.effect("that a step makes something of that does not fit the next version is Undecodable", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* refusal(Opened, opened(2, { room: "secret", at, seats: 101 })), {
        reason: "Undecodable",
        message: "The upcast of opened from version 2 to 3 makes what does not fit: Refinement at seats"
      })
    }))

  it.effect("whose step throws is Undecodable, without the text of what was thrown", () =>
    Effect.gen(function*() {
      class Thrown extends Event.notification<Thrown>()("opened", {
        topic: "rooms",
        payload: {},
        version: 2,
        upcasts: {
          1: {
            payload: { room: Schema.String },
            to: ({ room }) => {
              throw new Error(room)
            }
          }
        }
      }) {}
      assert.deepStrictEqual(yield* refusal(Thrown, opened(1, { room: "secret" })), {
        reason: "Undecodable",
        message: "The upcast of opened from version 1 to 2 threw"
      })
    }))

  it.effect("of a version before those that are read is an UnknownVersion, even if it would fit", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* refusal(Late, opened(1, { room: "secret" })), {
        reason: "UnknownVersion",
        message:
          "The message has version 1 of opened, and versions 2 to 3 are read here: declare an upcast from version 1"
      })
    }))

  it.effect("of an event without upcasts is read as today's if it fits", () =>
    Effect.gen(function*() {
      const event = yield* Serialization.decode(Opened2, opened(1, { room: "blue", at, seats: 3 }))
      assert.strictEqual(event.seats, 3)
      assert.deepStrictEqual(yield* refusal(Opened2, opened(1, { room: "secret", at })), {
        reason: "Undecodable",
        message: "The payload, of version 1, does not fit opened as it is here, in version 2: Missing at seats"
      })
    }))
})

describe("a newer message", () => {
  it.effect("is read as today's if it fits, without what it has beside", () =>
    Effect.gen(function*() {
      const event = yield* Serialization.decode(Opened, opened(4, { roomId: "blue", at, seats: 3, floor: 1 }))
      assert.deepStrictEqual(event, new Opened({ roomId: "blue", at: new Date(at), seats: Seats.make(3) }))
    }))

  it.effect("that does not fit is Undecodable, and the sentence names both versions", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* refusal(Opened, opened(4, { roomId: "secret", at })), {
        reason: "Undecodable",
        message: "The payload, of version 4, does not fit opened as it is here, in version 3: Missing at seats"
      })
    }))
})

it.effect("a consumer handles messages of all versions that it reads, and the others are its dead letters", () =>
  Effect.scoped(Effect.gen(function*() {
    const broker = yield* Broker.Broker
    const handled: Array<string> = []
    yield* Layer.build(
      Consumer.layer({ subscription: { group: "g" }, events: [Opened] }).pipe(
        Layer.provide(Subscribers.layer(Opened, {
          h: ({ roomId, seats }) => Effect.sync(() => void handled.push(`${roomId} ${seats}`))
        }))
      )
    )
    yield* broker.publish([
      opened(1, { room: "one", at }),
      opened(2, { room: "two", at, seats: 2 }),
      opened(3, { roomId: "three", at, seats: 3 }),
      opened(4, { room: "four" }),
      opened(1, {})
    ])
    yield* settled
    assert.deepStrictEqual(handled, ["one 8", "two 2", "three 3"])
    const reasons: Array<string> = []
    yield* broker.sift({ topic: "g.dead-letters", group: "g.dead-letters" }, ({ message }) => {
      reasons.push(`${message.version}: ${message.headers[Consumer.deadLetterHeaders.reason]}`)
      return Effect.succeed("kept")
    })
    assert.deepStrictEqual(reasons, [
      "4: The payload, of version 4, does not fit opened as it is here, in version 3: Missing at roomId",
      "1: The payload does not fit version 1 of opened: Missing at room"
    ])
  })).pipe(Effect.provide(Layer.merge(Broker.layerMemory(), quiet))))

describe("a declaration", () => {
  const declared = (version: number, upcasts: Readonly<Record<string, unknown>>) => () =>
    Event.notification<object>()("opened", { topic: "rooms", version, upcasts: upcasts as never })
  const step = { payload: {}, to: () => ({}) }

  it("shows the older versions that are read, from the oldest on", () => {
    assert.deepStrictEqual(Opened.upcasts.map(({ version }) => version), [1, 2])
    assert.sameMembers(Object.keys(Opened.upcasts[1]!.payload), ["room", "at", "seats"])
    assert.deepStrictEqual(Opened1.upcasts, [])
  })

  it("with a step that leads nowhere throws a sentence", () => {
    assert.throws(declared(4, { 1: step, 3: step }), /Nothing leads from version 2 of the event opened to version 4/)
    assert.throws(declared(3, { 1: step }), /Nothing leads from version 2/)
    assert.throws(declared(1, { 1: step }), /Nothing leads from version 2/)
    assert.throws(declared(2, { 0: step, 1: step }), /versions are whole numbers from 1/)
    assert.throws(declared(2, { first: step }), /upcast from version NaN/)
  })
})
