import { Parser } from "@asyncapi/parser"
import { AsyncApi, Contract } from "@effect-cqrs/contracts"
import { Event, Message, Serialization, Wire } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import { Arbitrary, Effect, Either, Schema } from "effect"
import { RoomChanged, RoomClosed, rooms } from "./rooms.ts"

const parsed = (document: AsyncApi.Document) =>
  Effect.promise(() => new Parser().parse(JSON.stringify(document))).pipe(Effect.map(({ diagnostics, document }) => {
    // 2: that 3.1 is out, which adds bindings of other brokers
    assert.deepStrictEqual(
      diagnostics.filter(({ code, severity }) => severity < 2 || code !== "asyncapi-latest-version"),
      []
    )
    return document!
  }))

// the parser compiles its own schemas at first
describe("the official parser has nothing to say", { timeout: 60_000 }, () => {
  it.effect("to the document for Kafka, which has topics, keys and groups", () =>
    Effect.gen(function*() {
      const document = yield* parsed(
        yield* AsyncApi.make(rooms, { broker: "kafka", servers: { production: { host: "kafka-1.internal:9093" } } })
      )
      assert.strictEqual(document.servers().get("production")?.protocol(), "kafka-secure")
      assert.sameMembers(document.channels().all().map((channel) => channel.address()!), ["notices", "rooms"])
      assert.sameMembers(document.operations().all().map((one) => `${one.action()} ${one.id()}`), [
        "send send_notices",
        "send send_rooms",
        "receive receive_views_rooms",
        "receive receive_audit_notices",
        "receive receive_audit_rooms"
      ])
      // what is only read is not sent
      const messages = (operation: string) =>
        document.operations().get(operation)!.messages().all().map((one) => one.id())
      assert.deepStrictEqual(messages("send_rooms"), ["room_changed"])
      assert.sameMembers(messages("receive_audit_rooms"), ["room_changed", "room_moved"])
      assert.deepStrictEqual(
        document.operations().get("receive_views_rooms")!.bindings().get("kafka")?.value().groupId.enum,
        [
          "views"
        ]
      )
      const [changed] = document.operations().get("send_rooms")!.messages().all()
      assert.strictEqual(changed!.bindings().get("kafka")?.value().key.description, "{roomId}")
      assert.strictEqual(changed!.correlationId()?.location(), "$message.header#/ce_correlationid")
      assert.includeMembers(Object.keys(changed!.headers()!.properties()!), ["ce_id", "ce_type", "ce_schemaversion"])
      assert.deepStrictEqual(changed!.extensions().get("x-read-versions")?.value(), [1, 2])
      const [closed] = document.operations().get("send_notices")!.messages().all()
      assert.strictEqual(closed!.extensions().get("x-partition-key")?.value(), "{tenant}/{roomId}")
      const payload = closed!.payload()!.json() as { readonly required: ReadonlyArray<string> }
      assert.sameMembers([...payload.required], ["tenant", "roomId", "at"])
    }))

  it.effect("to the document for RabbitMQ, which has exchanges and queues", () =>
    Effect.gen(function*() {
      const document = yield* parsed(
        yield* AsyncApi.make(rooms, { broker: "amqp", servers: { here: { host: "localhost:5672", protocol: "amqp" } } })
      )
      const bindings = (channel: string) => document.channels().get(channel)!.bindings().get("amqp")?.value()
      assert.deepInclude(bindings("rooms"), { is: "routingKey" })
      assert.deepInclude(bindings("rooms")?.exchange, { name: "rooms", type: "topic" })
      assert.deepInclude(bindings("audit.rooms")?.queue, { name: "audit.rooms", durable: true })
      const [read] = document.operations().get("receive_audit_rooms")!.channels().all()
      assert.strictEqual(read!.address(), "audit.rooms")
      const [changed] = document.operations().get("send_rooms")!.messages().all()
      assert.include(Object.keys(changed!.headers()!.properties()!), "cloudEvents_type")
    }))

  it.effect("to names that are no keys of AsyncAPI, nor to schemas of all kinds", () =>
    Effect.gen(function*() {
      class Leaf extends Schema.Class<Leaf>("Leaf of a tree")({ n: Schema.Number }) {}
      class Odd extends Event.ecst<Odd>()("com.example/odd event", {
        topic: "odd topic/ä",
        payload: {
          leaf: Leaf,
          option: Schema.Option(Schema.Int),
          pair: Schema.Tuple(Schema.String, Schema.Number),
          record: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
          bytes: Schema.Uint8ArrayFromBase64,
          nothing: Schema.Null
        }
      }) {}
      class Bare extends Event.notification<Bare>()("bare", { topic: "odd topic/ä" }) {}
      const contract = Contract.make({ title: "Odd", version: "1", announces: [Odd, Bare] })
      for (const broker of ["kafka", "amqp"] as const) yield* parsed(yield* AsyncApi.make(contract, { broker }))
    }))
})

