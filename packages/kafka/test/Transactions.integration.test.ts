/** What other programs write in Kafka's transactions: what was given up was never there. */
import { Broker, Metrics } from "@effect-cqrs/core"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Metric, Redacted, type Scope } from "effect"
import type { Transaction } from "kafkajs"
import { clientOf, endpoint, hasty, on, topic, unique, withAdmin } from "./support/kafka.ts"

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const quiet = Logger.remove(Logger.defaultLogger)
  const layer = Layer.merge(on(brokers, { consumer: hasty }), quiet)
  /** Each record is fetched alone, so that a fetch begins in the middle of each transaction. */
  const piecemeal = Layer.merge(on(brokers, { consumer: { ...hasty, maxBytesPerPartition: 1 } }), quiet)

  const transaction: Effect.Effect<Transaction, never, Scope.Scope> = Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const producer = clientOf(brokers).producer({
          allowAutoTopicCreation: false,
          idempotent: true,
          maxInFlightRequests: 1,
          transactionalId: unique("transaction")
        })
        await producer.connect()
        return { producer, transaction: await producer.transaction() }
      }),
      ({ producer }) => Effect.promise(() => producer.disconnect())
    ),
    ({ transaction }) => transaction
  )
  const textOf = ({ message }: Broker.Delivery) => new TextDecoder().decode(message.payload).trimEnd()

  /** Two transactions that are given up, and one that is not, each record between those of the others. */
  const interleaved = (name: string, size: number) =>
    Effect.gen(function*() {
      const [one, other, well] = [yield* transaction, yield* transaction, yield* transaction]
      const send = (to: Transaction, text: string, key: string) =>
        Effect.promise(() => to.send({ topic: name, messages: [{ key, value: text.padEnd(size) }] }))
      for (let n = 0; n < 4; n++) {
        // a key that looks like the mark of a transaction that was given up
        yield* send(one, `one ${n}`, "\0\0\0\0")
        yield* send(other, `other ${n}`, `${n}`)
        yield* send(well, `well ${n}`, "well")
      }
      yield* Effect.promise(() => one.abort())
      yield* Effect.promise(() => other.abort())
      yield* Effect.promise(() => well.commit())
    }).pipe(Effect.scoped)
  const wells = ["well 0", "well 1", "well 2", "well 3"]

  it.scopedLive(
    "a consumer is shown nothing of transactions that were given up, wherever a fetch begins",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "aborted", { partitions: 1 })
        const broker = yield* Broker.Broker
        yield* interleaved(name, 10)
        yield* broker.publish([
          Fixtures.messageOf({ topic: name, key: "last", payload: new TextEncoder().encode("last") })
        ])
        const source = yield* broker.consume({ topics: [name], group: unique("group") })
        const seen: Array<string> = []
        while (!seen.includes("last")) seen.push(yield* Effect.map(Effect.scoped(source.take), textOf))
        assert.deepStrictEqual(seen, [...wells, "last"])
      }).pipe(Effect.provide(piecemeal)),
    30_000
  )

  it.scopedLive("sifting shows nothing of them either, and keeps nothing of them", () =>
    Effect.gen(function*() {
      const queue = { topic: yield* topic(brokers, "aborted_sift", { partitions: 1 }), group: unique("sifter") }
      const broker = yield* Broker.Broker
      yield* interleaved(queue.topic, 300 * 1024)
      const shown = (last: string) =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          yield* broker.sift(queue, (delivery) => {
            const text = textOf(delivery)
            seen.push(text)
            return Effect.succeed(text === last ? "settled" : "kept")
          })
          return seen
        })
      assert.deepStrictEqual(yield* shown("well 3"), wells)
      assert.deepStrictEqual(yield* shown("none"), wells.slice(0, 3), "and what is kept is written once more")
    }).pipe(Effect.provide(layer)), 30_000)

  it.scopedLive("what was given up at the end of a topic is behind its consumer", () =>
    Effect.gen(function*() {
      const name = yield* topic(brokers, "aborted_end", { partitions: 1 })
      const group = unique("group")
      const broker = yield* Broker.Broker
      yield* broker.publish([Fixtures.messageOf({ topic: name })])
      const source = yield* broker.consume({ topics: [name], group })
      yield* Effect.scoped(source.take)
      yield* Effect.scoped(Effect.gen(function*() {
        const given = yield* transaction
        yield* Effect.promise(() => given.send({ topic: name, messages: [{ value: "1" }, { value: "2" }] }))
        yield* Effect.promise(() => given.abort())
      }))
      const committed = withAdmin(brokers, (admin) => admin.fetchOffsets({ groupId: group, topics: [name] }))
      // the message, two that were given up, and the mark that they were
      yield* Fixtures.eventually("all is behind it", committed, ([one]) => one?.partitions[0]?.offset === "4")
      const lag = Metric.value(
        Metric.tagged(
          Metric.tagged(Metric.tagged(Metrics.consumerLag, "group", group), "topic", name),
          "partition",
          "0"
        )
      )
      assert.strictEqual((yield* lag).value, 0)
    }).pipe(Effect.provide(layer)), 30_000)
})
