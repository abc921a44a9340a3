import type { Delivery } from "@effect-cqrs/core/Broker"
import * as Handout from "@effect-cqrs/core/Handout"
import type { Record } from "./client.ts"
import * as Prefix from "./prefix.ts"

interface Batch {
  readonly topic: string
  readonly partition: number
  /** What was asked for. */
  readonly from: number
  /** Of the last message, those that are not shown among them. */
  readonly last: number
  readonly end: number
  readonly records: ReadonlyArray<Record>
}

/** A partition that this member has. */
export interface Part {
  readonly topic: string
  readonly partition: number
  readonly prefix: Prefix.Prefix
  /** What was fetched, and not offered yet. */
  buffer: ReadonlyArray<Record>
  at: number
  /** How many were offered and are not settled. */
  out: number
  /** What is to be fetched next; everything before it was. */
  next: number
  /** How far the group's offset is known to be. */
  committed: number
  /** The offset of the next message to be written. */
  end: number
  /**
   * How far it was when the group was joined anew: what is fetched next begins at the group's offset. `undefined`: it was
   * fetched since.
   */
  rejoined: number | undefined
  isPaused: boolean
}

/** What one member of a group holds, by partition. */
export interface Holding {
  readonly handout: Handout.Handout
  readonly parts: () => Iterable<Part>
  /** From now on it has these partitions. What it held of others is taken back. */
  readonly assign: (assignment: Readonly<globalThis.Record<string, ReadonlyArray<number>>>) => ReadonlyArray<Part>
  /** Takes back all it holds: its log is gone. */
  readonly reset: () => void
  /** Takes in what was fetched, but for what it has already. `undefined`: it does not have the partition. */
  readonly receive: (batch: Batch) => Part | undefined
  /** With fewer than it should have in hand of a partition, more is fetched. */
  readonly hasRoom: (part: Part) => boolean
  /** Whether more is to be fetched of any of its partitions. */
  readonly isWanting: () => boolean
  readonly isCurrent: (part: Part) => boolean
}

export interface Options {
  /** The most that is offered and not settled. Half of it is shared out to the partitions, half is for whoever is first. */
  readonly window: number
  readonly deliver: (topic: string, partition: number, record: Record) => Delivery
  readonly laneOf: (part: Part, record: Record) => string | undefined
  /** Something was settled or offered. */
  readonly onProgress: (part: Part) => void
}

export const make = (options: Options): Holding => {
  const handout = Handout.make()
  const parts = new Map<string, Part>()
  let assigned: ReadonlySet<string> = new Set()
  let buffered = 0
  let isPumping = false
  /** The partitions, in turn. */
  let ring: ReadonlyArray<Part> = []
  let turn = 0
  /** What each partition may have out whatever the others have; and how much is out, in sum, beyond that. */
  let share = 0
  let beyond = 0
  let mostBeyond = options.window

  const shareOut = (): void => {
    ring = [...parts.values()]
    const count = Math.max(assigned.size, ring.length, 1)
    share = options.window < count ? 0 : Math.max(1, Math.floor(options.window / (2 * count)))
    mostBeyond = options.window - count * share
    beyond = ring.reduce((sum, { out }) => sum + Math.max(0, out - share), 0)
  }

  const drop = (name: string, part: Part): void => {
    buffered -= part.buffer.length - part.at
    part.buffer = []
    part.at = 0
    part.out = 0
    parts.delete(name)
    handout.withdraw(part)
    shareOut()
  }

  const offer = (part: Part, record: Record): void => {
    const lane = options.laneOf(part, record)
    part.at += 1
    buffered -= 1
    if (part.out >= share) beyond += 1
    part.out += 1
    const entry = part.prefix.add(Number(record.offset), record.timestamp)
    handout.offer({
      deliver: () => options.deliver(part.topic, part.partition, record),
      lane,
      origin: part,
      onSettled: () => {
        part.out -= 1
        if (part.out >= share) beyond -= 1
        part.prefix.settle(entry)
        if (buffered > 0) pump()
        options.onProgress(part)
      }
    })
    if (part.at === part.buffer.length) empty(part)
  }

  /** Nothing will come before what is fetched next, messages that are not shown among it. */
  const empty = (part: Part): void => {
    part.buffer = []
    part.at = 0
    part.prefix.skipTo(part.next)
  }

  const hasRoom = (part: Part): boolean => part.buffer.length - part.at <= lowMark / Math.max(assigned.size, 1)

  /** Offers one of each partition in turn, as long as there is room. */
  const pump = (): void => {
    // what is offered may be settled at once
    if (isPumping) return
    isPumping = true
    let idle = 0
    while (buffered > 0 && idle < ring.length && handout.size() < options.window) {
      const part = ring[turn++ % ring.length]!
      const isNext = part.at < part.buffer.length && (part.out < share || beyond < mostBeyond)
      if (isNext) offer(part, part.buffer[part.at]!)
      idle = isNext ? 0 : idle + 1
    }
    isPumping = false
  }

  const begin = (name: string, { from, partition, topic }: Batch): Part => {
    const part: Part = {
      topic,
      partition,
      prefix: Prefix.make(from),
      buffer: [],
      at: 0,
      out: 0,
      next: from,
      committed: from,
      end: from,
      rejoined: undefined,
      isPaused: false
    }
    parts.set(name, part)
    shareOut()
    return part
  }

  /** Where this is not the continuation of what is held: the group's offset was moved, or the topic made anew. */
  const isOther = (part: Part, { from, records }: Batch): boolean => {
    if (from === part.next) return false
    if (part.rejoined === undefined) return from < part.next
    // what was committed since then may not be known yet where the fetch began
    if (from < part.rejoined || from > part.next) return true
    return records.some((record) => {
      const held = part.prefix.find(Number(record.offset))
      return held !== undefined && held.timestamp !== record.timestamp
    })
  }

  return {
    handout,
    parts: () => parts.values(),
    isCurrent: (part) => parts.get(nameOf(part.topic, part.partition)) === part,
    hasRoom,
    isWanting: () => ring.length < assigned.size || ring.some(hasRoom),
    assign: (assignment) => {
      assigned = new Set(
        Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map((one) => nameOf(topic, one)))
      )
      const lost: Array<Part> = []
      for (const [name, part] of [...parts]) {
        if (assigned.has(name)) part.rejoined = part.committed
        else {
          drop(name, part)
          lost.push(part)
        }
      }
      shareOut()
      return lost
    },
    reset: () => {
      for (const [name, part] of [...parts]) drop(name, part)
    },
    receive: (batch) => {
      const name = nameOf(batch.topic, batch.partition)
      if (!assigned.has(name)) return undefined
      let part = parts.get(name)
      if (part !== undefined && isOther(part, batch)) {
        drop(name, part)
        part = undefined
      }
      part ??= begin(name, batch)
      const { next } = part
      const fresh = batch.from === next ? batch.records : batch.records.filter((one) => Number(one.offset) >= next)
      if (batch.last + 1 >= next) {
        part.next = batch.last + 1
        part.rejoined = undefined
      }
      part.end = batch.end
      part.buffer = part.at < part.buffer.length ? [...part.buffer.slice(part.at), ...fresh] : fresh
      part.at = 0
      buffered += fresh.length
      if (part.buffer.length === 0) empty(part)
      pump()
      options.onProgress(part)
      return part
    }
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Fetched messages beyond the window, of all partitions. */
const lowMark = 500

const nameOf = (topic: string, partition: number): string => `${topic}/${partition}`
