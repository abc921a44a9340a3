import { BrokerError } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Topic, Topology } from "../Topology.ts"
import type { Catalog } from "./catalog.ts"
import { isConfiguration, ofCode, ofError } from "./classification.ts"
import type { Client } from "./client.ts"

export const configuration = (message: string, cause?: unknown): BrokerError =>
  new BrokerError({ reason: "Configuration", message, ...(cause === undefined ? {} : { cause }) })

export const unavailable = (message: string, cause?: unknown): BrokerError =>
  new BrokerError({ reason: "Unavailable", message, ...(cause === undefined ? {} : { cause }) })

/** What kafkajs threw in place of an answer. */
export const brokerError = (error: unknown): BrokerError =>
  error instanceof BrokerError
    ? error
    : isConfiguration(error)
    ? configuration(ofError(error).reason, error)
    : unavailable(ofError(error).reason, error)

/** Looks for topics, and makes those that are missing where this is asked for. */
export const ensure = (
  client: Client,
  catalog: Catalog,
  topology: Topology,
  timeout: number
): Effect.Effect<void, BrokerError> =>
  Effect.gen(function*() {
    const { topics } = topology
    if (topics.length === 0) return
    const missing: Array<Topic> = []
    const problems: Array<string> = []
    const look = Effect.gen(function*() {
      missing.length = 0
      problems.length = 0
      const found = yield* Effect.mapError(catalog.find(topics.map(({ name }) => name)), brokerError)
      for (const topic of topics) {
        const one = found.get(topic.name)!
        if (Either.isRight(one)) {
          const { length } = one.right.leaders
          if (length === topic.partitions) continue
          problems.push(
            `The topic ${topic.name} has ${length} partitions, not ${topic.partitions}: declare it so, or change it ` +
              "(which moves keys to other partitions)"
          )
        } else if (one.left.reason.includes("UNKNOWN_TOPIC_OR_PARTITION")) missing.push(topic)
        else problems.push(one.left.reason)
      }
    })
    yield* look
    if (problems.length === 0 && missing.length > 0) {
      if (topology.create === true) {
        const made = yield* Effect.mapError(
          client.createTopics(
            missing.map(({ config = {}, name, partitions, replicationFactor = -1 }) => ({
              topic: name,
              numPartitions: partitions,
              replicationFactor,
              configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value }))
            })),
            timeout
          ),
          brokerError
        )
        for (const { errorCode, topic } of made) {
          if (errorCode !== 0 && errorCode !== alreadyExists) {
            problems.push(ofCode(errorCode, `The topic ${topic} cannot be made`).reason)
          }
        }
      } else for (const { name } of missing) problems.push(`The topic ${name} does not exist: create it, or ask for it`)
    }
    if (problems.length > 0) return yield* configuration(problems.join(". "))
  })

const alreadyExists = 36
