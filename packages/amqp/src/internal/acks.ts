import type { Channel } from "./client.ts"

/**
 * Acknowledges what was received on one channel. What is settled in one turn of the event loop is said at once, as "all up
 * to" where nothing is missing before it.
 */
export class Acks {
  private readonly settled = new Set<number>()
  /** Settled and said, but not all before it. */
  private readonly said = new Set<number>()
  /** All up to here are settled and said. */
  private low = 0
  private isScheduled = false

  constructor(private readonly channel: Pick<Channel, "ack">) {}

  /** Tags count up from 1, without gaps. */
  settle(tag: number): void {
    this.settled.add(tag)
    if (this.isScheduled) return
    this.isScheduled = true
    // eslint-disable-next-line no-restricted-syntax -- a fiber for each turn would cost more than what it acknowledges
    setImmediate(() => this.flush())
  }

  flush(): void {
    this.isScheduled = false
    if (this.settled.size === 0) return
    let last = 0
    for (let next = this.low + 1;; next++) {
      if (this.settled.delete(next)) last = next
      else if (!this.said.delete(next)) break
      this.low = next
    }
    // the server takes an acknowledgement only for one that it waits for
    if (last > 0) this.channel.ack(last, true)
    for (const tag of this.settled) {
      this.channel.ack(tag, false)
      this.said.add(tag)
    }
    this.settled.clear()
  }
}
