import * as Duration from "effect/Duration"
import type { Entry, Waiting } from "../../OutboxStorage.ts"
import { KeyMap } from "./keyMap.ts"

export interface Item {
  readonly sequence: bigint
  readonly bucket: number
  readonly topic: string
  readonly key: string | undefined
  /** When it is tried again, by this process's clock; `undefined`: when somebody redrives it. */
  readonly due: number | undefined
}

/** What a lane knows of entries that wait beside its buckets: which keys they hold back, and when they are due. */
export class Waitlist {
  private readonly items = new Map<bigint, Item>()
  private readonly keys = new KeyMap<bigint>()
  private earliest = Number.POSITIVE_INFINITY

  add({ bucket, due, key, sequence, topic }: Waiting, now: number): void {
    const at = due === undefined ? undefined : now + Math.ceil(Duration.toMillis(due))
    this.items.set(sequence, { sequence, bucket, topic, key, due: at })
    if (key !== undefined) this.keys.set(topic, key, sequence)
    if (at !== undefined) this.earliest = Math.min(this.earliest, at)
  }

  /** Answers whether it was there. */
  remove(sequence: bigint): boolean {
    const item = this.items.get(sequence)
    if (item === undefined) return false
    this.items.delete(sequence)
    if (item.key !== undefined && this.keys.get(item.topic, item.key) === sequence) {
      this.keys.delete(item.topic, item.key)
    }
    return true
  }

  forget(isMeant: (bucket: number) => boolean): void {
    for (const { bucket, sequence } of [...this.items.values()]) if (isMeant(bucket)) this.remove(sequence)
  }

  clear(): void {
    this.items.clear()
    this.keys.clear()
    this.earliest = Number.POSITIVE_INFINITY
  }

  /** Whether an entry of a bucket has to wait: behind another one of its topic and key. */
  blocks({ message: { key, topic }, sequence }: Entry): boolean {
    if (key === undefined) return false
    const waiting = this.keys.get(topic, key)
    return waiting !== undefined && waiting !== sequence
  }

  /** The entry behind which a topic and key wait. */
  blocker(topic: string, key: string): bigint | undefined {
    return this.keys.get(topic, key)
  }

  /** Whether entries of a bucket are still to be tried again. */
  hasDeferred(bucket: number): boolean {
    for (const item of this.items.values()) if (item.bucket === bucket && item.due !== undefined) return true
    return false
  }

  /** The entries that are due, the longest first: so that none of them waits for ever behind others. */
  due(now: number, limit: number, isMeant: (item: Item) => boolean): ReadonlyArray<bigint> {
    if (this.earliest > now) return []
    const found: Array<{ readonly sequence: bigint; readonly due: number }> = []
    this.earliest = Number.POSITIVE_INFINITY
    for (const item of this.items.values()) {
      if (item.due === undefined) continue
      this.earliest = Math.min(this.earliest, item.due)
      if (item.due <= now && isMeant(item)) found.push({ sequence: item.sequence, due: item.due })
    }
    return found.sort((a, b) => a.due - b.due || (a.sequence < b.sequence ? -1 : 1))
      .slice(0, limit)
      .map(({ sequence }) => sequence)
  }

  /** When the next one is due, of those that become so after a time; infinite if none does. */
  nextDue(after: number): number {
    if (this.earliest > after) return this.earliest
    let next = Number.POSITIVE_INFINITY
    for (const { due } of this.items.values()) if (due !== undefined && due > after) next = Math.min(next, due)
    return next
  }
}
