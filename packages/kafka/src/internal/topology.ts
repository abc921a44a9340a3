import { BrokerError } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Topic, Topology } from "../Topology.ts"
import type { Catalog } from "./catalog.ts"
import { detailsOf, isConfiguration, ofCode, ofError } from "./classification.ts"
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
    ? configuration(advised(error), error)
    : unavailable(ofError(error).reason, error)

const advised = (error: unknown): string => {
  const { message, name, type } = detailsOf(error)
  return name === "KafkaJSSASLAuthenticationError" || type === "SASL_AUTHENTICATION_FAILED"
    ? `Kafka refuses the login: correct the user and the password, or the mechanism (${message})`
    : ofError(error).reason
}

/** What is wrong with it whatever Kafka has. */
export const check = ({ topics }: Topology): Effect.Effect<void, BrokerError> => {
  const wrong = topics.find(({ partitions }) => !Number.isSafeInteger(partitions) || partitions < 1)
  return wrong === undefined
    ? Effect.void
    : configuration(`The partitions of the topic ${wrong.name} are ${wrong.partitions}: say how many, from 1`)
}

/** Looks for topics, and makes those that are missing where this is asked for. */
export const ensure = (
  client: Pick<Client, "createTopics">,
  catalog: Catalog,
  topology: Topology,
  timeout: number
): Effect.Effect<void, BrokerError> =>
  Effect.gen(function*() {
    const { create = false, topics } = topology
    if (topics.length === 0) return

    /** Answers with those that are missing. */
    const look = Effect.gen(function*() {
      const found = yield* Effect.mapError(catalog.find(topics.map(({ name }) => name)), brokerError)
      const missing: Array<Topic> = []
      const problems: Array<string> = []
      for (const topic of topics) {
        const one = found.get(topic.name)!
        if (Either.isLeft(one)) {
          const isMissing = one.left.reason.includes("UNKNOWN_TOPIC_OR_PARTITION")
          if (isMissing && create) missing.push(topic)
          else problems.push(isMissing ? notThere(topic.name) : one.left.reason)
          continue
        }
        const { length } = one.right.leaders
        if (length === topic.partitions) continue
        problems.push(
          `The topic ${topic.name} has ${length} partitions, not ${topic.partitions}: declare it so, or change it ` +
            "(which moves keys to other partitions)"
        )
      }
      return problems.length > 0 ? yield* configuration(problems.join(". ")) : missing
    })

    const missing = yield* look
    if (missing.length === 0) return
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
    const problems = made.flatMap(({ errorCode, topic }) =>
      errorCode === 0 || errorCode === alreadyExists
        ? []
        : [ofCode(errorCode, `The topic ${topic} cannot be made`).reason]
    )
    if (problems.length > 0) return yield* configuration(problems.join(". "))
    // somebody else was quicker, and may have made it otherwise
    if (made.some(({ errorCode }) => errorCode === alreadyExists)) yield* look
  })

const notThere = (name: string): string =>
  `The topic ${name} does not exist: create it, or have it made with \`create: true\` in the topology`

const alreadyExists = 36
