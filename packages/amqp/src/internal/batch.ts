import type { Outcome } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"

/** A message of a batch. */
export interface Item {
  readonly message: Message
  readonly index: number
  /** The next of its topic and key, if that one has to wait for this one's outcome. */
  next: Item | undefined
}

/**
 * Messages whose outcomes are answered together. Of a topic and key only one is under way at a time, unless its topic is
 * pipelined; what is behind one that failed is retriable.
 */
export class Batch {
  private readonly outcomes: Array<Outcome>
  private open: number
  private hasFailed = false
  private readonly failed = new Set<string | undefined>()
  private isOver = false

  constructor(
    private readonly messages: ReadonlyArray<Message>,
    private readonly isPipelined: (topic: string) => boolean,
    private readonly send: (batch: Batch, item: Item) => void,
    private readonly done: (outcomes: ReadonlyArray<Outcome>) => void
  ) {
    this.outcomes = new Array<Outcome>(messages.length)
    this.open = messages.length
  }

  start(): void {
    const last = new Map<string, Item>()
    const first: Array<Item> = []
    for (let index = 0; index < this.messages.length; index++) {
      const message = this.messages[index]!
      const item: Item = { message, index, next: undefined }
      const lane = this.isPipelined(message.topic) ? undefined : laneOf(message)
      const before = lane === undefined ? undefined : last.get(lane)
      if (before === undefined) first.push(item)
      else before.next = item
      if (lane !== undefined) last.set(lane, item)
    }
    for (const item of first) {
      // what is judged before it is sent holds back the others of its key, also where all are sent at once
      if (this.hasFailed && this.failed.has(laneOf(item.message))) this.settled(item, behind)
      else this.send(this, item)
    }
  }

  readonly isGivenUp = (): boolean => this.isOver

  /** Sends no more of it, and answers nobody. */
  readonly giveUp = (): void => {
    this.isOver = true
  }

  settled(item: Item, outcome: Outcome): void {
    if (this.isOver) return
    this.outcomes[item.index] = outcome
    this.open -= 1
    if (outcome._tag === "Delivered") {
      if (item.next !== undefined) return this.send(this, item.next)
    } else {
      this.hasFailed = true
      const lane = laneOf(item.message)
      if (lane !== undefined) this.failed.add(lane)
      for (let behind = item.next; behind !== undefined; behind = behind.next) this.open -= 1
    }
    if (this.open > 0) return
    this.isOver = true
    if (this.hasFailed) this.holdBack()
    this.done(this.outcomes)
  }

  /**
   * Also one that was delivered, if its topic is pipelined: it has overtaken one of its key, and comes again behind it, so
   * that the last of a key stays the last.
   */
  private holdBack(): void {
    const failed = new Map<string, Outcome>()
    for (let index = 0; index < this.messages.length; index++) {
      const lane = laneOf(this.messages[index]!)
      if (lane === undefined) continue
      const before = failed.get(lane)
      const outcome = this.outcomes[index]
      if (before !== undefined) this.outcomes[index] = before._tag === "Retriable" ? before : behind
      else if (outcome !== undefined && outcome._tag !== "Delivered") failed.set(lane, outcome)
    }
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const behind: Outcome = {
  _tag: "Retriable",
  scope: "destination",
  reason: "An earlier message of its key was not delivered"
}

const laneOf = ({ key, topic }: Message): string | undefined => key === undefined ? undefined : `${topic}\0${key}`
