/** How long after a place was noted it must be found empty again: transactions that take longer are found by a full scan. */
const trail = 2000

/** At least so long between two full scans, and so many times what the last one took. */
const fullScan = { every: 10_000, share: 50 }

/**
 * Up to where a bucket holds nothing but what is left out: entries behind a waiting one, or of a destination that is out.
 * A hint, which keeps reads from scanning them again and again; correctness does not rest on it. A transaction that took
 * its sequences early and commits late may put entries below such a place: so a place counts only once a read has found it
 * empty some time after it was noted, and from time to time all is scanned again, at a small share of the time.
 */
export class Horizon {
  private marks: Array<{ readonly at: number; readonly position: bigint }> = []
  private confirmed: bigint | undefined
  private scannedAt: number
  private cost = 0

  constructor(now: number) {
    this.scannedAt = now
  }

  /** A read that was told to leave something out has found nothing up to this position. */
  mark(now: number, position: bigint): void {
    for (const mark of this.marks) {
      if (mark.at <= now - trail && mark.position <= position) this.confirmed = mark.position
    }
    const last = this.marks.at(-1)
    if (last !== undefined && now - last.at < trail / 4) return
    this.marks.push({ at: now, position })
    while (this.marks.length > 1 && this.marks[1]!.at <= now - trail) this.marks.shift()
  }

  /** Whether a place is wanted: it would not be kept otherwise. */
  wantsMark(now: number): boolean {
    const last = this.marks.at(-1)
    return last === undefined || now - last.at >= trail / 4
  }

  /** From where to read. */
  after(now: number): bigint | undefined {
    return this.isScanDue(now) ? undefined : this.confirmed
  }

  isScanDue(now: number): boolean {
    return now - this.scannedAt >= Math.max(fullScan.every, fullScan.share * this.cost)
  }

  scanned(now: number, millis: number): void {
    this.scannedAt = now
    this.cost = millis
  }

  /** Something at this sequence or above is not left out any more. */
  reset(sequence: bigint): void {
    this.marks = this.marks.filter(({ position }) => position < sequence)
    if (this.confirmed !== undefined && this.confirmed >= sequence) this.confirmed = undefined
  }
}
