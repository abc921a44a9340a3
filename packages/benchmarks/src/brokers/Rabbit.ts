/**
 * RabbitMQ, through amqplib and through the adapter.
 */
import * as AmqpBroker from "@effect-cqrs/amqp/AmqpBroker"
import { deadLetterTopicOf } from "@effect-cqrs/core/Consumer"
import type { Message } from "@effect-cqrs/core/Message"
import { type Channel, type ChannelModel, type ConfirmChannel, connect, type Options } from "amqplib"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Kind } from "./Kind.ts"
import { packetOf } from "./Packets.ts"

const variable = "EFFECT_CQRS_RABBITMQ_URL"

const url = () => process.env[variable] ?? ""

const queueOf = (topic: string, group: string) => `${group}.${topic}`

const prefetch = 256

const withConnection = <A>(use: (connection: ChannelModel) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.acquireUseRelease(
    Effect.tryPromise(() => connect(url())),
    (connection) => Effect.tryPromise(() => use(connection)),
    (connection) => Effect.promise(() => connection.close())
  )

const withChannel = <A>(use: (channel: Channel) => Promise<A>): Effect.Effect<A, unknown> =>
  withConnection(async (connection) => use(await connection.createChannel()))

const publishAll = async (channel: ConfirmChannel, topic: string, messages: ReadonlyArray<Message>) => {
  const prepared = messages.map((message) => {
    const { body, contentType, headers } = packetOf("cloudEvents_", message)
    const options: Options.Publish = {
      persistent: true,
      mandatory: true,
      headers,
      contentType: contentType!,
      messageId: message.id,
      type: message.name,
      timestamp: Math.floor(message.time / 1000),
      correlationId: message.correlationId
    }
    return { body: Buffer.from(body.buffer, body.byteOffset, body.byteLength), name: message.name, options }
  })
  const started = performance.now()
  for (const { body, name, options } of prepared) {
    if (!channel.publish(topic, name, body, options)) await new Promise((resolve) => channel.once("drain", resolve))
  }
  await channel.waitForConfirms()
  return performance.now() - started
}

export const rabbitmq: Kind = {
  id: "rabbitmq",
  title: "RabbitMQ",
  variable,
  topic: (topic, group) =>
    Effect.acquireRelease(
      withChannel(async (channel) => {
        await channel.assertExchange(topic, "topic", { durable: true })
        await channel.assertQueue(queueOf(topic, group), {
          durable: true,
          arguments: { "x-queue-type": "quorum", "x-single-active-consumer": true }
        })
        await channel.bindQueue(queueOf(topic, group), topic, "#")
      }),
      () =>
        Effect.orDie(withChannel(async (channel) => {
          await channel.deleteQueue(queueOf(topic, group))
          await channel.deleteExchange(topic)
          await channel.deleteQueue(deadLetterTopicOf(group))
          await channel.deleteExchange(deadLetterTopicOf(group))
        }))
    ),
  count: (topic, group) =>
    withChannel(async (channel) => (await channel.checkQueue(queueOf(topic, group))).messageCount),
  layer: (options) =>
    AmqpBroker.layer({ url: Redacted.make(url()), order: options?.pipelined === true ? "pipelined" : "strict" }),
  publish: (topic, messages) =>
    withConnection(async (connection) => publishAll(await connection.createConfirmChannel(), topic, messages)),
  consume: ({ concurrency, count, group, handle, topic }) =>
    withChannel(async (channel) => {
      await channel.prefetch(prefetch)
      return new Promise<number>((resolve, reject) => {
        let handled = 0
        let started = 0
        // those of a key one after the other, as the consumer with which it is compared
        const before = Array.from({ length: concurrency }, () => Promise.resolve())
        void channel.consume(queueOf(topic, group), (message) => {
          if (message === null) return
          if (started === 0) started = performance.now()
          const { content, properties: { headers } } = message
          const lane = concurrency === 1 ? 0 : laneOf(headers!.cloudEvents_partitionkey as string) % concurrency
          before[lane] = before[lane]!.then(() =>
            handle({ body: content, id: () => headers!.cloudEvents_id as string })
          )
            .then(() => {
              channel.ack(message)
              handled += 1
              if (handled === count) resolve(performance.now() - started)
            }, reject)
        })
      })
    })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const laneOf = (key: string): number => {
  let hash = 0
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash, 31) + key.charCodeAt(i) | 0
  return hash >>> 0
}
