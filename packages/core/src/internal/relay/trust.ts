import type { Suspicion } from "../../BucketOwner.ts"

interface Doubt {
  readonly suspicion: Suspicion
  /** How many entries of the bucket may be in flight at a time. */
  window: number
  /** How many had an outcome since the window was widened. */
  passed: number
}

/** By how much a window narrows with each death, and widens with each full one that passed. */
const step = 8

/**
 * How many entries of a bucket may be in flight at a time, after its owners have died: fewer with each death, so that after
 * three or four of them an entry that kills the process is alone, and more again as entries pass. A bucket that nothing is
 * held against has no limit.
 */
export class Trust {
  private readonly doubts = new Map<number, Doubt>()

  constructor(private readonly whole: number) {}

  doubt(bucket: number, suspicion: Suspicion): void {
    if (suspicion.deaths === 0) return
    this.doubts.set(bucket, {
      suspicion,
      window: Math.ceil(this.whole / step ** suspicion.deaths),
      passed: 0
    })
  }

  forget(bucket: number): void {
    this.doubts.delete(bucket)
  }

  clear(): void {
    this.doubts.clear()
  }

  window(bucket: number): number {
    return this.doubts.get(bucket)?.window ?? this.whole
  }

  /** Entries of this bucket are published with nothing else in flight. */
  isAlone(bucket: number): boolean {
    return this.doubts.get(bucket)?.window === 1
  }

  suspicion(bucket: number): Suspicion | undefined {
    return this.doubts.get(bucket)?.suspicion
  }

  get alone(): ReadonlyArray<number> {
    return [...this.doubts].flatMap(([bucket, { window }]) => window === 1 ? [bucket] : [])
  }

  get doubted(): ReadonlyArray<number> {
    return [...this.doubts.keys()]
  }

  /** Entries of a bucket had outcomes. Answers whether nothing is held against it any more. */
  passed(bucket: number, count: number): boolean {
    const doubt = this.doubts.get(bucket)
    if (doubt === undefined) return false
    doubt.passed += count
    if (doubt.passed < Math.min(this.whole, doubt.window * step)) return false
    doubt.window *= step
    doubt.passed = 0
    if (doubt.window < this.whole) return false
    this.doubts.delete(bucket)
    return true
  }
}
