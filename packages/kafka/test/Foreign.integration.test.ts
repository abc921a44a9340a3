/** Programs that this project did not write read what it publishes, and what they write reaches a handler. */
import { Broker, Consumer, Event, Message, Subscribers } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { CloudEvent, Kafka as CloudEvents } from "cloudevents"
import { Deferred, Effect, Layer, Redacted, Schema } from "effect"
import { Kafka, type KafkaMessage, logLevel } from "kafkajs"
import { execFile } from "node:child_process"
import * as path from "node:path"

const hint = "`npm run services -- up kafka` and `npm run services -- tools --install` bring what this needs."
const suiteOptions = { describe, it, hint }

const brokers = (process.env.EFFECT_CQRS_KAFKA_BROKERS ?? "").split(",")

let topics = 0

/** A topic of its own, gone afterwards. */
const topic = Effect.acquireRelease(
  Effect.promise(async () => {
    const name = `effect-cqrs-foreign-${process.pid}-${++topics}`
    const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }], waitForLeaders: true })
    return { admin, name }
  }),
  ({ admin, name }) =>
    Effect.promise(async () => {
      await admin.deleteTopics({ topics: [name] })
      await admin.disconnect()
    })
).pipe(Effect.map(({ name }) => name))

/** What a program prints. */
const run = (command: string, args: ReadonlyArray<string>, stdin?: string) =>
  Effect.async<string, string>((resume) => {
    const child = execFile(command, args, { timeout: 30_000 }, (error, stdout, stderr) =>
      resume(error === null ? Effect.succeed(stdout) : Effect.fail(`${error.message}\n${stderr}`)))
    child.stdin!.end(stdin ?? "")
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
    Effect.provide(KafkaBroker.layer({ brokers, wire: { mode } }))
  )
}

const attributes = {
  ce_specversion: "1.0",
  ce_id: "0190a0b0-0000-7000-8000-000000000001",
  ce_source: "/rooms",
  ce_type: "room_closed",
  ce_time: "2023-11-14T22:13:20.123Z",
  ce_partitionkey: "blue",
  ce_sequence: "7",
  ce_correlationid: "correlation",
  ce_causationid: "causation",
  ce_traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "content-type": "application/json",
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  tenant: "größe"
}

/** The first record of a topic, by the raw client. */
const firstRecord = (name: string) =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const consumer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).consumer({ groupId: `${name}-raw` })
      await consumer.connect()
      await consumer.subscribe({ topics: [name], fromBeginning: true })
      return consumer
    }),
    (consumer) =>
      Effect.promise(() =>
        new Promise<KafkaMessage>((resolve) => {
          void consumer.run({ eachMessage: async ({ message }) => resolve(message) })
        })
      ),
    (consumer) => Effect.promise(() => consumer.disconnect())
  )

