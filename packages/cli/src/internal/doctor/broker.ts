/** The broker: whether it answers, and has what pending events are for. */
import type { BrokerError } from "@effect-cqrs/core/Broker"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { type Address, configured } from "../brokers.ts"
import { load } from "../driver.ts"
import type { CliError } from "../exitCode.ts"
import { sentenceOf } from "../exitCode.ts"
import { type Finding, ok, problem, warning } from "../finding.ts"
import { count } from "../output.ts"

export const broker = (
  address: Address,
  topics: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Finding>, CliError | ConfigError> =>
  Effect.provide(address.kind === "kafka" ? kafka(topics) : amqp(topics), configured(address)).pipe(
    Logger.withMinimumLogLevel(LogLevel.Error),
    Effect.catchTag("BrokerError", (error: BrokerError) =>
      Effect.succeed([
        problem("broker", sentenceOf(error), "check the address and the login; events wait until it is there")
      ]))
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const kafka = (topics: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { inspectConfig } = yield* load("@effect-cqrs/kafka", () => import("@effect-cqrs/kafka/Inspection"))
    const { nodes, topics: found } = yield* inspectConfig(topics)
    return [
      ok("broker", `Kafka, ${count(nodes, "node")}`),
      ...found.map((topic): Finding => {
        const name = `topic ${topic.name}`
        const shape = `${count(topic.partitions, "partition")}, ${count(topic.replicas, "replica")}`
        if (topic.trouble !== undefined) {
          return problem(name, topic.trouble, "create it, or let this login see it; its events wait meanwhile")
        }
        if (topic.leaderless > 0) {
          return problem(
            name,
            `${shape}, ${topic.leaderless} without a leader`,
            "bring its replicas back; the keys of these partitions wait meanwhile"
          )
        }
        if (topic.replicas > 1 && topic.minInsyncReplicas === 1) {
          return warning(
            name,
            `${shape}, min.insync.replicas 1`,
            "set min.insync.replicas to 2 or more: what one replica has counts as delivered, and dies with it"
          )
        }
        if (topic.replicas === 1) {
          return warning(name, shape, "give it three replicas where events must survive the loss of a node")
        }
        return ok(name, `${shape}, min.insync.replicas ${topic.minInsyncReplicas ?? "not known"}`)
      })
    ]
  })

const amqp = (exchanges: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { inspectConfig } = yield* load("@effect-cqrs/amqp", () => import("@effect-cqrs/amqp/Inspection"))
    const { blocked, exchanges: found } = yield* inspectConfig(exchanges)
    return [
      blocked === undefined
        ? ok("broker", "RabbitMQ")
        : problem("broker", `RabbitMQ takes no messages: ${blocked}`, "give it memory or disk space"),
      ...found.map(({ name, trouble }): Finding =>
        trouble === undefined
          ? ok(`exchange ${name}`, "is there")
          : problem(`exchange ${name}`, trouble, "declare it and bind a queue to it; its events wait meanwhile")
      )
    ]
  })
