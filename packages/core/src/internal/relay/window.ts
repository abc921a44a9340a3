import type { Entry, Range } from "../../OutboxStorage.ts"
import { Horizon } from "./horizon.ts"
import { KeyMap } from "./keyMap.ts"

/** A topic and key whose entries are left out by the storage, and the entry they wait behind. */
interface Excepted {
  readonly topic: string
  readonly key: string
  readonly blocker: bigint
}

interface BucketWindow {
  /** How many are read at a time; more where that was not enough. */
  cap: number | undefined
  readonly except: KeyMap<Excepted>
  readonly horizon: Horizon
}

/** What became of what was read. */
export interface Reading {
  readonly entries: ReadonlyArray<Entry>
  /** Those among them that cannot be published now. */
  readonly dropped: ReadonlyArray<Entry>
  readonly limit: number
  readonly maxBytes: number
  readonly tail: bigint | undefined
  readonly started: number
  readonly ended: number
}

/**
 * Which part of its buckets a lane reads. As a rule, their first entries; a few that cannot be published now are read and
 * dropped. Where those are many the storage is told to leave them out, and a {@link Horizon} keeps it from scanning them
 * each time.
 */
export class Windows {
  private readonly windows = new Map<number, BucketWindow>()
  /** Topics that are out, and whose entries are in the way. */
  private readonly topics = new Set<string>()

  constructor(private readonly blocker: (topic: string, key: string) => bigint | undefined) {}

  forget(bucket: number): void {
    this.windows.delete(bucket)
  }

  clear(): void {
    this.windows.clear()
    this.topics.clear()
  }

  /** Nothing that was known about who waits is to be relied on. */
  reset(): void {
    for (const window of this.windows.values()) window.horizon.reset(0n)
  }

  /** Lets go of what is not in the way any more: what waited behind it is read again. */
  review(isDoubtful: (topic: string) => boolean): void {
    for (const topic of [...this.topics]) {
      if (isDoubtful(topic)) continue
      this.topics.delete(topic)
      this.reset()
    }
    for (const { except, horizon } of this.windows.values()) {
      for (const { blocker, key, topic } of except.values()) {
        if (this.blocker(topic, key) === blocker) continue
        except.delete(topic, key)
        horizon.reset(blocker)
      }
    }
  }

  /** Whether reads of a bucket leave something out. */
  leavesOut(bucket: number): boolean {
    const window = this.windows.get(bucket)
    return window === undefined ? this.topics.size > 0 : this.isHeavy(window)
  }

  /** Whether reads of some buckets need to know the tail of the storage. */
  wantsTail(buckets: ReadonlyArray<number>, now: number): boolean {
    return buckets.some((bucket) => {
      const window = this.windows.get(bucket)
      return window !== undefined && this.isHeavy(window) && window.horizon.wantsMark(now)
    })
  }

  exceptTopics(isOut: (topic: string) => boolean): ReadonlyArray<string> {
    return [...this.topics].filter(isOut)
  }

  ranges(
    buckets: ReadonlyArray<number>,
    options: {
      readonly now: number
      readonly limit: number
      readonly isOut: (topic: string) => boolean
    }
  ): ReadonlyArray<Range> {
    // a topic that is tried again is to be read from its beginning
    const isTrial = [...this.topics].some((topic) => !options.isOut(topic))
    return buckets.map((bucket) => {
      const window = this.window(bucket, options.now)
      const limit = window.cap ?? baseCap(options.limit, buckets.length)
      const except = window.except.isEmpty ? undefined : window.except.values()
      return { bucket, limit, except, after: isTrial ? undefined : window.horizon.after(options.now) }
    })
  }

  /**
   * Learns from what was read. Answers whether there may be more to read at once: a limit cut it short, or what was in the
   * way is now left out.
   */
  learn(ranges: ReadonlyArray<Range>, isOut: (topic: string) => boolean, reading: Reading): boolean {
    const { dropped, ended, entries, limit, maxBytes } = reading
    const counts = new Map<number, number>()
    const firsts = new Map<number, bigint>()
    let bytes = 0
    for (const { bucket, message: { payload }, sequence } of entries) {
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
      if (!firsts.has(bucket)) firsts.set(bucket, sequence)
      bytes += payload.length
    }
    const isCut = entries.length >= limit || bytes >= maxBytes
    const last = isCut ? entries.at(-1)?.sequence : reading.tail
    let isCapped = false
    let hasGrown = false
    for (const range of ranges) {
      const window = this.window(range.bucket, reading.started)
      const count = counts.get(range.bucket) ?? 0
      if (!isCut && count === range.limit) {
        isCapped = true
        window.cap = Math.min(limit, count * 4)
        hasGrown ||= window.cap > count
      } else if (window.cap !== undefined && count * 4 < window.cap) window.cap = undefined
      if (!this.isHeavy(window)) continue
      const first = firsts.get(range.bucket)
      const position = first === undefined ? last : first - 1n
      if (position !== undefined) {
        // what is below was passed over, and is as empty as it was
        const above = range.after !== undefined && range.after > position ? range.after : position
        window.horizon.mark(reading.started, above)
      }
      if (range.after === undefined) window.horizon.scanned(ended, ended - reading.started)
    }
    this.letGo(entries, isOut)
    const usable = entries.length - dropped.length
    const isInTheWay = dropped.length * 8 >= limit || weight(dropped) * 8 >= maxBytes || (usable === 0 && isCut)
    const isLeftOut = isInTheWay && this.leaveOut(dropped, isOut, reading.started)
    return (usable > 0 && (isCut || isCapped)) || hasGrown || isLeftOut
  }

  /** A topic that was to be tried again and of which nothing is there is not in the way any more. */
  private letGo(entries: ReadonlyArray<Entry>, isOut: (topic: string) => boolean): void {
    for (const topic of [...this.topics]) {
      if (isOut(topic) || entries.some(({ message }) => message.topic === topic)) continue
      this.topics.delete(topic)
      this.reset()
    }
  }

  private leaveOut(dropped: ReadonlyArray<Entry>, isOut: (topic: string) => boolean, now: number): boolean {
    let isNew = false
    for (const { bucket, message: { key, topic } } of dropped) {
      if (isOut(topic)) {
        isNew ||= !this.topics.has(topic)
        this.topics.add(topic)
        continue
      }
      if (key === undefined) continue
      const blocker = this.blocker(topic, key)
      const { except } = this.window(bucket, now)
      if (blocker === undefined || except.has(topic, key)) continue
      except.set(topic, key, { topic, key, blocker })
      isNew = true
    }
    return isNew
  }

  private isHeavy(window: BucketWindow): boolean {
    return this.topics.size > 0 || !window.except.isEmpty
  }

  private window(bucket: number, now: number): BucketWindow {
    let window = this.windows.get(bucket)
    if (window === undefined) {
      window = { cap: undefined, except: new KeyMap(), horizon: new Horizon(now) }
      this.windows.set(bucket, window)
    }
    return window
  }
}

/** Twice a fair part of the batch: most of what is read is needed, and one busy bucket does not fill it alone. */
const baseCap = (limit: number, buckets: number): number => Math.min(limit, Math.max(8, Math.ceil(2 * limit / buckets)))

const weight = (entries: ReadonlyArray<Entry>): number =>
  entries.reduce((sum, { message }) => sum + message.payload.length, 0)
