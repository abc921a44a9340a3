import { Contract, JsonSchemas } from "@effect-cqrs/contracts"
import { Event } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { CloseRoom, JoinRoom, options, RoomChanged, RoomClosed, RoomMoved, rooms, UserJoined } from "./rooms.ts"

describe("a contract", () => {
  it("has each event that leaves or enters the process once, by name, with what is announced and what is read", () => {
    assert.deepStrictEqual(
      rooms.events.map(({ announced, consumed, event }) => ({ name: event.eventName, announced, consumed })),
      [
        { name: "room_changed", announced: true, consumed: true },
        { name: "room_closed", announced: true, consumed: true },
        { name: "room_moved", announced: false, consumed: true }
      ]
    )
  })

  it("with one name twice throws a sentence", () => {
    class Other extends Event.notification<Other>()("room_changed", { topic: "elsewhere" }) {}
    assert.throws(
      () => Contract.make({ ...options, announces: [Other] }),
      /Two events of one contract are named room_changed/
    )
    assert.throws(
      () => Contract.make({ ...options, handlers: [Contract.handler(JoinRoom), Contract.handler(JoinRoom)] }),
      /Two requests of one contract are named JoinRoom/
    )
    assert.throws(
      () => Contract.make({ ...options, consumers: [...options.consumers, ...options.consumers] }),
      /Two consumers of one contract are named views/
    )
  })

  it("tells what was announced and is not declared, of one handler or of all", () => {
    const recorded = [{ name: "room_changed" }, { name: "room_closed" }, { name: "room_closed" }]
    assert.deepStrictEqual(Contract.undeclared(rooms, recorded), [])
    assert.deepStrictEqual(Contract.undeclared(rooms, recorded, CloseRoom), [])
    assert.deepStrictEqual(Contract.undeclared(rooms, recorded, JoinRoom), ["room_closed"])
    assert.deepStrictEqual(Contract.undeclared(rooms, [{ name: "room_moved" }, { name: "secret" }]), [
      "room_moved",
      "secret"
    ])
  })
})

describe("a partition key shows itself", () => {
  const keyed = (key: ((event: any) => string) | undefined) => {
    class Keyed extends Event.notification<Keyed>()("keyed", {
      topic: "t",
      payload: { a: Schema.String, b: Schema.Struct({ c: Schema.Number }) },
      ...(key === undefined ? {} : { key })
    }) {}
    return Contract.make({ title: "Keys", version: "1", announces: [Keyed] }).events[0]!.key
  }

  for (
    const [name, key, shown] of [
      ["as the field it is", (event) => event.a, "{a}"],
      ["as what it is put together of", (event) => `${event.a}/${event.b.c}`, "{a}/{b.c}"],
      ["with what is called on it", (event) => event.a.toLowerCase(), "{a.toLowerCase()}"],
      ["as null if there is none", undefined, null],
      ["not if it is always the same", () => "all", undefined],
      ["not if it is counted", (event) => String(event.b.c % 8), undefined],
      ["not if it throws", (event) => event.none.none, undefined]
    ] as ReadonlyArray<[string, ((event: any) => string) | undefined, string | null | undefined]>
  ) it(name, () => assert.strictEqual(keyed(key), shown))
})

describe("the document", () => {
  it.effect("has all schemas, with older versions, and is what it is after a way through JSON", () =>
    Effect.gen(function*() {
      const document = yield* JsonSchemas.make(rooms)
      assert.deepStrictEqual(
        yield* Schema.decodeUnknown(JsonSchemas.Document)(JSON.parse(JSON.stringify(document))),
        document
      )
      const { room_changed: changed, room_closed: closed, room_moved: moved } = document.events
      assert.deepInclude(changed, { kind: "ecst", topic: "rooms", key: "{roomId}", version: 2, announced: true })
      assert.deepStrictEqual(Object.keys(changed!.older), ["1"])
      assert.deepStrictEqual(changed!.older["1"]!.required, ["roomId", "members"])
      assert.deepStrictEqual(closed!.payload.required, ["tenant", "roomId", "at"])
      assert.deepStrictEqual(moved!.payload, { type: "object" })
      assert.strictEqual(moved!.key, null)
      assert.deepStrictEqual(Object.keys(document.requests), ["JoinRoom", "Billing/CloseRoom", "ReadRoom"])
      assert.deepStrictEqual(document.requests.ReadRoom!.payload.required, ["roomId"])
      assert.deepStrictEqual(document.consumers, {
        views: ["room_changed"],
        audit: [RoomChanged.eventName, RoomClosed.eventName, RoomMoved.eventName]
      })
      assert.notProperty(document.events, UserJoined.eventName)
    }))
})
