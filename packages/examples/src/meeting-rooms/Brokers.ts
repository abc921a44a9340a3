/** The broker of a run. Its topics and groups carry the run's name, so that it gets nothing but what the run publishes. */
import { Broker as Brokers } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { Config, Effect, Layer } from "effect"
import kafkajs from "kafkajs"
import { RoomChanged, RoomClosed } from "./Domain.ts"
import { groups } from "./Projection.ts"
import { type Setting, SettingError } from "./Setting.ts"

const prefixOf = ({ run }: Setting) => `effect_cqrs_${run}.`

/** In full, as the brokers know them. */
const topicsOf = (setting: Setting): ReadonlyArray<string> =>
  [RoomChanged.topic, RoomClosed.topic, ...groups.map((group) => `${group}.dead-letters`)].map((topic) =>
    prefixOf(setting) + topic
  )

const addresses = Config.map(
  Config.withDefault(Config.nonEmptyString("EFFECT_CQRS_KAFKA_BROKERS"), "127.0.0.1:9092"),
  (text) => text.split(",")
)

const Kafka = (setting: Setting) =>
  Layer.unwrapEffect(Effect.map(addresses, (brokers) =>
    KafkaBroker.layer({
      brokers,
      topology: { create: true, topics: topicsOf(setting).map((name) => ({ name, partitions: 6 })) }
    })))

/** Nobody else has use for the topics of a run. */
const forgetKafka = (setting: Setting) =>
  Effect.flatMap(addresses, (brokers) =>
    Effect.promise(async () => {
      const admin = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin()
      await admin.connect()
      await admin.deleteTopics({ topics: [...topicsOf(setting)] })
      await admin.disconnect()
    }))

/** Takes away with the scope what the run leaves on the broker. */
export const tidied = (setting: Setting) => {
  const forget = setting.broker === "kafka" ? forgetKafka(setting) : Effect.void
  return Effect.addFinalizer(() => Effect.ignore(Effect.timeout(forget, "10 seconds")))
}

export const Broker = (setting: Setting) => {
  switch (setting.broker) {
    case "memory":
      return Brokers.layerMemory()
    case "kafka":
      return Layer.provide(Brokers.layerPrefix(prefixOf(setting)), Kafka(setting))
    case "rabbitmq":
      return Layer.fail(new SettingError({ message: "RabbitMQ is not there yet" }))
  }
}
