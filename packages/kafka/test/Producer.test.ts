import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, TestClock } from "effect"
import * as Catalog from "../src/internal/catalog.ts"
import type { ProduceRequest } from "../src/internal/client.ts"
import * as Producer from "../src/internal/producer.ts"
import type { Outgoing } from "../src/internal/record.ts"
import * as Session from "../src/internal/session.ts"

const NOT_LEADER = 6
const LEADER_NOT_AVAILABLE = 5
const MESSAGE_TOO_LARGE = 10
const NOT_ENOUGH_REPLICAS = 19

type Answer = (part: {
  readonly node: number
  readonly partition: number
  readonly texts: ReadonlyArray<string>
}) => number | "never" | "lost"

/** A cluster of two nodes and of topics with four partitions, of which even ones are led by node 0. */
const setup = (
  answer: Answer,
  given: { readonly maxBytes?: number; readonly leader?: (partition: number) => number } = {}
) =>
  Effect.gen(function*() {
    const { leader = (partition) => partition % 2, maxBytes = 1000 } = given
    const requests: Array<
      { node: number; producerId: string; batches: Array<{ partition: number; first: number; texts: Array<string> }> }
    > = []
    const dropped: Array<number> = []
    let ids = 0
    const client = {
      metadata: (names: ReadonlyArray<string>) =>
        Effect.sync(() => ({
          brokers: [0, 1].map((nodeId) => ({ nodeId, host: "node", port: nodeId })),
          topicMetadata: names.map((topic) => ({
            topic,
            topicErrorCode: 0,
            partitionMetadata: [0, 1, 2, 3].map((partitionId) => ({
              partitionId,
              partitionErrorCode: 0,
              leader: leader(partitionId),
              replicas: [0, 1]
            }))
          }))
        })),
      configs: (names: ReadonlyArray<string>) =>
        Effect.succeed(
          names.map((topic) => ({
            topic,
            values: new Map([["max.message.bytes", String(maxBytes)], ["min.insync.replicas", "2"]])
          }))
        ),
      producerId: Effect.sync(() => ({ producerId: String(++ids), producerEpoch: 0 })),
      produce: (node: number, { producerId, topicData }: ProduceRequest) =>
        Effect.suspend(() => {
          const batches = topicData.flatMap(({ partitions }) =>
            partitions.map(({ firstSequence, messages, partition }) => ({
              partition,
              first: firstSequence,
              texts: messages.map(({ value }) => String(value))
            }))
          )
          requests.push({ node, producerId, batches })
          const answers = batches.map(({ partition, texts }) => answer({ node, partition, texts }))
          if (answers.includes("never")) return Effect.never
          if (answers.includes("lost")) {
            return Effect.fail({ name: "KafkaJSConnectionClosedError", message: "lost" })
          }
          return Effect.succeed(
            batches.map(({ partition }, at) => ({ topic: "topic", partition, errorCode: answers[at] as number }))
          )
        }),
      drop: (node: number) =>
        Effect.sync(() => {
          dropped.push(node)
        })
    }
    const catalog = yield* Catalog.make(client, 60_000)
    const sessions = yield* Session.make(client)
    const producer = Producer.make(client as never, catalog, sessions, {
      partitioner: (key) => Number(key.toString()) % 4,
      compression: 0,
      deadline: 5000
    })
    const send = (messages: ReadonlyArray<readonly [key: number, text: string]>) =>
      producer.send(
        messages.map(([key, text]): Either.Either<Outgoing, string> =>
          Either.right({ topic: "topic", key: Buffer.from(String(key)), value: Buffer.from(text), headers: {} })
        ),
        messages.map(([key]) => `topic/${key}`)
      )
    const written = () => requests.flatMap(({ batches }) => batches.map(({ texts }) => texts))
    return { send, requests, dropped, written }
  })

const said = (outcomes: Effect.Effect.Success<ReturnType<Producer.Producer["send"]>>) =>
  outcomes.map((outcome) => outcome._tag === "Retriable" ? outcome.scope : outcome._tag)

