import { BrokerError } from "@effect-cqrs/core/Broker"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import type { Topic, Topology } from "../Topology.ts"
import type { Catalog, Topic as Found } from "./catalog.ts"
import { type Answered, detailsOf, isConfiguration, ofCode, ofError, protocolError } from "./classification.ts"
import type { Client } from "./client.ts"

export const configuration = (message: string, cause?: unknown): BrokerError =>
  new BrokerError({ reason: "Configuration", message, ...(cause === undefined ? {} : { cause }) })

export const unavailable = (message: string, cause?: unknown): BrokerError =>
  new BrokerError({ reason: "Unavailable", message, ...(cause === undefined ? {} : { cause }) })

/** What kafkajs threw in place of an answer. */
export const brokerError = (error: unknown): BrokerError =>
  error instanceof BrokerError
    ? error
    : (isConfiguration(error) ? configuration : unavailable)(ofError(error).reason, error)

/** What a node has answered to a question that was not about messages. */
export const answered = ({ isConfiguration, reason }: Answered): BrokerError =>
  (isConfiguration ? configuration : unavailable)(reason)

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
      const problems: Array<BrokerError> = []
      for (const topic of topics) {
        const one = found.get(topic.name)!
        if (Either.isLeft(one)) {
          const isMissing = one.left.type === "UNKNOWN_TOPIC_OR_PARTITION"
          if (isMissing && create) missing.push(topic)
          else problems.push(isMissing ? configuration(notThere(topic.name)) : answered(one.left))
          continue
        }
        const { length } = one.right.leaders
        if (length === topic.partitions) continue
        problems.push(configuration(
          `The topic ${topic.name} has ${length} partitions, not ${topic.partitions}: declare it so, or change it ` +
            "(which moves keys to other partitions)"
        ))
      }
      return problems.length > 0 ? yield* worst(problems) : missing
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
        : [configuration(ofCode(errorCode, `The topic ${topic} cannot be made`).reason)]
    )
    if (problems.length > 0) return yield* worst(problems)
    // the nodes learn of them one after the other; and somebody else may have been quicker, and have made it otherwise
    yield* patiently(
      Effect.flatMap(look, ([late]) =>
        late === undefined ? Effect.void : unavailable(`The topic ${late.name} was made, and is not there yet`)),
      timeout
    )
  })

/** Topics that must be there. One that is being made has no leader at first. */
export const required = (
  catalog: Catalog,
  topics: ReadonlyArray<string>,
  timeout: number
): Effect.Effect<ReadonlyArray<Found>, BrokerError> =>
  topics.length === 0 ? Effect.succeed([]) : patiently(
    Effect.flatMap(Effect.mapError(catalog.find(topics), brokerError), (found) => {
      const [problems, well] = Arr.separate(found.values())
      return problems.length > 0 ? worst(problems.map(answered)) : Effect.succeed(well)
    }),
    timeout
  )

/** What a group is doing, as far as this login may know: who may not, may not join it either. */
export const stateOf = (client: Pick<Client, "group">, group: string): Effect.Effect<string, BrokerError> => {
  const judged = (code: number) => answered(ofCode(code, `The group ${group}`))
  return client.group(group).pipe(
    Effect.mapError((error) => {
      const { code, name } = detailsOf(error)
      return name === protocolError ? judged(Number(code)) : brokerError(error)
    }),
    Effect.flatMap(({ errorCode, state }) => errorCode === 0 ? Effect.succeed(state) : judged(errorCode))
  )
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** What a node has answered may be another answer soon: it is asked again for so long, in milliseconds. */
const patiently = <A>(effect: Effect.Effect<A, BrokerError>, timeout: number): Effect.Effect<A, BrokerError> =>
  Effect.timeoutFail(effect, {
    duration: timeout,
    onTimeout: () => brokerError(new Error("it does not answer"))
  }).pipe(
    Effect.retry({
      // what has a cause was not answered
      while: ({ cause, reason }) => reason === "Unavailable" && cause === undefined,
      schedule: Schedule.spaced(pause).pipe(Schedule.upTo(timeout))
    })
  )

/** In milliseconds. */
const pause = 100

/** What waiting does not mend goes before what it does. */
const worst = (problems: ReadonlyArray<BrokerError>): BrokerError => {
  const mistakes = problems.filter(({ reason }) => reason === "Configuration")
  return mistakes.length > 0 ? configuration(sentencesOf(mistakes)) : unavailable(sentencesOf(problems))
}

const sentencesOf = (problems: ReadonlyArray<BrokerError>): string => problems.map(({ message }) => message).join(". ")

const notThere = (name: string): string =>
  `The topic ${name} does not exist: create it, or have it made with \`create: true\` in the topology`

const alreadyExists = 36
