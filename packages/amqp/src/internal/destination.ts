import type { Outcome } from "@effect-cqrs/core/Broker"
import type { Message as Returned } from "amqplib"
import { createHash } from "node:crypto"
import { isEncoding, type Judged, ofChannel } from "./classification.ts"
import type { Confirming } from "./confirming.ts"
import type { Link } from "./link.ts"
import type { Packet } from "./packet.ts"

/** A message on its way. */
export interface Entry {
  readonly exchange: string
  readonly routingKey: string
  readonly packet: Packet
  /** Nobody waits for it any more: it is not sent. */
  readonly isGivenUp: () => boolean
  readonly settle: (outcome: Outcome) => void
}

const delivered: Outcome = { _tag: "Delivered" }

/**
 * One exchange, with a channel of its own, so that what closes it holds up no other. The channel is opened with the next
 * message. All of it is synchronous but for the opening: its callers are on the hot path.
 */
export class Destination {
  private channel: Confirming | undefined
  private isOpening = false
  private isFull = false
  /** Not sent yet, in order. */
  private waiting: Array<Entry> = []
  /** Sent and not answered, in order. */
  private readonly pending = new Set<Entry>()
  /** One of them makes the server close the channel: each is sent alone, until it is found. */
  private suspects: Array<Entry> = []
  /** How many of a kind came back that are not confirmed yet: what is returned is confirmed afterwards. */
  private readonly returned = new Map<string, number>()
  private isSearching = false
  /** Sent on this channel and not confirmed, those that were given up among them. */
  private outstanding = 0
  private progress = 0
  private lastProgress = 0
  private idle = 0

  constructor(readonly exchange: string, private readonly link: Link) {}

  send(entry: Entry): void {
    // what is written to a blocked connection is not read, and would look like one that is dead
    const blocked = this.link.current()?.blocked()
    if (blocked !== undefined) return entry.settle(isBlocked(blocked))
    if (this.channel !== undefined && !this.isFull && this.waiting.length === 0 && this.suspects.length === 0) {
      return this.write(this.channel, entry)
    }
    this.waiting.push(entry)
    if (this.channel === undefined) this.open()
  }

  /** Answers all that is on its way. What was sent may arrive, or have arrived. */
  fail(outcome: Outcome): void {
    const all = [...this.pending, ...this.suspects, ...this.waiting]
    this.pending.clear()
    this.suspects = []
    this.waiting = []
    for (const entry of all) entry.settle(outcome)
  }

  /** Called at regular times. Answers for how many of them the server was silent though it had something to say. */
  watch(): number {
    const isOwed = (this.isOpening || this.pending.size > 0) && this.link.current()?.blocked() === undefined
    this.idle = isOwed && this.progress === this.lastProgress ? this.idle + 1 : 0
    this.lastProgress = this.progress
    return this.idle
  }

  private open(): void {
    if (this.isOpening) return
    const connection = this.link.current()
    if (connection === undefined) return this.fail(unreachable(this.link.trouble()))
    this.isOpening = true
    connection.confirming({
      closed: (error) => this.closed(error),
      returned: (message) => this.cameBack(message),
      drained: () => {
        this.isFull = false
        this.pump()
      }
    }).then(
      (channel) => {
        this.isOpening = false
        this.progress += 1
        this.channel = channel
        this.isFull = false
        this.pump()
      },
      (error: unknown) => {
        this.isOpening = false
        this.fail(retriable(ofChannel(error, this.where())))
      }
    )
  }

  private pump(): void {
    const { channel } = this
    if (channel === undefined) return
    while (this.suspects.length > 0) {
      if (this.pending.size > 0 || this.channel !== channel) return
      this.write(channel, this.suspects.shift()!)
    }
    if (this.pending.size > 0 && this.isSearching) return
    this.isSearching = false
    if (this.waiting.length === 0) return
    const waiting = this.waiting
    this.waiting = []
    let at = 0
    while (at < waiting.length && !this.isFull && this.channel === channel) this.write(channel, waiting[at++]!)
    if (at < waiting.length) this.waiting = [...waiting.slice(at), ...this.waiting]
  }

