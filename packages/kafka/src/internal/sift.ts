import type { BrokerError, Delivery, Outcome } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import type { Catalog } from "./catalog.ts"
import { ofCode } from "./classification.ts"
import type { Client, Record } from "./client.ts"
import { changed, type Outgoing } from "./record.ts"
import { answered, brokerError, required, stateOf, unavailable } from "./topology.ts"

export interface Sifting {
  readonly client: Client
  readonly catalog: Catalog
  readonly fromBeginning: boolean
  /** How long what the brokers must settle first is waited for, in milliseconds. */
  readonly timeout: number
  readonly deliver: (topic: string, partition: number, record: Record) => Delivery
  readonly append: (batch: ReadonlyArray<Outgoing>) => Effect.Effect<ReadonlyArray<Outcome>>
}

interface Queue {
  readonly topic: string
  readonly group: string
}

interface Range {
  readonly partition: number
  readonly leader: number
  readonly start: number
  readonly end: number
}

/**
 * Partition after partition, from the group's offset to what is the end when it begins. Kafka remembers one offset for a
 * partition: what is kept before the last one that was settled is appended once more, and then the offset moves past it.
 */
export const sift = <E, R>(
  sifting: Sifting,
  queue: Queue,
  decide: (delivery: Delivery) => Effect.Effect<"settled" | "kept", E, R>
): Effect.Effect<number, BrokerError | E, R> =>
  Effect.gen(function*() {
    const ranges = yield* rangesOf(sifting, queue)
    let settled = 0
    for (const range of ranges) {
      const kept = new Set<number>()
      let last = -1
      yield* through(sifting, queue.topic, range, range.end, (record) =>
        Effect.map(decide(sifting.deliver(queue.topic, range.partition, record)), (what) => {
          const offset = Number(record.offset)
          if (what === "kept") {
            kept.add(offset)
          } else {
            last = offset
            settled += 1
          }
        })).pipe(
          // what is settled so far is settled, whatever comes
          Effect.onError(() =>
            Effect.ignore(finish(sifting, queue, range, kept, last))
          )
        )
      yield* Effect.uninterruptible(finish(sifting, queue, range, kept, last))
    }
    return settled
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const pageBytes = 1024 * 1024

const rangesOf = (
  { catalog, client, fromBeginning, timeout }: Sifting,
  { group, topic }: Queue
): Effect.Effect<ReadonlyArray<Range>, BrokerError> =>
  Effect.gen(function*() {
    const [found] = yield* required(catalog, [topic], timeout)
    const state = yield* stateOf(client, group)
    if (state !== "Empty" && state !== "Dead") {
      return yield* unavailable(
        `The group ${group} has members: what they hold cannot be sifted. Stop its consumers, and try again`
      )
    }
    const { leaders } = found!
    const headless = leaders.indexOf(-1)
    if (headless >= 0) return yield* unavailable(`Partition ${headless} of the topic ${topic} has no leader`)
    const byLeader = new Map<number, Array<number>>()
    leaders.forEach((leader, partition) => byLeader.set(leader, [...byLeader.get(leader) ?? [], partition]))
    const offsetsOf = (which: "earliest" | "latest") =>
      Effect.map(
        Effect.mapError(
          Effect.forEach(byLeader, ([leader, partitions]) => client.offsets(leader, topic, partitions, which)),
          brokerError
        ),
        (offsets) => new Map(offsets.flat().map(({ offset, partition }) => [partition, offset]))
      )
    const ends = yield* offsetsOf("latest")
    const begins = yield* offsetsOf("earliest")
    const committed = yield* Effect.mapError(client.committed(group, topic, leaders.map((_, one) => one)), brokerError)
    const unknown = committed.find(({ errorCode }) => errorCode !== 0)
    if (unknown !== undefined) {
      return yield* answered(ofCode(unknown.errorCode, `The offsets of the group ${group}`))
    }
    return committed.map(({ offset, partition }) => {
      const [begin, end] = [begins.get(partition) ?? 0, ends.get(partition) ?? 0]
      const start = offset >= 0 ? Math.max(offset, begin) : fromBeginning ? begin : end
      return { partition, leader: leaders[partition]!, start, end }
    }).filter(({ end, start }) => start < end)
  })

/** Each message of a range, page by page. */
const through = <E, R>(
  { client }: Sifting,
  topic: string,
  { leader, partition, start }: Range,
  end: number,
  each: (record: Record) => Effect.Effect<void, E, R>
): Effect.Effect<void, BrokerError | E, R> =>
  Effect.gen(function*() {
    let at = start
    while (at < end) {
      const page = yield* Effect.mapError(
        client.fetch(leader, { topic, partition, offset: at, maxBytes: pageBytes }),
        brokerError
      )
      if (page.errorCode !== 0) {
        return yield* answered(ofCode(page.errorCode, `Partition ${partition} of the topic ${topic}`))
      }
      for (const record of page.records) if (Number(record.offset) < end) yield* each(record)
      // nothing more is shown, though the end is further on: control records
      if (page.next === at) return
      at = page.next
    }
  })

const finish = (
  sifting: Sifting,
  { group, topic }: Queue,
  range: Range,
  kept: ReadonlySet<number>,
  last: number
): Effect.Effect<void, BrokerError> =>
  Effect.gen(function*() {
    if (last < 0) return
    let batch: Array<Outgoing> = []
    let bytes = 0
    const flush = Effect.suspend(() => {
      const sent = batch
      batch = []
      bytes = 0
      return Effect.flatMap(sifting.append(sent), (outcomes) => {
        const failed = outcomes.find(({ _tag }) => _tag !== "Delivered")
        return failed === undefined || failed._tag === "Delivered" ? Effect.void : unavailable(
          `What is kept of the topic ${topic} could not be appended once more: ${failed.reason}`
        )
      })
    })
    if (kept.size > 0) {
      yield* through(sifting, topic, range, last, (record) => {
        if (!kept.has(Number(record.offset))) return Effect.void
        batch.push(changed(record, { topic, headers: {} }))
        bytes += record.value?.length ?? 0
        return bytes > pageBytes ? flush : Effect.void
      })
      yield* flush
    }
    const answers = yield* Effect.mapError(
      sifting.client.commit(group, topic, [{ partition: range.partition, offset: last + 1 }]),
      brokerError
    )
    const refused = answers.find(({ errorCode }) => errorCode !== 0)
    if (refused !== undefined) {
      return yield* unavailable(
        `The group ${group} got members meanwhile: stop its consumers, and try again ` +
          `(${ofCode(refused.errorCode, "its offset").reason})`
      )
    }
  })