Endpoint.suite("Kafka", { ...suiteOptions, variable: "EFFECT_CQRS_KAFKA_BROKERS" }, () => {
  describe("what is published", () => {
    Endpoint.suite("is read by kcat", { ...suiteOptions, variable: "EFFECT_CQRS_KCAT" }, (kcat) => {
      it.scopedLive("with its attributes, key and payload", () =>
        Effect.gen(function*() {
          const name = yield* topic
          yield* published(name)
          const options = ["-b", brokers[0]!, "-C", "-t", name, "-o", "beginning", "-e", "-q", "-J"]
          const record = JSON.parse(yield* run(Redacted.value(kcat), options))
          assert.strictEqual(record.key, "blue")
          assert.strictEqual(record.payload, "{\"roomId\":\"blue\"}")
          const headers: Record<string, string> = {}
          for (let i = 0; i < record.headers.length; i += 2) headers[record.headers[i]] = record.headers[i + 1]
          assert.deepInclude(headers, attributes)
        }), 60_000)
    })

    Endpoint.suite("is read by the Java console consumer", {
      ...suiteOptions,
      variable: "EFFECT_CQRS_KAFKA_TOOLS"
    }, (jars) => {
      it.scopedLive("with its attributes, key and payload", () =>
        Effect.gen(function*() {
          const name = yield* topic
          yield* published(name)
          const java = process.env.JAVA_HOME === undefined ? "java" : path.join(process.env.JAVA_HOME, "bin", "java")
          const line = yield* run(java, [
            ...["-cp", path.join(Redacted.value(jars), "*"), "org.apache.kafka.tools.consumer.ConsoleConsumer"],
            ...["--bootstrap-server", brokers[0]!, "--topic", name, "--from-beginning", "--max-messages", "1"],
            ...["--property", "print.headers=true", "--property", "print.key=true"]
          ])
          const [headers, key, payload] = line.trimEnd().split("\t")
          assert.strictEqual(key, "blue")
          assert.strictEqual(payload, "{\"roomId\":\"blue\"}")
          for (const [header, value] of Object.entries(attributes)) assert.include(headers!, `${header}:${value}`)
        }), 60_000)
    })

    for (const mode of ["binary", "structured"] as const) {
      it.scopedLive(`is a valid CloudEvent to its SDK, in ${mode} mode`, () =>
        Effect.gen(function*() {
          const name = yield* topic
          yield* published(name, mode)
          const { headers, key, value } = yield* firstRecord(name)
          const texts = Object.fromEntries(
            Object.entries(headers ?? {}).map(([header, text]) => [header, String(text)])
          )
          const event = CloudEvents.toEvent({
            headers: texts,
            key: String(key),
            value: mode === "binary" ? value : String(value),
            body: mode === "binary" ? value : String(value)
          } as never) as CloudEvent<unknown>
          assert.isTrue(new CloudEvent(event).validate())
          const { data, ...rest } = event
          assert.deepStrictEqual(data, { roomId: "blue" })
          assert.deepInclude({ ...rest }, {
            id: "0190a0b0-0000-7000-8000-000000000001",
            type: "room_closed",
            source: "/rooms",
            time: "2023-11-14T22:13:20.123Z",
            datacontenttype: "application/json",
            partitionkey: "blue",
            sequence: "7",
            correlationid: "correlation",
            causationid: "causation",
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
          })
        }), 60_000)
    }
  })

  Endpoint.suite("what kcat writes", { ...suiteOptions, variable: "EFFECT_CQRS_KCAT" }, (kcat) => {
    it.scopedLive("as a CloudEvent reaches a handler", () =>
      Effect.gen(function*() {
        const name = yield* topic
        class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
          topic: name,
          payload: { roomId: Schema.String },
          key: (event) => event.roomId
        }) {}
        const handled = yield* Deferred.make<readonly [RoomClosed, Message.Message]>()
        yield* run(Redacted.value(kcat), [
          ...["-b", brokers[0]!, "-P", "-t", name, "-k", "blue"],
          ...["-H", "ce_specversion=1.0", "-H", "ce_id=1", "-H", "ce_source=/kcat", "-H", "ce_type=room_closed"],
          ...["-H", "content-type=application/json", "-H", "tenant=acme"]
        ], "{\"roomId\":\"blue\"}")
        yield* Layer.build(
          Consumer.layer({ subscription: { group: `${name}-group` }, events: [RoomClosed] }).pipe(
            Layer.provide(Subscribers.layer(RoomClosed, {
              note: (event) =>
                Effect.flatMap(Message.Received, (message) => Deferred.succeed(handled, [event, message]))
            })),
            Layer.provide(KafkaBroker.layer({
              brokers,
              topology: { create: true, topics: [{ name: `${name}-group.dead-letters`, partitions: 1 }] }
            }))
          )
        )
        const [event, message] = yield* Deferred.await(handled)
        assert.strictEqual(event.roomId, "blue")
        assert.deepInclude(message, { id: "1", source: "/kcat", key: "blue", headers: { tenant: "acme" } })
      }), 60_000)
  })
})
