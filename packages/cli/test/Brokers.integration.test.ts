import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker, Consumer, type Message } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { fill, layerStorage } from "./support/outbox.ts"
import { layerProgram, run, start } from "./support/program.ts"

const hint = "`npm run services -- up` finds or starts one."

/** A broker that has these topics, each with a queue of its name where it has queues. */
interface Kind {
  readonly name: string
  readonly variable: string
  readonly urlOf: (address: string) => string
  readonly layerOf: (address: string, topics: ReadonlyArray<string>) => Layer.Layer<Broker.Broker, unknown>
  readonly topicCheck: (topic: string) => string
}

const kinds: ReadonlyArray<Kind> = [
  {
    name: "Kafka",
    variable: "EFFECT_CQRS_KAFKA_BROKERS",
    urlOf: (address) => `kafka://${address}`,
    layerOf: (address, topics) =>
      KafkaBroker.layer({
        brokers: address.split(","),
        topology: { topics: topics.map((name) => ({ name, partitions: 2, replicationFactor: 1 })), create: true }
      }),
    topicCheck: (topic) => `topic ${topic}`
  },
  {
    name: "RabbitMQ",
    variable: "EFFECT_CQRS_RABBITMQ_URL",
    urlOf: (address) => address,
    layerOf: (address, topics) =>
      AmqpBroker.layer({
        url: Redacted.make(address),
        topology: {
          exchanges: topics.map((name) => ({ name })),
          queues: topics.map((name) => ({ name, singleActiveConsumer: true })),
          bindings: topics.map((name) => ({ exchange: name, queue: name }))
        }
      }),
    topicCheck: (topic) => `exchange ${topic}`
  }
]

const json = (text: string) => JSON.parse(text)

