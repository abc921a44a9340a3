import type { Entry } from "../../OutboxStorage.ts"
import { KeyMap } from "./keyMap.ts"

interface Failure {
  readonly entry: Entry
  count: number
  until: number
}

/**
 * Entries that their destination did not take while it took others. Each is held back with its key for a while, in this
 * process alone, and then tried by itself; after several such failures that is taken for a verdict on the entry.
 */
export class LoneFailures {
  private readonly bySequence = new Map<bigint, Failure>()
  private readonly byKey = new KeyMap<Failure>()

  /** How often in a row it has failed so. */
  count({ sequence }: Entry): number {
    return this.bySequence.get(sequence)?.count ?? 0
  }

  /** Answers how often in a row it has failed so, counting this time. */
  fail(entry: Entry, until: number): number {
    const { message: { key, topic }, sequence } = entry
    const failure = this.bySequence.get(sequence) ?? { entry, count: 0, until: 0 }
    failure.count += 1
    failure.until = until
    this.bySequence.set(sequence, failure)
    if (key !== undefined) this.byKey.set(topic, key, failure)
    return failure.count
  }

  forget({ message: { key, topic }, sequence }: Entry): void {
    if (!this.bySequence.delete(sequence)) return
    if (key !== undefined && this.byKey.get(topic, key)?.entry.sequence === sequence) this.byKey.delete(topic, key)
  }

  clear(isMeant: (bucket: number) => boolean): void {
    for (const { entry } of [...this.bySequence.values()]) if (isMeant(entry.bucket)) this.forget(entry)
  }

  has(sequence: bigint): boolean {
    return this.bySequence.has(sequence)
  }

  /** Whether it has to wait for its next try. */
  isHeld(sequence: bigint, now: number): boolean {
    const failure = this.bySequence.get(sequence)
    return failure !== undefined && failure.until > now
  }

  /** Whether an entry has to wait: for its next try, or behind another one of its topic and key. */
  blocks({ message: { key, topic }, sequence }: Entry, now: number): boolean {
    const failure = key === undefined ? this.bySequence.get(sequence) : this.byKey.get(topic, key)
    return failure !== undefined && (failure.entry.sequence !== sequence || failure.until > now)
  }

  /** The entry behind which a topic and key wait. */
  blocker(topic: string, key: string): bigint | undefined {
    return this.byKey.get(topic, key)?.entry.sequence
  }

  nextDue(now: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const { until } of this.bySequence.values()) if (until > now) next = Math.min(next, until)
    return next
  }
}
