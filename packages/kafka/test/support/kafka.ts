import type { Broker } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import type { BrokerSuite } from "@effect-cqrs/testing"
import { Context, Deferred, Effect, Layer, Queue, Schedule } from "effect"
import { type Admin, type IHeaders, Kafka, logLevel } from "kafkajs"

export const endpoint = {
  variable: "EFFECT_CQRS_KAFKA_BROKERS",
  hint: "`npm run services -- up kafka` starts one."
}

/** Short waits: members come and go all the time in tests. */
export const hasty: KafkaBroker.ConsumerOptions = {
  heartbeatInterval: "100 millis",
  maxWait: "50 millis",
  commitInterval: "100 millis",
  drainTimeout: "2 seconds"
}

const run = Date.now().toString(36)
let count = 0

/** A name that no other run of the tests has used. */
export const unique = (name: string): string =>
  `kafka_${name.replace(/[^a-zA-Z0-9_.-]+/g, "_").slice(0, 100)}_${run}_${++count}`

export const clientOf = (brokers: string) => new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING })

export const withAdmin = <A>(brokers: string, use: (admin: Admin) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.acquireUseRelease(
    Effect.tryPromise(async () => {
      const admin = clientOf(brokers).admin()
      await admin.connect()
      return admin
    }),
    (admin) => Effect.tryPromise(() => use(admin)),
    (admin) => Effect.promise(() => admin.disconnect())
  )

interface TopicOptions {
  readonly partitions?: number | undefined
  readonly config?: Record<string, string> | undefined
}

/** Nodes learn of what was made or deleted a moment later, and its leaders last; a busy one, some moments. */
const seen = (brokers: string, name: string) => withAdmin(brokers, (admin) => admin.fetchTopicOffsets(name))
const soon = Schedule.spaced("50 millis").pipe(Schedule.upTo("20 seconds"))

const create = (brokers: string, name: string, { config = {}, partitions = 3 }: TopicOptions) =>
  withAdmin(brokers, (admin) =>
    admin.createTopics({
      waitForLeaders: false,
      topics: [{
        topic: name,
        numPartitions: partitions,
        configEntries: Object.entries({ "max.message.bytes": "4194304", ...config }).map(([name, value]) => ({
          name,
          value
        }))
      }]
    })).pipe(Effect.zipRight(Effect.retry(seen(brokers, name), soon)))

/** Makes an empty topic, and answers with its name. */
export const topic = (brokers: string, name: string, options: TopicOptions = {}): Effect.Effect<string, unknown> => {
  const called = unique(name)
  return Effect.as(create(brokers, called, options), called)
}

/** The addresses of the server that a case works on, for what it does past the adapter. */
export class Server extends Context.Tag("Server")<Server, { readonly brokers: string }>() {}

/** The adapter on a server. */
export const on = (
  brokers: string,
  options: Omit<KafkaBroker.Options, "brokers"> = {}
): Layer.Layer<Broker.Broker | Server, unknown> =>
  Layer.merge(
    KafkaBroker.layer({ brokers: brokers.split(","), ...options }),
    Layer.succeed(Server, { brokers })
  )

const publish = (record: BrokerSuite.Foreign) =>
  Effect.flatMap(Server, ({ brokers }) =>
    Effect.acquireUseRelease(
      Effect.tryPromise(async () => {
        const producer = clientOf(brokers).producer({ allowAutoTopicCreation: false })
        await producer.connect()
        return producer
      }),
      (producer) => {
        const headers: IHeaders = Object.fromEntries(
          Object.entries(record.headers).map(([name, value]) => [
            name,
            typeof value === "string" ? value : Buffer.from(value)
          ])
        )
        if (record.contentType !== undefined) headers["content-type"] = record.contentType
        return Effect.tryPromise(() =>
          producer.send({
            topic: record.topic,
            messages: [{
              key: record.key ?? null,
              value: record.body === undefined ? null : Buffer.from(record.body),
              headers
            }]
          })
        )
      },
      (producer) => Effect.promise(() => producer.disconnect())
    ))

/** From the topic's end at the time of the call. */
const read = (topic: string) =>
  Effect.gen(function*() {
    const { brokers } = yield* Server
    const records = yield* Queue.unbounded<BrokerSuite.Foreign>()
    const consumer = yield* Effect.acquireRelease(
      Effect.sync(() => clientOf(brokers).consumer({ groupId: unique("reader"), maxWaitTimeInMs: 50 })),
      (consumer) => Effect.promise(() => consumer.disconnect())
    )
    const offsets = yield* withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic))
    yield* Effect.tryPromise(async () => {
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      const ended = new Map(offsets.map(({ high, partition }) => [partition, BigInt(high)]))
      await consumer.run({
        eachMessage: async ({ message: { headers, key, offset, value }, partition }) => {
          if (BigInt(offset) < (ended.get(partition) ?? 0n)) return
          Queue.unsafeOffer(records, {
            topic,
            key: key?.toString("utf8"),
            headers: Object.fromEntries(
              Object.entries(headers ?? {}).flatMap(([name, held]) =>
                held === undefined ? [] : [[name, Array.isArray(held) ? Buffer.from(held.at(-1)!) : Buffer.from(held)]]
              )
            ),
            contentType: headers?.["content-type"]?.toString(),
            body: value === null ? undefined : new Uint8Array(value)
          })
        }
      })
    })
    return Queue.take(records)
  })

/** The ids of all that is in a topic now, in the order of their partitions. */
export const idsIn = (brokers: string, topic: string): Effect.Effect<ReadonlyArray<string>, unknown> =>
  Effect.gen(function*() {
    const offsets = yield* withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic))
    const count = offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0)
    const found = new Map(offsets.map(({ partition }) => [partition, [] as Array<string>]))
    const all = yield* Deferred.make<void>()
    let seen = 0
    const consumer = yield* Effect.acquireRelease(
      Effect.sync(() => clientOf(brokers).consumer({ groupId: unique("reader"), maxWaitTimeInMs: 50 })),
      (consumer) => Effect.promise(() => consumer.disconnect())
    )
    yield* Effect.tryPromise(async () => {
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({
        eachMessage: async ({ message: { headers }, partition }) => {
          found.get(partition)!.push(String(headers?.ce_id))
          if (++seen === count) Deferred.unsafeDone(all, Effect.void)
        }
      })
    })
    if (count > 0) yield* Effect.timeout(Deferred.await(all), "15 seconds")
    return [...found.values()].flat()
  }).pipe(Effect.scoped)

/** How programs without this toolkit write and read. */
export const foreign = { prefix: "ce_", publish, read }

/** Topics that are deleted, and made again. */
export const destination = {
  remove: (topic: string) =>
    Effect.flatMap(Server, ({ brokers }) =>
      withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [topic] })).pipe(
        Effect.zipRight(Effect.retry(Effect.flip(seen(brokers, topic)), soon))
      )),
  restore: (topic: string) =>
    Effect.flatMap(Server, ({ brokers }) =>
      // it is a moment until the name is free
      Effect.retry(create(brokers, topic, {}), { times: 50 })),
  keepsMessages: false
}