it.effect.prop(
  "a message as it is written to Kafka is what the document says, by a validator that knows nothing of this library",
  [Arbitrary.make(RoomChanged), Arbitrary.make(RoomClosed)],
  (events) =>
    Effect.gen(function*() {
      const document = yield* AsyncApi.make(rooms, { broker: "kafka" })
      const ajv = new Ajv({ strict: false, validateFormats: false }).addSchema({ $id: "document", ...document })
      const complaints = (pointer: string, value: unknown) => {
        const validate = ajv.compile({ $ref: `document#/components/${pointer}` })
        return validate(value) ? [] : validate.errors
      }
      for (const event of events) {
        const message = yield* Serialization.encode(event)
        const { body, headers } = Either.getOrThrow(Wire.make(["ce_"]).encode(message))
        const payload = JSON.parse(new TextDecoder().decode(body))
        assert.deepStrictEqual(complaints(`schemas/${message.name}`, payload), [])
        assert.deepStrictEqual(complaints(`messages/${message.name}/headers`, headers), [])
        assert.isNotEmpty(complaints(`schemas/${message.name}`, { ...payload, roomId: "" }))
        assert.isNotEmpty(complaints(`messages/${message.name}/headers`, { ...headers, ce_type: "another" }))
        // all attributes that are written are described
        const described = document.components.messages[message.name] as {
          readonly headers: { readonly properties: object }
        }
        const written = Object.keys(Message.attributes(message)).filter((name) => name !== "datacontenttype")
        assert.includeMembers(Object.keys(described.headers.properties), written.map((name) => `ce_${name}`))
      }
    }),
  { fastCheck: { numRuns: 20 }, timeout: 60_000 }
)

it.effect("schemas of one name that differ are two components", () =>
  Effect.gen(function*() {
    const id = (length: number) => Schema.String.pipe(Schema.maxLength(length)).annotations({ identifier: "Id" })
    class A extends Event.notification<A>()("a", { topic: "t", payload: { id: id(1) } }) {}
    class B extends Event.notification<B>()("b", { topic: "t", payload: { id: id(2) } }) {}
    class C extends Event.notification<C>()("c", { topic: "t", payload: { a: Schema.NonEmptyString } }) {}
    class D extends Event.notification<D>()("d", { topic: "t", payload: { a: Schema.NonEmptyString } }) {}
    const contract = Contract.make({ title: "Twice", version: "1", announces: [A, B, C, D] })
    const { components: { schemas } } = yield* AsyncApi.make(contract, { broker: "kafka" })
    assert.sameMembers(Object.keys(schemas), ["a", "a.Id", "b", "b.Id", "c", "d", "NonEmptyString"])
    assert.deepInclude(schemas["b.Id"], { maxLength: 2 })
  }))

it.effect("a part with a name of its own is found, whatever the name", () =>
  Effect.gen(function*() {
    const Room = Schema.String.annotations({ identifier: "@rooms/100%~Room" })
    class A extends Event.notification<A>()("a", { topic: "t", payload: { room: Room } }) {}
    const contract = Contract.make({ title: "Odd", version: "1", announces: [A] })
    const { components: { schemas } } = yield* AsyncApi.make(contract, { broker: "kafka" })
    assert.sameMembers(Object.keys(schemas), ["a", "_rooms_100_Room"])
    assert.deepInclude(schemas.a, { properties: { room: { $ref: "#/components/schemas/_rooms_100_Room" } } })
  }))

it.effect("a field without a form in JSON Schema is an error that names it and says what to do", () =>
  Effect.gen(function*() {
    class Odd extends Event.notification<Odd>()("odd", { topic: "t", payload: { big: Schema.BigIntFromSelf } }) {}
    const error = yield* Effect.flip(
      AsyncApi.make(Contract.make({ title: "Odd", version: "1", announces: [Odd] }), { broker: "kafka" })
    )
    assert.strictEqual(error.reason, "NoJsonSchema")
    assert.match(error.message, /^The event odd has no JSON Schema: at \["big"\], annotate .* encode it to plain JSON$/)
  }))