describe("producer", () => {
  it.effect("one request to each node has all of a batch, and numbers follow one another", () =>
    Effect.gen(function*() {
      const { requests, send } = yield* setup(() => 0)
      for (let round = 0; round < 2; round++) {
        const outcomes = yield* send([[0, "a"], [1, "b"], [2, "c"], [4, "d"]])
        assert.deepStrictEqual(said(outcomes), ["Delivered", "Delivered", "Delivered", "Delivered"])
      }
      assert.deepStrictEqual(requests.map(({ node }) => node), [0, 1, 0, 1])
      assert.deepStrictEqual(requests[2]!.batches, [
        { partition: 0, first: 2, texts: ["a", "d"] },
        { partition: 2, first: 1, texts: ["c"] }
      ])
      assert.strictEqual(new Set(requests.map(({ producerId }) => producerId)).size, 1)
    }))

  it.effect("too few replicas of one partition hold its own messages back, and no others; later numbers are another producer's", () =>
    Effect.gen(function*() {
      let isOut = true
      const { requests, send } = yield* setup(({ partition }) => isOut && partition === 0 ? NOT_ENOUGH_REPLICAS : 0)
      const outcomes = yield* send([[0, "a"], [2, "b"], [1, "c"], [4, "d"]])
      assert.deepStrictEqual(said(outcomes), ["part", "Delivered", "Delivered", "part"])
      isOut = false
      assert.deepStrictEqual(said(yield* send([[0, "a"]])), ["Delivered"])
      const last = requests.at(-1)!
      assert.notStrictEqual(last.producerId, requests[0]!.producerId)
      assert.deepStrictEqual(last.batches, [{ partition: 0, first: 0, texts: ["a"] }])
    }))

  it.effect("a leader that moves is looked for, and what was not written is sent there", () =>
    Effect.gen(function*() {
      let moved = 0
      const { requests, send } = yield* setup(
        ({ node, partition }) => partition === 0 && node !== moved ? NOT_LEADER : 0,
        { leader: (partition) => partition === 0 ? moved : partition % 2 }
      )
      yield* send([[0, "a"]])
      moved = 1
      const fiber = yield* Effect.fork(send([[0, "b"], [2, "c"]]))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(said(yield* Fiber.join(fiber)), ["Delivered", "Delivered"])
      assert.deepStrictEqual(requests.at(-1)!.batches, [{ partition: 0, first: 0, texts: ["b"] }])
      assert.strictEqual(requests.at(-1)!.node, 1)
    }))

  it.effect("a partition without a leader is out alone; if all are without one, the topic is", () =>
    Effect.gen(function*() {
      let all = false
      const { send } = yield* setup(({ partition }) => all || partition === 0 ? LEADER_NOT_AVAILABLE : 0)
      const batch = [[0, "a"], [1, "b"], [2, "c"], [3, "d"]] as const
      const one = yield* Effect.fork(send(batch))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(said(yield* Fiber.join(one)), ["part", "Delivered", "Delivered", "Delivered"])
      all = true
      const whole = yield* Effect.fork(send(batch))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(said(yield* Fiber.join(whole)), [
        "destination",
        "destination",
        "destination",
        "destination"
      ])
    }))

  it.effect("a node that is lost takes its own partitions along, and no others", () =>
    Effect.gen(function*() {
      const { dropped, send } = yield* setup(({ node }) => node === 1 ? "lost" : 0)
      assert.deepStrictEqual(said(yield* send([[0, "a"], [1, "b"], [2, "c"], [3, "d"]])), [
        "Delivered",
        "part",
        "Delivered",
        "part"
      ])
      assert.deepStrictEqual(dropped, [1])
    }))

  it.effect("what is not answered in time has no verdict, what was answered keeps its own, and the numbers are not used again", () =>
    Effect.gen(function*() {
      let isSilent = true
      const { dropped, requests, send } = yield* setup(({ node }) => isSilent && node === 1 ? "never" : 0)
      const fiber = yield* Effect.fork(send([[0, "a"], [1, "b"]]))
      yield* TestClock.adjust("4 seconds")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(said(yield* Fiber.join(fiber)), ["Delivered", "broker"])
      assert.deepStrictEqual(dropped, [1])
      isSilent = false
      assert.deepStrictEqual(said(yield* send([[1, "other"]])), ["Delivered"])
      assert.notStrictEqual(requests.at(-1)!.producerId, requests[0]!.producerId)
    }))

  it.effect("publishing that is interrupted while it waits gives its numbers up, and its turn", () =>
    Effect.gen(function*() {
      let isSilent = true
      const { requests, send } = yield* setup(() => isSilent ? "never" : 0)
      const first = yield* Effect.fork(send([[0, "a"]]))
      const second = yield* Effect.fork(send([[0, "b"]]))
      yield* TestClock.adjust(1)
      assert.strictEqual(requests.length, 1, "a node is asked one thing at a time")
      isSilent = false
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(said(yield* Fiber.join(second)), ["Delivered"])
      assert.strictEqual(requests.length, 2)
      assert.notStrictEqual(requests[1]!.producerId, requests[0]!.producerId)
      assert.strictEqual(requests[1]!.batches[0]!.first, 0)
    }))

  it.effect("what does not fit into one record batch goes in several, in order", () =>
    Effect.gen(function*() {
      const { send, written } = yield* setup(() => 0, { maxBytes: 300 })
      const texts = Array.from({ length: 9 }, (_, n) => `${n}`.padEnd(60, "."))
      yield* send(texts.map((text) => [0, text]))
      assert.deepStrictEqual(written().flat(), texts)
      assert.isAbove(written().length, 2)
      for (const batch of written()) assert.isAtMost(batch.join("").length, 300)
    }))

  it.effect("of a record batch that is refused, the culprit alone is rejected, and later ones of its key are held back", () =>
    Effect.gen(function*() {
      const { send, written } = yield* setup(({ texts }) => texts.includes("culprit") ? MESSAGE_TOO_LARGE : 0)
      const outcomes = yield* send([[0, "a"], [4, "b"], [8, "culprit"], [0, "c"], [8, "after it"], [4, "d"], [12, "e"]])
      assert.deepStrictEqual(said(outcomes), [
        "Delivered",
        "Delivered",
        "Rejected",
        "Delivered",
        "part",
        "Delivered",
        "Delivered"
      ])
      const delivered = written().filter((batch) => !batch.includes("culprit")).flat()
      assert.deepStrictEqual(delivered, ["a", "b", "c", "d", "e"])
    }))

  it.effect("what is too large for its topic is rejected without being sent, with what to do", () =>
    Effect.gen(function*() {
      const { send, written } = yield* setup(() => 0, { maxBytes: 300 })
      const outcomes = yield* send([[0, "x".repeat(400)], [0, "later"], [4, "other"]])
      assert.deepStrictEqual(said(outcomes), ["Rejected", "part", "Delivered"])
      assert.include((outcomes[0] as { readonly reason: string }).reason, "max.message.bytes")
      assert.deepStrictEqual(written(), [["other"]])
    }))
})
