import type { Outcome } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Catalog, Topic } from "./catalog.ts"
import { type Chunk, cut, type Entry, halves, messagesOf } from "./chunks.ts"
import { type Judged, ofCode, ofError } from "./classification.ts"
import type { Client, ProduceRequest } from "./client.ts"
import type { Partitioner } from "./partitioner.ts"
import { batchOverhead, type Outgoing, sizeOf } from "./record.ts"
import type { Session, Sessions } from "./session.ts"

export interface Settings {
  readonly partitioner: Partitioner
  /** As Kafka numbers them; 0 for none. */
  readonly compression: number
  /** Milliseconds. */
  readonly deadline: number
}

/** Left: why it can never be sent. */
type Batch = ReadonlyArray<Either.Either<Outgoing, string>>

export interface Producer {
  readonly send: (batch: Batch, lanes: ReadonlyArray<string | undefined>) => Effect.Effect<ReadonlyArray<Outcome>>
}

/** What is left to be sent to one partition, in order. */
interface Part {
  readonly topic: string
  readonly partition: number
  chunks: Array<Chunk>
  /** Why it is to be sent again. */
  again: Judged | undefined
}

export const make = (
  client: Client,
  catalog: Catalog,
  sessions: Sessions,
  settings: Settings
): Producer => {
  /** Requests to a node go one after the other: Kafka takes the numbers of a partition in their order. */
  const turns = new Map<number, Effect.Semaphore>()
  const turnOf = (node: number): Effect.Semaphore => {
    const known = turns.get(node)
    if (known !== undefined) return known
    const made = Effect.unsafeMakeSemaphore(1)
    turns.set(node, made)
    return made
  }
  let spread = 0

  const send: Producer["send"] = (batch, lanes) => {
    const outcomes: Array<Outcome | undefined> = batch.map(() => undefined)
    /** Those of which one was not delivered. */
    const failed = new Set<string>()
    /** Nodes that owe an answer. */
    const waiting = new Map<number, Session>()

    const fail = ({ index, lane }: Pick<Entry, "index" | "lane">, outcome: Outcome): void => {
      outcomes[index] = outcome
      if (lane !== undefined) failed.add(lane)
    }

    const failPart = (part: Part, { reason, verdict }: Judged): void => {
      const scope = verdict === "broker" || verdict === "destination" ? verdict : "part"
      for (const { entries } of part.chunks) for (const entry of entries) fail(entry, retriable(scope, reason))
      part.chunks = []
      part.again = undefined
    }

    /** To be called in the batch's order. Answers whether it can go on. */
    const passes = (entry: Entry): boolean => {
      if (entry.lane === undefined || !failed.has(entry.lane)) return true
      fail(entry, retriable("part", "An earlier message of its key was not delivered"))
      return false
    }

    const spreadOver = ({ available, leaders }: Topic): number =>
      available.length > 0 ? available[spread++ % available.length]! : spread++ % leaders.length

    const partsOf = (topics: ReadonlyMap<string, Either.Either<Topic, Judged>>): Array<Part> => {
      const entries = new Map<string, { topic: Topic; partition: number; entries: Array<Entry> }>()
      for (let index = 0; index < batch.length; index++) {
        const one = batch[index]!
        const lane = lanes[index]
        if (Either.isLeft(one)) {
          fail({ index, lane }, { _tag: "Rejected", reason: one.left })
          continue
        }
        const outgoing = one.right
        const entry: Entry = { index, outgoing, lane }
        if (!passes(entry)) continue
        const found = topics.get(outgoing.topic)!
        if (Either.isLeft(found)) {
          fail(entry, retriable(found.left.verdict === "broker" ? "broker" : "destination", found.left.reason))
          continue
        }
        const topic = found.right
        if (settings.compression === 0) {
          const least = sizeOf(outgoing).least + batchOverhead
          if (least > topic.maxBytes) {
            fail(entry, {
              _tag: "Rejected",
              reason: `With its headers it takes ${least} bytes: the topic ${topic.name} takes ${topic.maxBytes}. ` +
                "Raise max.message.bytes of the topic, or send less"
            })
            continue
          }
        }
        const partition = outgoing.key === null
          ? spreadOver(topic)
          : settings.partitioner(outgoing.key, topic.leaders.length)
        const name = `${topic.name}/${partition}`
        const known = entries.get(name)
        if (known === undefined) entries.set(name, { topic, partition, entries: [entry] })
        else known.entries.push(entry)
      }
      return [...entries.values()].map(({ entries, partition, topic }) => ({
        topic: topic.name,
        partition,
        chunks: cut(entries, topic.maxBytes),
        again: undefined
      }))
    }

    const requestOf = (parts: ReadonlyArray<Part>, session: Session): ProduceRequest => {
      const topics = new Map<string, Array<ProduceRequest["topicData"][number]["partitions"][number]>>()
      for (const { chunks, partition, topic } of parts) {
        const messages = messagesOf(chunks[0]!)
        const data = { partition, firstSequence: session.next(topic, partition, messages.length), messages }
        const known = topics.get(topic)
        if (known === undefined) topics.set(topic, [data])
        else known.push(data)
      }
      return {
        topicData: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
        producerId: session.producerId,
        producerEpoch: session.producerEpoch,
        compression: settings.compression,
        timeout: settings.deadline
      }
    }

    /** What a node said of the first chunk of a partition. */
    const judge = (part: Part, code: number): void => {
      const [chunk, ...rest] = part.chunks as [Chunk, ...Array<Chunk>]
      if (code === 0) {
        for (const { index } of chunk.entries) outcomes[index] = delivered
        part.chunks = rest
        return
      }
      const judged = ofCode(code, `Partition ${part.partition} of the topic ${part.topic}`)
      if (judged.verdict === "again") {
        part.again = judged
        return
      }
      if (judged.verdict !== "rejected") return failPart(part, judged)
      // the limit may be another than the one that is known
      catalog.forget([part.topic])
      if (chunk.entries.length > 1) {
        part.chunks = [...halves(chunk), ...rest]
        return
      }
      fail(chunk.entries[0]!, { _tag: "Rejected", reason: judged.reason })
      part.chunks = rest.map((one) => ({ ...one, entries: one.entries.filter(passes) })).filter(isFilled)
    }

    const exchange = (node: number, parts: ReadonlyArray<Part>) =>
      Effect.flatMap(sessions.current, (session) =>
        Effect.suspend(() => {
          waiting.set(node, session)
          return client.produce(node, requestOf(parts, session))
        }).pipe(
          Effect.map((answers) => {
            waiting.delete(node)
            let isWell = answers.length === parts.length
            for (const part of parts) {
              const answer = answers.find(({ partition, topic }) =>
                topic === part.topic && partition === part.partition
              )
              if (answer?.errorCode !== 0) isWell = false
              judge(part, answer?.errorCode ?? unknown)
            }
            if (!isWell) sessions.giveUp(session)
          }),
          Effect.tapError(() =>
            Effect.sync(() => {
              waiting.delete(node)
              sessions.giveUp(session)
            })
          ),
          Effect.onInterrupt(() => Effect.sync(() => sessions.giveUp(session)))
        ))

    /** Sends to one node until nothing is left that it can be asked for. */
    const drain = (node: number, parts: ReadonlyArray<Part>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const next: Array<Part> = []
        let bytes = 0
        for (const part of parts) {
          const chunk = part.chunks[0]
          if (chunk === undefined || part.again !== undefined) continue
          if (next.length > 0 && bytes + chunk.bytes > maxRequestBytes) break
          next.push(part)
          bytes += chunk.bytes
        }
        if (next.length === 0) return Effect.void
        return turnOf(node).withPermits(1)(exchange(node, next)).pipe(
          Effect.matchEffect({
            onSuccess: () => drain(node, parts),
            onFailure: (error) => {
              const judged = ofError(error)
              // other nodes may answer
              const verdict = judged.verdict === "broker" && catalog.nodes() > 1 ? "part" : judged.verdict
              for (const part of parts) failPart(part, { ...judged, verdict })
              catalog.forget(parts.map(({ topic }) => topic))
              return client.drop(node)
            }
          })
        )
      })

    const round = (
      parts: ReadonlyArray<Part>,
      topics: ReadonlyMap<string, Either.Either<Topic, Judged>>
    ): Effect.Effect<void> => {
      const byLeader = new Map<number, Array<Part>>()
      for (const part of parts) {
        const found = topics.get(part.topic)
        if (found === undefined || Either.isLeft(found)) {
          failPart(part, {
            verdict: "destination",
            reason: found === undefined ? `The topic ${part.topic} is gone` : found.left.reason
          })
          continue
        }
        const leader = found.right.leaders[part.partition] ?? -1
        if (leader < 0) {
          part.again = {
            verdict: "part",
            reason: `Partition ${part.partition} of the topic ${part.topic} has no leader`
          }
          continue
        }
        const known = byLeader.get(leader)
        if (known === undefined) byLeader.set(leader, [part])
        else known.push(part)
      }
      return Effect.forEach(byLeader, ([node, ofNode]) => drain(node, ofNode), {
        concurrency: "unbounded",
        discard: true
      })
    }

    const rounds = (
      parts: ReadonlyArray<Part>,
      topics: ReadonlyMap<string, Either.Either<Topic, Judged>>,
      waits: ReadonlyArray<number>
    ): Effect.Effect<void, unknown> =>
      Effect.zipRight(
        round(parts, topics),
        Effect.suspend(() => {
          const left = parts.filter(({ again }) => again !== undefined)
          if (left.length === 0) return Effect.void
          const [wait, ...later] = waits
          if (wait === undefined) {
            giveUp(left, topics)
            return Effect.void
          }
          const names = [...new Set(left.map(({ topic }) => topic))]
          return Effect.zipRight(
            Effect.sleep(wait),
            Effect.suspend(() => {
              catalog.forget(names)
              for (const part of left) part.again = undefined
              return Effect.flatMap(catalog.find(names), (found) => rounds(left, found, later))
            })
          )
        })
      )

    /** If all partitions of a topic are out, the topic is. */
    const giveUp = (left: ReadonlyArray<Part>, topics: ReadonlyMap<string, Either.Either<Topic, Judged>>): void => {
      const out = new Map<string, number>()
      for (const { topic } of left) out.set(topic, (out.get(topic) ?? 0) + 1)
      for (const part of left) {
        const found = topics.get(part.topic)
        const count = found !== undefined && Either.isRight(found) ? found.right.leaders.length : 0
        const verdict = out.get(part.topic)! >= count ? "destination" : "part"
        failPart(part, { verdict, reason: part.again!.reason })
      }
    }

    const names = [...new Set(batch.flatMap((one) => Either.isRight(one) ? [one.right.topic] : []))]
    const finish = (scope: Scope, reason: string): ReadonlyArray<Outcome> =>
      outcomes.map((outcome) => outcome ?? retriable(scope, reason))

    return Effect.flatMap(
      catalog.find(names),
      (topics) => Effect.suspend(() => rounds(partsOf(topics), topics, waitsBeforeAgain))
    ).pipe(
      Effect.match({
        onSuccess: () => finish("broker", "It was not answered"),
        onFailure: (error) => finish("broker", ofError(error).reason)
      }),
      Effect.timeoutTo({
        duration: settings.deadline,
        onSuccess: (done): Effect.Effect<ReadonlyArray<Outcome>> => Effect.succeed(done),
        onTimeout: () =>
          Effect.suspend(() => {
            for (const session of waiting.values()) sessions.giveUp(session)
            const reason = `Kafka did not answer within ${settings.deadline} ms`
            catalog.forget(names)
            return Effect.as(
              Effect.forEach(waiting.keys(), client.drop, { discard: true }),
              finish("broker", reason)
            )
          })
      }),
      Effect.flatten
    )
  }

  return {
    send: (batch, lanes) => batch.length === 0 ? Effect.succeed([]) : Effect.suspend(() => send(batch, lanes))
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type Scope = "broker" | "destination" | "part"

const delivered: Outcome = { _tag: "Delivered" }

const retriable = (scope: Scope, reason: string): Outcome => ({ _tag: "Retriable", scope, reason })

/** Milliseconds before what was not written is sent again: a new leader is found within them, as a rule. */
const waitsBeforeAgain = [50, 200, 500]

const maxRequestBytes = 16 * 1024 * 1024

const unknown = -1

const isFilled = ({ entries }: Chunk): boolean => entries.length > 0