  private write(channel: Confirming, entry: Entry): void {
    if (entry.isGivenUp()) return
    this.pending.add(entry)
    this.outstanding += 1
    const written = channel.publish(
      entry,
      entry.packet.content,
      entry.packet.properties,
      (isTaken) => this.confirmed(entry, isTaken)
    )
    if (written === "ready") return
    if (written === "full") {
      this.isFull = true
      return
    }
    this.pending.delete(entry)
    this.outstanding -= 1
    entry.settle(unsendable(written.error, this.where()))
  }

  private confirmed(entry: Entry, isTaken: boolean): void {
    this.progress += 1
    this.outstanding -= 1
    // also of one that was given up: it may be the one that came back
    const cameBack = this.returned.size > 0 && this.takeReturned(entry)
    if (this.pending.delete(entry)) {
      entry.settle(cameBack ? unroutable(entry) : isTaken ? delivered : nacked(this.exchange))
    }
    if (this.isSearching) this.pump()
  }

  private cameBack({ content, fields, properties }: Returned): void {
    const kind = kindOf(fields.routingKey, properties.messageId, content)
    this.returned.set(kind, (this.returned.get(kind) ?? 0) + 1)
  }

  private takeReturned({ packet, routingKey }: Entry): boolean {
    const kind = kindOf(routingKey, packet.properties.messageId, packet.content)
    const count = this.returned.get(kind)
    if (count === undefined) return false
    if (count === 1) this.returned.delete(kind)
    else this.returned.set(kind, count - 1)
    return true
  }

  private closed(error: unknown): void {
    this.channel = undefined
    this.isFull = false
    this.returned.clear()
    const isAlone = this.outstanding === 1
    this.outstanding = 0
    const judged = ofChannel(error, this.where())
    if (judged.verdict !== "rejected") return this.fail(retriable(judged))
    const unanswered = [...this.pending]
    this.pending.clear()
    if (isAlone && unanswered.length === 1) unanswered[0]!.settle({ _tag: "Rejected", reason: judged.reason })
    else this.suspects = [...unanswered, ...this.suspects]
    this.isSearching = this.suspects.length > 0
    if (this.suspects.length + this.waiting.length > 0) this.open()
  }

  private where(): string {
    return `The exchange ${this.exchange}`
  }
}

export const isBlocked = (reason: string): Outcome => ({
  _tag: "Retriable",
  scope: "broker",
  reason: `RabbitMQ takes no messages for now: ${reason}`
})

export const unreachable = (reason: string): Outcome => ({ _tag: "Retriable", scope: "broker", reason })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const retriable = ({ reason, verdict }: Judged): Outcome => ({
  _tag: "Retriable",
  scope: verdict === "broker" ? "broker" : "destination",
  reason
})

const nacked = (exchange: string): Outcome => ({
  _tag: "Retriable",
  scope: "destination",
  reason: `RabbitMQ has refused a message for the exchange ${exchange}: a queue is full, or cannot store it`
})

const unroutable = ({ exchange, routingKey }: Entry): Outcome => ({
  _tag: "Retriable",
  scope: "destination",
  reason:
    `No queue is bound to the exchange ${exchange} for the routing key ${routingKey}: bind one, or let a group consume it`
})

const unsendable = (error: unknown, where: string): Outcome =>
  isEncoding(error)
    ? {
      _tag: "Rejected",
      reason: `AMQP cannot carry it: ${error.message}. Headers have 64 KiB, and names, types and routing keys 255 bytes`
    }
    : retriable(ofChannel(error, where))

/** What came back is told by this from what else was published: two that are of one kind have the same fate. */
const kindOf = (routingKey: string, messageId: unknown, content: Buffer): string =>
  typeof messageId === "string"
    ? `${routingKey}\0${messageId}`
    : `${routingKey}\0\0${createHash("sha256").update(content).digest("base64url")}`
