import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type Answered, ofCode } from "./classification.ts"
import type { Client } from "./client.ts"

/** A topic as it is now. */
export interface Topic {
  readonly name: string
  /** The node that leads each partition, by the partition's number; -1 for none. */
  readonly leaders: ReadonlyArray<number>
  /** Partitions that have a leader. */
  readonly available: ReadonlyArray<number>
  readonly replicas: number
  /** The most bytes of a record batch. */
  readonly maxBytes: number
}

/** What is known of topics. */
export interface Catalog {
  /**
   * Looks up those that are not known, or not lately. What is missing is looked up again each time. It fails if no node
   * can say.
   */
  readonly find: (
    topics: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyMap<string, Either.Either<Topic, Answered>>, unknown>
  readonly forget: (topics: Iterable<string>) => void
  readonly nodes: () => number
}

/** What Kafka's brokers have by default, with the overhead of a batch. */
const defaultMaxBytes = 1_048_588

export const make = (client: Pick<Client, "configs" | "metadata">, maxAge: number): Effect.Effect<Catalog> =>
  Effect.map(Effect.makeSemaphore(1), (semaphore) => {
    const known = new Map<string, { readonly topic: Topic; readonly until: number }>()
    const warned = new Set<string>()
    let nodes = 0

    const missing = (topics: ReadonlyArray<string>, now: number) =>
      topics.filter((name) => (known.get(name)?.until ?? 0) <= now)

    const warn = (topic: string, replicas: number, least: number) =>
      Effect.suspend(() => {
        if (least > 1 || replicas < 2 || warned.has(topic)) return Effect.void
        warned.add(topic)
        return Effect.logWarning(
          `The topic ${topic} has ${replicas} replicas, and min.insync.replicas is 1: a message that one of them has ` +
            "counts as delivered, and dies with it. Set it to 2 or more."
        )
      })

    /** Not everybody may read the configuration: then it is taken to be the usual one, and Kafka judges. */
    const configs = (topics: ReadonlyArray<string>) =>
      Effect.map(
        Effect.orElseSucceed(client.configs(topics), () => []),
        (found) => new Map(found.map(({ topic, values }) => [topic, values]))
      )

    const ask = (topics: ReadonlyArray<string>, now: number) =>
      Effect.gen(function*() {
        const metadata = yield* client.metadata(topics)
        nodes = metadata.brokers.length
        const results = new Map<string, Either.Either<Topic, Answered>>()
        const there = metadata.topicMetadata.filter(({ topicErrorCode }) => topicErrorCode === 0)
        const settings = there.length === 0 ? new Map<string, ReadonlyMap<string, string>>() : yield* configs(
          there.map(({ topic }) => topic)
        )
        for (const { partitionMetadata, topic: name, topicErrorCode } of metadata.topicMetadata) {
          if (topicErrorCode !== 0) {
            known.delete(name)
            results.set(name, Either.left(ofCode(topicErrorCode, `The topic ${name}`)))
            continue
          }
          const leaders = Array.from({ length: partitionMetadata.length }, () => -1)
          for (const { leader, partitionErrorCode, partitionId } of partitionMetadata) {
            // a replica that is missing is no reason not to write to the leader
            if (partitionErrorCode === 0 || partitionErrorCode === replicaNotAvailable) leaders[partitionId] = leader
          }
          const replicas = Math.max(0, ...partitionMetadata.map((one) => one.replicas.length))
          const config = settings.get(name)
          const topic: Topic = {
            name,
            leaders,
            available: leaders.flatMap((leader, partition) => leader < 0 ? [] : [partition]),
            replicas,
            maxBytes: Number(config?.get("max.message.bytes") ?? defaultMaxBytes)
          }
          const isWell = topic.available.length === leaders.length
          known.set(name, { topic, until: isWell ? now + maxAge : now })
          results.set(name, Either.right(topic))
          if (config !== undefined) yield* warn(name, replicas, Number(config.get("min.insync.replicas") ?? 1))
        }
        return results
      })

    return {
      nodes: () => nodes,
      forget: (topics) => {
        for (const name of topics) known.delete(name)
      },
      find: (topics) =>
        Effect.flatMap(Clock.currentTimeMillis, (start) => {
          const all = (asked: ReadonlyMap<string, Either.Either<Topic, Answered>>) =>
            new Map(topics.map((name) => [
              name,
              asked.get(name) ?? (known.has(name)
                ? Either.right(known.get(name)!.topic)
                : Either.left(ofCode(unknownTopic, `The topic ${name}`)))
            ]))
          if (missing(topics, start).length === 0) return Effect.succeed(all(new Map()))
          return semaphore.withPermits(1)(
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              const wanted = missing(topics, now)
              return wanted.length === 0 ? Effect.succeed(all(new Map())) : Effect.map(ask(wanted, now), all)
            })
          )
        })
    }
  })

const replicaNotAvailable = 9
const unknownTopic = 3
