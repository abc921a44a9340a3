import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type { KafkaConfig } from "kafkajs"
import kafkajs from "kafkajs"

/**
 * What kafkajs has to say, for those who look for it: what matters is said by this package, in outcomes, errors and its
 * own logs. Of its fields only those are kept that say where; the rest may hold anything.
 */
export const make = (runtime: Runtime.Runtime<never>): Pick<KafkaConfig, "logCreator" | "logLevel"> => ({
  logLevel: kafkajs.logLevel.WARN,
  logCreator: () => ({ log, namespace }) => {
    const { broker, groupId, message, partition, topic } = log
    Runtime.runFork(runtime)(Effect.annotateLogs(Effect.logDebug(`kafkajs: ${message}`), {
      namespace,
      ...Object.fromEntries(
        Object.entries({ broker, groupId, topic, partition }).filter(([, value]) => value !== undefined)
      )
    }))
  }
})
