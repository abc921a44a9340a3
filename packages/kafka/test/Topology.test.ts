import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, TestClock } from "effect"
import * as Catalog from "../src/internal/catalog.ts"
import { ensure } from "../src/internal/topology.ts"

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

describe("topics", () => {
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