for (const { layerOf, name, topicCheck, urlOf, variable } of kinds) {
  Endpoint.suite(name, { describe, it, variable, hint }, (endpoint) => {
    const address = Redacted.value(endpoint)
    const broker = urlOf(address)
    const unique = `cli_${process.pid}_${Date.now()}`

    const outbox = Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(path.join(tmpdir(), "effect-cqrs-cli-brokers-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      ),
      (folder) => {
        const filename = path.join(folder, "app.db")
        writeFileSync(filename, "")
        return {
          url: `sqlite:${filename}`,
          within: Effect.provide(layerStorage(SqliteClient.layer({ filename })))
        }
      }
    )

    layer(layerProgram, { timeout: 60_000, excludeTestServices: true })((it) => {
      it.effect("dead letters of a group are listed, shown, redriven and discarded", () =>
        Effect.gen(function*() {
          const group = `${unique}_group`
          const origin = `${unique}_rooms`
          const letters = `${group}.dead-letters`
          const letter = (key: string, topic: string): Message.Message =>
            Fixtures.messageOf({
              topic: letters,
              key,
              payload: new TextEncoder().encode("the zebra"),
              headers: {
                [Consumer.deadLetterHeaders.reason]: "no room",
                [Consumer.deadLetterHeaders.attempts]: "9",
                [Consumer.deadLetterHeaders.group]: group,
                [Consumer.deadLetterHeaders.topic]: topic,
                [Consumer.deadLetterHeaders.time]: "2026-01-31T12:00:00.000Z"
              }
            })
          const publish = Effect.flatMap(Broker.Broker, ({ publish }) =>
            publish([letter("blue", origin), letter("red", origin), letter("green", `${unique}_nowhere`)]))
          const outcomes = yield* Effect.provide(publish, layerOf(address, [letters, origin]))
          assert.deepStrictEqual(
            outcomes.map(({ _tag }) =>
              _tag
            ),
            ["Delivered", "Delivered", "Delivered"]
          )

          const consumer = (...args: ReadonlyArray<string>) =>
            run(["consumer", ...args, "--group", group, "--broker", broker])
          const listed = yield* consumer("list", "--json")
          assert.strictEqual(listed.code, 0, listed.stderr)
          const all: ReadonlyArray<Record<string, unknown>> = json(listed.stdout)
          assert.deepStrictEqual(
            all.map(({ attempts, key, reason }) => [key, reason, attempts]).sort(),
            [["blue", "no room", 9], ["green", "no room", 9], ["red", "no room", 9]]
          )
          assert.notInclude(listed.stdout, "zebra")
          const id = String(all.find(({ key }) => key === "blue")!.id)
          const shown = yield* consumer("show", id, "--payload", "--json")
          assert.strictEqual(json(shown.stdout).payload.content, "the zebra", shown.stderr)

          const dry = yield* consumer("redrive", "--topic", origin, "--dry-run", "--json")
          assert.deepStrictEqual([json(dry.stdout).matched, json(dry.stdout).done], [2, 0], dry.stderr)
          assert.strictEqual((yield* consumer("redrive")).code, 6)
          const done = yield* consumer("redrive", "--yes", "--json")
          assert.strictEqual(done.code, 1, done.stderr)
          assert.deepStrictEqual([json(done.stdout).done, json(done.stdout).kept], [2, 1])
          assert.match(done.stderr, /1 dead letter could not be sent, and is where it was: .*_nowhere/)
          assert.strictEqual((yield* consumer("redrive", "--topic", origin, "--yes")).code, 5)
          const discarded = yield* consumer("discard", "--yes")
          assert.match(discarded.stdout, /1 dead letter discarded/, discarded.stderr)
          assert.strictEqual((yield* consumer("list")).code, 5)
        }), 120_000)

      it.effect(
        "a relay from configuration alone delivers, says what it owns, and ends in good order at SIGTERM",
        () =>
          Effect.scoped(Effect.gen(function*() {
            const topic = `${unique}_events`
            const { url, within } = yield* outbox
            yield* within(fill([{ key: "blue", topic }, { key: "red", topic }]))
            const env = { CQRS_DATABASE_URL: url, CQRS_BROKER_URL: broker }
            const missing = yield* run(["doctor", "--json"], { env })
            const verdictOf = (text: string) =>
              json(text).findings.find((one: { check: string }) => one.check === topicCheck(topic))?.verdict
            assert.strictEqual(verdictOf(missing.stdout), "problem", missing.stdout + missing.stderr)

            yield* Effect.scoped(Layer.build(layerOf(address, [topic])))
            const there = yield* run(["doctor", "--json"], { env })
            assert.notStrictEqual(verdictOf(there.stdout), "problem", there.stdout)

            const relay = yield* start(["relay"], { env: { ...env, CQRS_RELAY_BATCH_SIZE: "10" } })
            const pending = Effect.map(
              run(["outbox", "status", "--json"], { env }),
              ({ stdout }) => json(stdout).pending
            )
            yield* Fixtures.eventually("all is delivered", pending, (count) => count === 0)
            assert.match(relay.said(), /owns 64 of 64 buckets/)
            relay.child.kill("SIGTERM")
            const { code, stderr } = yield* relay.ended
            assert.strictEqual(code, 0, stderr)
            assert.match(stderr, /The relay ends/)
            const after = json((yield* run(["outbox", "status", "--json"], { env })).stdout)
            assert.deepStrictEqual(after.relays, [])

            yield* within(fill([{ key: "blue", topic, id: "another" }]))
            const drained = yield* run(["relay", "--drain"], { env })
            assert.strictEqual(drained.code, 0, drained.stderr)
            assert.strictEqual(yield* pending, 0)
          })).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))),
        90_000
      )

      it.effect("a configuration that cannot be is a sentence and an exit code", () =>
        Effect.gen(function*() {
          const wrong = yield* run(["relay", "--database", "sqlite:missing.db", "--broker", broker], {
            env: { CQRS_RELAY_LANES: "none" }
          })
          assert.strictEqual(wrong.code, 2, wrong.stderr)
          assert.match(wrong.stderr, /CQRS_RELAY_LANES/)
        }), 30_000)
    })
  })
}
