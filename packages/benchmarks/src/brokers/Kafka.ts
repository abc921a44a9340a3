/**
 * Apache Kafka, through kafkajs and through the adapter.
 */
import { deadLetterTopicOf } from "@effect-cqrs/core/Consumer"
import type { Message } from "@effect-cqrs/core/Message"
import * as KafkaBroker from "@effect-cqrs/kafka/KafkaBroker"
import * as Effect from "effect/Effect"
import { type Admin, type Consumer, Kafka, logLevel, type Producer } from "kafkajs"
import type { ByHand, Kind } from "./Kind.ts"
import { packetOf } from "./Packets.ts"

const variable = "EFFECT_CQRS_KAFKA_BROKERS"

const partitions = 12

/** The size of requests that was found the quickest. */
const batchSize = 500

const brokers = () => (process.env[variable] ?? "").split(",")

const client = () => new Kafka({ brokers: brokers(), logLevel: logLevel.NOTHING, retry: { retries: 20 } })

const withAdmin = <A>(use: (admin: Admin) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.acquireUseRelease(
    Effect.tryPromise(async () => {
      const admin = client().admin()
      await admin.connect()
      return admin
    }),
    (admin) => Effect.tryPromise(() => use(admin)),
    (admin) => Effect.promise(() => admin.disconnect())
  )

const publishAll = async (producer: Producer, topic: string, messages: ReadonlyArray<Message>): Promise<number> => {
  const prepared = messages.map((message) => {
    const { body, contentType, headers } = packetOf("ce_", message)
    return {
      key: message.key ?? null,
      value: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
      headers: { ...headers, "content-type": contentType! }
    }
  })
  const started = performance.now()
  // one after the other: a request that kafkajs repeats would be overtaken by those behind it
  for (let at = 0; at < prepared.length; at += batchSize) {
    await producer.sendBatch({ acks: -1, topicMessages: [{ topic, messages: prepared.slice(at, at + batchSize) }] })
  }
  return performance.now() - started
}

const consumeAll = (consumer: Consumer, { concurrency, count, handle, topic }: ByHand) =>
  new Promise<number>((resolve, reject) => {
    let handled = 0
    let started = 0
    consumer.on("consumer.crash", ({ payload }) => reject(payload.error))
    void consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: concurrency,
      eachBatch: async ({ batch, heartbeat, isRunning }) => {
        if (started === 0) started = performance.now()
        for (const { headers, value } of batch.messages) {
          if (!isRunning()) return
          await handle({ body: value!, id: () => String(headers!.ce_id) })
          handled += 1
          if (handled === count) resolve(performance.now() - started)
        }
        const offset = String(BigInt(batch.lastOffset()) + 1n)
        await consumer.commitOffsets([{ topic, partition: batch.partition, offset }])
        await heartbeat()
      }
    })
  })

export const kafka: Kind = {
  id: "kafka",
  title: "Kafka",
  variable,
  topic: (topic, group) =>
    Effect.acquireRelease(
      withAdmin((admin) =>
        admin.createTopics({
          topics: [topic, deadLetterTopicOf(group)].map((name) => ({ topic: name, numPartitions: partitions })),
          waitForLeaders: true
        })
      ),
      () => Effect.orDie(withAdmin((admin) => admin.deleteTopics({ topics: [topic, deadLetterTopicOf(group)] })))
    ),
  count: (topic) =>
    withAdmin(async (admin) =>
      (await admin.fetchTopicOffsets(topic)).reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0)
    ),
  layer: () => KafkaBroker.layer({ brokers: brokers() }),
  publish: (topic, messages) =>
    Effect.acquireUseRelease(
      Effect.tryPromise(async () => {
        const producer = client().producer({ idempotent: true, allowAutoTopicCreation: false })
        await producer.connect()
        return producer
      }),
      (producer) => Effect.tryPromise(() => publishAll(producer, topic, messages)),
      (producer) => Effect.promise(() => producer.disconnect())
    ),
  consume: (byHand) =>
    Effect.acquireUseRelease(
      Effect.tryPromise(async () => {
        const consumer = client().consumer({ groupId: byHand.group, allowAutoTopicCreation: false })
        await consumer.connect()
        await consumer.subscribe({ topics: [byHand.topic], fromBeginning: true })
        return consumer
      }),
      (consumer) => Effect.tryPromise(() => consumeAll(consumer, byHand)),
      (consumer) => Effect.promise(() => consumer.disconnect())
    )
}
