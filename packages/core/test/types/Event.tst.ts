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
