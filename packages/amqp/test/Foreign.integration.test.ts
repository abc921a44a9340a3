/** Programs that this project did not write read what it publishes, and what they write reaches a handler. */
import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker, Consumer, Event, Message, Subscribers } from "@effect-cqrs/core"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { connect } from "amqplib"
import { CloudEvent } from "cloudevents"
import { Deferred, Effect, Layer, Redacted, Schema } from "effect"
import { execFile } from "node:child_process"
import * as path from "node:path"

const hint = "`npm run services -- up rabbitmq` and `npm run services -- tools --install` bring what this needs."
const suiteOptions = { describe, it, hint }

const address = process.env.EFFECT_CQRS_RABBITMQ_URL ?? ""

const channel = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const connection = await connect(address)
      return { connection, channel: await connection.createChannel() }
    }),
    ({ connection }) => Effect.promise(() => connection.close())
  ),
  ({ channel }) => channel
)

let topics = 0

/** An exchange and a queue of its own, of one name, gone afterwards. */
const topic = Effect.gen(function*() {
  const raw = yield* channel
  const name = `effect-cqrs-foreign-${process.pid}-${++topics}`
  yield* Effect.acquireRelease(
    Effect.promise(async () => {
      await raw.assertExchange(name, "topic", { durable: true })
      await raw.assertQueue(name, { durable: true })
      await raw.bindQueue(name, name, "#")
    }),
    () =>
      Effect.promise(async () => {
        for (const queue of [name, `${name}-group.${name}`, `${name}-group.dead-letters`]) await raw.deleteQueue(queue)
        for (const exchange of [name, `${name}-group.dead-letters`]) await raw.deleteExchange(exchange)
      })
  )
  return name
})

/** What a program prints. */
const run = (command: string, args: ReadonlyArray<string>) =>
  Effect.async<string, string>((resume) => {
    const child = execFile(command, args, { timeout: 30_000 }, (error, stdout, stderr) =>
      resume(error === null ? Effect.succeed(stdout) : Effect.fail(`${error.message}\n${stderr}`)))
    return Effect.sync(() =>
      child.kill()
    )
  })

const published = (name: string, mode: "binary" | "structured" = "binary") => {
  const message = Fixtures.fullMessageOf({
    topic: name,
    source: "/rooms",
    sequence: 7n,
    contentEncoding: "identity",
    headers: { tenant: "größe" },
    payload: new TextEncoder().encode("{\"roomId\":\"blue\"}")
  })
  return Effect.flatMap(Broker.Broker, (broker) => broker.publish([message])).pipe(
    Effect.map((outcomes) => assert.deepStrictEqual(outcomes, [Broker.Outcome.Delivered()])),
    Effect.provide(AmqpBroker.layer({ url: Redacted.make(address), wire: { mode } }))
  )
}

const expected = {
  specversion: "1.0",
  id: "0190a0b0-0000-7000-8000-000000000001",
  source: "/rooms",
  type: "room_closed",
  time: "2023-11-14T22:13:20.123Z",
  partitionkey: "blue",
  sequence: "7",
  correlationid: "correlation",
  causationid: "causation",
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
}

Endpoint.suite("RabbitMQ", { ...suiteOptions, variable: "EFFECT_CQRS_RABBITMQ_URL" }, () => {
  describe("what is published", () => {
    Endpoint.suite("is read by amqp-get", { ...suiteOptions, variable: "EFFECT_CQRS_AMQP_TOOLS" }, (folder) => {
      it.scopedLive("as the payload's bytes", () =>
        Effect.gen(function*() {
          const name = yield* topic
          yield* published(name)
          const body = yield* run(path.join(Redacted.value(folder), "amqp-get"), ["-u", address, "-q", name])
          assert.strictEqual(body, "{\"roomId\":\"blue\"}")
        }), 60_000)
    })

    it.scopedLive(
      "is a valid CloudEvent to its SDK, with the properties of AMQP beside it",
      () =>
        Effect.gen(function*() {
          const name = yield* topic
          const raw = yield* channel
          yield* published(name)
          const message = yield* Effect.promise(() => raw.get(name, { noAck: true }))
          if (message === false) return assert.fail("nothing came")
          const { contentType, correlationId, deliveryMode, headers, messageId, timestamp, type } = message.properties
          const attributes = Object.fromEntries(
            Object.entries(headers ?? {}).flatMap(([header, value]) =>
              header.startsWith("cloudEvents_") ? [[header.slice("cloudEvents_".length), value]] : []
            )
          )
          const event = new CloudEvent({
            ...attributes,
            datacontenttype: contentType,
            data: JSON.parse(message.content.toString())
          })
          assert.isTrue(event.validate())
          assert.deepInclude({ ...event }, expected)
          assert.strictEqual(headers?.tenant, "größe")
          assert.strictEqual(headers?.traceparent, expected.traceparent)
          assert.deepStrictEqual({ contentType, correlationId, deliveryMode, messageId, timestamp, type }, {
            contentType: "application/json",
            correlationId: "correlation",
            deliveryMode: 2,
            messageId: expected.id,
            timestamp: 1_700_000_000,
            type: "room_closed"
          })
        }),
      60_000
    )

    it.scopedLive("in structured mode is a JSON document of the CloudEvents format", () =>
      Effect.gen(function*() {
        const name = yield* topic
        const raw = yield* channel
        yield* published(name, "structured")
        const message = yield* Effect.promise(() => raw.get(name, { noAck: true }))
        if (message === false) return assert.fail("nothing came")
        assert.match(message.properties.contentType, /^application\/cloudevents\+json/)
        const event = new CloudEvent<unknown>(JSON.parse(message.content.toString()))
        assert.isTrue(event.validate())
        const attributes: Record<string, unknown> = { ...event }
        assert.deepInclude(attributes, { ...expected, data: { roomId: "blue" } })
      }), 60_000)
  })

  Endpoint.suite("what amqp-publish writes", { ...suiteOptions, variable: "EFFECT_CQRS_AMQP_TOOLS" }, (folder) => {
    it.scopedLive("as a CloudEvent reaches a handler", () =>
      Effect.gen(function*() {
        const name = yield* topic
        class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
          topic: name,
          payload: { roomId: Schema.String },
          key: (event) => event.roomId
        }) {}
        const handled = yield* Deferred.make<readonly [RoomClosed, Message.Message]>()
        yield* Layer.build(
          Consumer.layer({ subscription: { group: `${name}-group` }, events: [RoomClosed] }).pipe(
            Layer.provide(Subscribers.layer(RoomClosed, {
              note: (event) =>
                Effect.flatMap(Message.Received, (message) => Deferred.succeed(handled, [event, message]))
            })),
            Layer.provide(AmqpBroker.layer({ url: Redacted.make(address) }))
          )
        )
        yield* run(path.join(Redacted.value(folder), "amqp-publish"), [
          ...["-u", address, "-e", name, "-r", "room_closed", "-p", "-C", "application/json"],
          ...["-H", "cloudEvents_id: 1", "-H", "cloudEvents_source: /tools"],
          ...["-H", "cloudEvents_type: room_closed", "-H", "cloudEvents_specversion: 1.0", "-H", "tenant: acme"],
          ...["-b", "{\"roomId\":\"blue\"}"]
        ])
        const [event, message] = yield* Deferred.await(handled)
        assert.strictEqual(event.roomId, "blue")
        assert.deepInclude(message, { id: "1", source: "/tools", headers: { tenant: "acme" } })
      }), 60_000)
  })
})
