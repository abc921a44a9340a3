import type { Entry } from "../../OutboxStorage.ts"
import { KeyMap } from "./keyMap.ts"

interface Failure {
  readonly entry: Entry
  count: number
  /** How often in a row its part of the destination was out, which is no fault of its own. */
  outages: number
  until: number
  /** How often its destination had taken something when it failed last. */
  takings: number
}

/**
 * Entries that their destination did not take while it took others. Each is held back with its key for a while, in this
 * process alone, and then tried by itself; after several such failures that is taken for a verdict on the entry.
 */
export class LoneFailures {
  private readonly bySequence = new Map<bigint, Failure>()
  private readonly byKey = new KeyMap<Failure>()
  /** By topic, the entry for which it was taken to be out last. */
  private readonly blamed = new Map<string, { readonly sequence: bigint; readonly takings: number }>()

  get size(): number {
    return this.bySequence.size
  }

  /** How often in a row it has failed so. */
  count({ sequence }: Entry): number {
    return this.bySequence.get(sequence)?.count ?? 0
  }

  /** Its destination took nothing else. Should it fail again, that counts if the destination has taken others since. */
  blame({ message: { topic }, sequence }: Entry, takings: number): void {
    this.blamed.set(topic, { sequence, takings })
  }

  /** Whether its destination has taken something since it failed. */
  isOutlived({ message: { topic }, sequence }: Entry, takings: number): boolean {
    const failure = this.bySequence.get(sequence)
    if (failure !== undefined) return takings > failure.takings
    const last = this.blamed.get(topic)
    return last?.sequence === sequence && takings > last.takings
  }

  /** Answers how often in a row it has failed so, counting this time. */
  fail(entry: Entry, until: number, takings: number): number {
    const failure = this.record(entry, until, takings)
    failure.count += 1
    failure.outages = 0
    return failure.count
  }

  /** How often in a row its part of the destination was out. */
  outages({ sequence }: Entry): number {
    return this.bySequence.get(sequence)?.outages ?? 0
  }

  /** Its part of the destination is out: it waits with its key, and nothing is held against it. */
  suspend(entry: Entry, until: number, takings: number): void {
    this.record(entry, until, takings).outages += 1
  }

  /** It has failed again, and nothing is known of others: it is held back without being counted. */
  hold({ sequence }: Entry, until: number): void {
    const failure = this.bySequence.get(sequence)
    if (failure !== undefined) failure.until = until
  }

  private record(entry: Entry, until: number, takings: number): Failure {
    const { message: { key, topic }, sequence } = entry
    const failure = this.bySequence.get(sequence) ?? { entry, count: 0, outages: 0, until, takings }
    failure.until = until
    failure.takings = takings
    this.bySequence.set(sequence, failure)
    if (key !== undefined) this.byKey.set(topic, key, failure)
    return failure
  }

  forget(sequence: bigint): void {
    const failure = this.bySequence.get(sequence)
    if (failure === undefined) return
    const { key, topic } = failure.entry.message
    this.bySequence.delete(sequence)
    if (key !== undefined && this.byKey.get(topic, key) === failure) this.byKey.delete(topic, key)
  }

  clear(isMeant: (bucket: number) => boolean): void {
    for (const { entry } of [...this.bySequence.values()]) if (isMeant(entry.bucket)) this.forget(entry.sequence)
  }

  has(sequence: bigint): boolean {
    return this.bySequence.has(sequence)
  }

  /** Whether it has to wait for its next try. */
  isHeld(sequence: bigint, now: number): boolean {
    const failure = this.bySequence.get(sequence)
    return failure !== undefined && failure.until > now
  }

  /** Whether an entry of a bucket has to wait: it is one of these, or behind one of its topic and key. */
  blocks({ message: { key, topic }, sequence }: Entry): boolean {
    return key === undefined ? this.bySequence.has(sequence) : this.byKey.has(topic, key)
  }

  /** The entry behind which a topic and key wait. */
  blocker(topic: string, key: string): bigint | undefined {
    return this.byKey.get(topic, key)?.entry.sequence
  }

  /** Those whose wait is over, the longest first. */
  due(now: number, limit: number, isMeant: (entry: Entry) => boolean): ReadonlyArray<bigint> {
    return [...this.bySequence.values()]
      .filter(({ entry, until }) => until <= now && isMeant(entry))
      .sort((a, b) => a.until - b.until)
      .slice(0, limit)
      .map(({ entry }) => entry.sequence)
  }

  /** When the next wait ends, of those that end after a time; infinite if none does. */
  nextDue(after: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const { until } of this.bySequence.values()) if (until > after) next = Math.min(next, until)
    return next
  }
}
