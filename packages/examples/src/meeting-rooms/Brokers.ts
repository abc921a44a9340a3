/** The broker of a run. Its topics and groups carry the run's name, so that it gets nothing but what the run publishes. */
import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker as Brokers, Consumer } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { connect } from "amqplib"
import { Config, Effect, Layer, Redacted } from "effect"
import kafkajs from "kafkajs"
import { RoomChanged, RoomClosed } from "./Domain.ts"
import { groups } from "./Projection.ts"
import type { Setting } from "./Setting.ts"

const prefixOf = ({ run }: Setting) => `effect_cqrs_${run}.`

/** In full, as the brokers know them. */
const topicsOf = (setting: Setting): ReadonlyArray<string> =>
  [RoomChanged.topic, RoomClosed.topic, ...groups.map(Consumer.deadLetterTopicOf)].map((topic) =>
    prefixOf(setting) + topic
  )

const kafkaAddress = Config.map(
  Config.withDefault(Config.nonEmptyString("EFFECT_CQRS_KAFKA_BROKERS"), "127.0.0.1:9092"),
  (text) => text.split(",")
)

const rabbitmqAddress = Config.withDefault(
  Config.redacted("EFFECT_CQRS_RABBITMQ_URL"),
  Redacted.make("amqp://guest:guest@127.0.0.1:5672")
)

const Kafka = (setting: Setting) =>
  Layer.unwrapEffect(Effect.map(kafkaAddress, (brokers) =>
    KafkaBroker.layer({
      brokers,
      topology: { create: true, topics: topicsOf(setting).map((name) => ({ name, partitions: 6 })) }
    })))

/** Exchanges and queues are made when the consumers join. */
const RabbitMq = Layer.unwrapEffect(Effect.map(rabbitmqAddress, (url) => AmqpBroker.layer({ url })))

export const Broker = (setting: Setting) => {
  if (setting.broker === "memory") return Brokers.layerMemory()
  return Layer.provide(
    Brokers.layerPrefix(prefixOf(setting)),
    setting.broker === "kafka" ? Kafka(setting) : RabbitMq
  )
}

const forgetKafka = (setting: Setting) =>
  Effect.flatMap(kafkaAddress, (brokers) =>
    Effect.promise(async () => {
      const admin = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin()
      await admin.connect()
      await admin.deleteTopics({ topics: [...topicsOf(setting)] })
      await admin.disconnect()
    }))

const forgetRabbitMq = (setting: Setting) =>
  Effect.flatMap(rabbitmqAddress, (url) =>
    Effect.promise(async () => {
      const connection = await connect(Redacted.value(url))
      const channel = await connection.createChannel()
      for (const topic of topicsOf(setting)) {
        for (const group of groups) await channel.deleteQueue(`${prefixOf(setting)}${group}.${topic}`)
        await channel.deleteQueue(topic)
        await channel.deleteExchange(topic)
      }
      await connection.close()
    }))

/** Takes away with the scope what the run leaves on the broker: nobody else has use for it. */
export const tidied = (setting: Setting) => {
  if (setting.broker === "memory") return Effect.void
  const forget = setting.broker === "kafka" ? forgetKafka(setting) : forgetRabbitMq(setting)
  return Effect.addFinalizer(() => Effect.ignore(Effect.timeout(forget, "10 seconds")))
}
