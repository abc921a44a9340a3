import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, TestClock } from "effect"
import * as Catalog from "../src/internal/catalog.ts"
import { ensure, required } from "../src/internal/topology.ts"

/** A cluster of three nodes, in which each topic has its number of replicas and its least. */
const cluster = (topics: Readonly<Record<string, readonly [replicas: number, least: string]>>) =>
  Catalog.make({
    metadata: (names) =>
      Effect.succeed({
        brokers: [1, 2, 3].map((nodeId) => ({ nodeId, host: "node", port: nodeId })),
        topicMetadata: names.map((topic) => ({
          topic,
          topicErrorCode: 0,
          partitionMetadata: [{
            partitionId: 0,
            partitionErrorCode: 0,
            leader: 1,
            replicas: Array.from({ length: topics[topic]![0] }, (_, node) => node + 1)
          }]
        }))
      }),
    configs: (names) =>
      Effect.succeed(names.map((topic) => ({ topic, values: new Map([["min.insync.replicas", topics[topic]![1]]]) })))
  }, 1000)

/** A cluster of one node that answers about each topic, one answer after the other, the last one for good. */
const answering = (...codes: ReadonlyArray<number>) => {
  const left = [...codes]
  return Catalog.make({
    metadata: (names) =>
      Effect.sync(() => {
        const topicErrorCode = left.length > 1 ? left.shift()! : left[0]!
        return {
          brokers: [],
          topicMetadata: names.map((topic) => ({
            topic,
            topicErrorCode,
            partitionMetadata: topicErrorCode === 0
              ? [{ partitionId: 0, partitionErrorCode: 0, leader: 1, replicas: [1] }]
              : []
          }))
        }
      }),
    configs: () => Effect.succeed([])
  }, 1000)
}
const leaderNotAvailable = 5
const unknownTopic = 3

describe("topics", () => {
  it.effect("one that has no leader yet is waited for", () =>
    Effect.gen(function*() {
      const catalog = yield* answering(leaderNotAvailable, leaderNotAvailable, 0)
      const fiber = yield* Effect.fork(required(catalog, ["meetings"], 1000))
      yield* TestClock.adjust("900 millis")
      const [found] = yield* Fiber.join(fiber)
      assert.deepStrictEqual(found?.leaders, [1])
    }))

  it.effect("one that gets no leader is out, and no matter of configuration", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.flip(required(yield* answering(leaderNotAvailable), ["meetings"], 1000)))
      yield* TestClock.adjust("3 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason, "Unavailable")
      assert.include(error.message, "The topic meetings: Kafka answered LEADER_NOT_AVAILABLE")
      const topology = { topics: [{ name: "meetings", partitions: 1 }] }
      const ensuring = ensure(
        { createTopics: () => Effect.succeed([]) },
        yield* answering(leaderNotAvailable),
        topology,
        1
      )
      assert.strictEqual((yield* Effect.flip(ensuring)).reason, "Unavailable")
    }))

  it.effect("one that is not there is said so at once, by name", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(required(yield* answering(unknownTopic), ["meetings"], 1000))
      assert.strictEqual(error.reason, "Configuration")
      assert.include(error.message, "The topic meetings: Kafka answered UNKNOWN_TOPIC_OR_PARTITION")
    }))

  it.effect("one that was made is there when this ends, though nodes learn of it late", () =>
    Effect.gen(function*() {
      const catalog = yield* answering(unknownTopic, unknownTopic, leaderNotAvailable, 0)
      const createTopics = () => Effect.succeed([{ topic: "meetings", errorCode: 0 }])
      const topology = { topics: [{ name: "meetings", partitions: 1 }], create: true }
      const fiber = yield* Effect.fork(ensure({ createTopics }, catalog, topology, 1000))
      yield* TestClock.adjust("900 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual((yield* required(catalog, ["meetings"], 1000)).map(({ name }) => name), ["meetings"])
    }))

  it.effect("one whose messages die with a single replica is warned of, once", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const log = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ logLevel, message }) => {
          said.push(`${logLevel.label} ${String(message)}`)
        })
      )
      const catalog = yield* cluster({ careless: [3, "1"], careful: [3, "2"], single: [1, "1"] })
      const look = Effect.provide(catalog.find(["careless", "careful", "single"]), log)
      for (let round = 0; round < 3; round++) {
        yield* look
        yield* TestClock.adjust("1 minute")
        catalog.forget(["careless"])
      }
      assert.strictEqual(said.length, 1)
      for (const words of ["WARN", "careless", "3 replicas", "min.insync.replicas"]) assert.include(said[0], words)
    }))

  it.effect("one that somebody else makes at the same moment, and otherwise, is a conflict", () =>
    Effect.gen(function*() {
      let isMade = false
      const catalog = yield* Catalog.make({
        metadata: (names) =>
          Effect.succeed({
            brokers: [],
            topicMetadata: names.map((topic) => ({
              topic,
              topicErrorCode: isMade ? 0 : 3,
              partitionMetadata: isMade ? [{ partitionId: 0, partitionErrorCode: 0, leader: 1, replicas: [1] }] : []
            }))
          }),
        configs: () => Effect.succeed([])
      }, 1000)
      const createTopics = () =>
        Effect.sync(() => {
          isMade = true
          return [{ topic: "meetings", errorCode: 36 }]
        })
      const ensuring = (partitions: number) =>
        ensure({ createTopics }, catalog, { topics: [{ name: "meetings", partitions }], create: true }, 1000)
      const error = yield* Effect.flip(ensuring(2))
      assert.strictEqual(error.reason, "Configuration")
      assert.include(error.message, "meetings has 1 partitions, not 2")
      yield* ensuring(1)
    }))
})
