import { Broker, Event, Serialization } from "@effect-cqrs/core"
import { Context, Effect, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { describe, expect, it } from "tstyche"
import { RoomClosed, roomClosed, roomState, UserJoined, userJoined } from "./meetings.ts"

describe("an event", () => {
  it("is made of its payload and has its name and kind", () => {
    expect(UserJoined).type.toBeConstructableWith({ meetingId: "standup", userId: "ada" })
    expect(userJoined.userId).type.toBe<string>()
    expect(UserJoined.eventName).type.toBe<"UserJoined">()
    expect(UserJoined.kind).type.toBe<"domain">()
    expect(RoomClosed.eventName).type.toBe<"meeting_room_closed">()
    expect(RoomClosed.kind).type.toBe<"notification">()
    expect(RoomClosed.topic).type.toBe<"meeting_room_notifications">()
    // @ts-expect-error 'room' does not exist in type '{ readonly roomId: string; }'
    new RoomClosed({ room: "blue" })
    // @ts-expect-error Property 'userId' is missing
    new UserJoined({ meetingId: "standup" })
  })

  it("is decoded to an instance", () => {
    expect(Schema.decodeUnknown(RoomClosed)({})).type.toBe<Effect.Effect<RoomClosed, ParseError>>()
  })

  it("has its key computed from its payload", () => {
    class Moved extends Event.ecst<Moved>()("moved", {
      topic: "moves",
      payload: { from: Schema.String, floor: Schema.Number },
      key: (event) => {
        expect(event.from).type.toBe<string>()
        expect(event.floor).type.toBe<number>()
        return event.from
      }
    }) {}
    expect(Moved.partitionKey(new Moved({ from: "", floor: 1 }))).type.toBe<string | undefined>()
    class _Wrong extends Event.ecst<_Wrong>()("wrong", {
      topic: "moves",
      payload: { floor: Schema.Number },
      // @ts-expect-error Type 'number' is not assignable to type 'string'
      key: (event) => event.floor
    }) {}
    void _Wrong
    class _Missing extends Event.notification<_Missing>()("missing", {
      topic: "moves",
      payload: { floor: Schema.Number },
      // @ts-expect-error Property 'flor' does not exist on type '{ readonly floor: number; }'
      key: (event) => String(event.flor)
    }) {}
    void _Missing
  })

  it("has a key lock only if it has a key", () => {
    class Moved extends Event.ecst<Moved>()("moved", {
      topic: "moves",
      payload: { floor: Schema.Number },
      key: (event) => String(event.floor),
      keyLock: true
    }) {}
    expect(Moved.keyLock).type.toBe<boolean>()
    class Keyless extends Event.notification<Keyless>()("keyless", { topic: "moves", keyLock: false }) {}
    expect(Keyless.keyLock).type.toBe<boolean>()
    // @ts-expect-error Property 'key' is missing in type
    class _Locked extends Event.notification<_Locked>()("locked", { topic: "moves", keyLock: true }) {}
  })

  it("needs a topic if it leaves the process", () => {
    // @ts-expect-error Property 'topic' is missing in type '{ payload: {}; }' but required in type
    class _Homeless extends Event.notification<_Homeless>()("homeless", { payload: {} }) {}
  })

  it("needs the Self type, which a message asks for", () => {
    // @ts-expect-error Missing `Self` generic - use `class Self extends Event.domain<Self>()
    class _Domain extends Event.domain()("Forgotten") {}
    // @ts-expect-error Missing `Self` generic - use `class Self extends Event.notification<Self>()
    class _Notification extends Event.notification()("forgotten", { topic: "t" }) {}
    // @ts-expect-error Missing `Self` generic - use `class Self extends Event.ecst<Self>()
    class _Ecst extends Event.ecst()("forgotten", { topic: "t" }) {}
  })

  it("has a schema without services, by its name", () => {
    class Vault extends Context.Tag("Vault")<Vault, string>() {}
    const Secret = Schema.transformOrFail(Schema.String, Schema.String, {
      strict: true,
      decode: (text) => Effect.as(Vault, text),
      encode: Effect.succeed
    })
    // @ts-expect-error "The schema of Leaked asks for services: an event must be readable wherever it arrives"
    class _Leaked extends Event.domain<_Leaked>()("Leaked", { secret: Secret }) {}
    // @ts-expect-error "The schema of leaked asks for services: an event must be readable wherever it arrives"
    class _Sent extends Event.notification<_Sent>()("leaked", { topic: "t", payload: { secret: Secret } }) {}
    // @ts-expect-error "The schema of leaked_state asks for services: an event must be readable wherever it arrives"
    class _State extends Event.ecst<_State>()("leaked_state", { topic: "t", payload: { secret: Secret } }) {}
  })
})

describe("an upcast", () => {
  const v1 = { room: Schema.String }
  const v2 = { room: Schema.String, seats: Schema.Number }
  const today = { roomId: Schema.String, seats: Schema.Number }

  it("is given what its version had, and makes what the next one has", () => {
    class Opened extends Event.ecst<Opened>()("opened", {
      topic: "rooms",
      payload: today,
      key: (event) => event.roomId,
      version: 3,
      upcasts: {
        1: {
          payload: v1,
          to: (old) => {
            expect(old).type.toBe<{ readonly room: string }>()
            return { ...old, seats: 0 }
          }
        },
        2: {
          payload: v2,
          to: (old) => {
            expect(old.seats).type.toBe<number>()
            return { roomId: old.room, seats: old.seats }
          }
        }
      }
    }) {}
    expect(Opened).type.toBeConstructableWith({ roomId: "blue", seats: 1 })
    expect(Opened.version).type.toBe<number>()
  })

  it("that makes a wrong field, or leaves one out, does not compile", () => {
    class _Wrong extends Event.ecst<_Wrong>()("opened", {
      topic: "rooms",
      payload: today,
      version: 3,
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      upcasts: {
        1: { payload: v1, to: (old) => ({ ...old, seats: old.room }) },
        2: { payload: v2, to: (old) => ({ roomId: old.room, seats: old.seats }) }
      }
    }) {}
    void _Wrong
    class _Less extends Event.ecst<_Less>()("opened", {
      topic: "rooms",
      payload: today,
      version: 2,
      // @ts-expect-error Property 'roomId' is missing
      upcasts: { 1: { payload: v1, to: () => ({ seats: 0 }) } }
    }) {}
    void _Less
    class _Unknown extends Event.ecst<_Unknown>()("opened", {
      topic: "rooms",
      payload: today,
      version: 2,
      // @ts-expect-error Property 'seats' does not exist on type
      upcasts: { 1: { payload: v1, to: (old) => ({ roomId: old.room, seats: old.seats }) } }
    }) {}
    void _Unknown
  })

  it("is not left out of the middle, nor at the end, nor beyond today's version", () => {
    // @ts-expect-error "Nothing leads from version 2 of opened to version 4: each upcast makes the version after its own"
    class _Middle extends Event.ecst<_Middle>()("opened", {
      topic: "rooms",
      payload: today,
      version: 4,
      upcasts: {
        1: { payload: v1, to: () => ({ roomId: "", seats: 0 }) },
        3: { payload: v2, to: () => ({ roomId: "", seats: 0 }) }
      }
    }) {}
    // @ts-expect-error "Nothing leads from version 2 of opened to version 3: each upcast makes the version after its own"
    class _End extends Event.ecst<_End>()("opened", {
      topic: "rooms",
      payload: today,
      version: 3,
      upcasts: { 1: { payload: v1, to: () => ({ roomId: "", seats: 0 }) } }
    }) {}
    // @ts-expect-error "Nothing leads from version 2 of opened to version 1: each upcast makes the version after its own"
    class _Forgotten extends Event.ecst<_Forgotten>()("opened", {
      topic: "rooms",
      payload: today,
      upcasts: { 1: { payload: v1, to: () => ({ roomId: "", seats: 0 }) } }
    }) {}
  })

  it("reads what asks for no services", () => {
    class Vault extends Context.Tag("Vault")<Vault, string>() {}
    const Secret = Schema.transformOrFail(Schema.String, Schema.String, {
      strict: true,
      decode: (text) => Effect.as(Vault, text),
      encode: Effect.succeed
    })
    // @ts-expect-error "The schema of opened asks for services: an event must be readable wherever it arrives"
    class _Leaked extends Event.ecst<_Leaked>()("opened", {
      topic: "rooms",
      version: 2,
      upcasts: { 1: { payload: { secret: Secret }, to: () => ({}) } }
    }) {}
  })
})

describe("C7: a domain event does not go to a broker", () => {
  it("neither as a message of its own", () => {
    expect(Serialization.encode(roomClosed)).type.not.toRaiseError()
    expect(Serialization.encode(roomState)).type.not.toRaiseError()
    // @ts-expect-error Argument of type 'UserJoined' is not assignable to parameter of type 'Integration'
    void Serialization.encode(userJoined)
    // @ts-expect-error Argument of type 'UserJoined | RoomClosed' is not assignable to parameter of type 'Integration'
    void Serialization.encode({} as UserJoined | RoomClosed)
  })

  it("nor as it is", () => {
    void Effect.flatMap(Broker.Broker, (broker) => {
      // @ts-expect-error Type 'UserJoined' is missing the following properties from type 'Message'
      return broker.publish([userJoined])
    })
  })
})
