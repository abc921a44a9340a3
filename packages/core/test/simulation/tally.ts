import type { Event, FaultKind, History } from "./history.ts"

type Of<T extends Event["_tag"]> = Extract<Event, { readonly _tag: T }>

const all = <T extends Event["_tag"]>({ events }: History, tag: T): ReadonlyArray<Of<T>> =>
  events.filter((event): event is Of<T> => event._tag === tag)

const has = (tag: Event["_tag"]) => ({ events }: History) => events.some(({ _tag }) => _tag === tag)

const meets = (kind: FaultKind) => (history: History) => all(history, "Fault").some((fault) => fault.kind === kind)

const settles = (tag: "Deferred" | "Dead") => (history: History) =>
  all(history, "Settled").some(({ settlement }) => settlement._tag === tag)

/** An event was seen after one with a larger sequence. */
const isLate = (history: History): boolean => {
  let last = 0n
  for (const { sequences } of all(history, "Committed")) {
    for (const sequence of sequences) {
      if (sequence < last) return true
      last = sequence
    }
  }
  return false
}

const isRepeated = (history: History): boolean => {
  const accepted = all(history, "Arrived").filter(({ verdict }) => verdict === "accepted")
  return new Set(accepted.map(({ sequence }) => sequence)).size < accepted.length
}

/** Buckets of a relay that died went to another one. */
const isTakenOver = (history: History): boolean => {
  const owners = new Map<number, bigint>()
  const dead = new Set<bigint>()
  for (const event of history.events) {
    if (event._tag === "Superseded" && event.by === "death") dead.add(event.token)
    if (event._tag !== "Claimed") continue
    const owner = owners.get(event.bucket)
    if (owner !== undefined && dead.has(owner)) return true
    owners.set(event.bucket, event.token)
  }
  return false
}

/** What is to happen in some schedules, lest a simulation in which nothing goes wrong proves nothing. */
const features: Readonly<Record<string, (history: History) => boolean>> = {
  "a relay is killed": has("Killed"),
  "a relay is frozen": meets("freeze"),
  "a relay is restarted": has("Stopping"),
  "a relay is taken over from": isTakenOver,
  "the fence stands before a settlement": has("Fenced"),
  "a publish is given up at the end of its window": has("Cut"),
  "a statement is delayed": meets("statement delayed"),
  "a statement waits for a lock": meets("statement held"),
  "a statement fails": meets("statement failed"),
  "the outcome of a statement is unknown": meets("statement unknown"),
  "a publish is delayed": meets("publish delayed"),
  "a publish fails": meets("publish failed"),
  "the outcome of a publish is unknown": meets("publish unknown"),
  "the broker or a destination is out": meets("outage"),
  "the broker hangs": meets("hang"),
  "an event is published twice": isRepeated,
  "an event is seen after a later one": isLate,
  "a transaction is rolled back": has("RolledBack"),
  "an event is deferred": settles("Deferred"),
  "an event dies": settles("Dead"),
  "a death is held against an event": has("Blamed"),
  "a dead letter is redriven": has("Redriven")
}

/** Counts in how many histories each of them happened. */
export class Tally {
  readonly counts = new Map(Object.keys(features).map((name) => [name, 0]))
  histories = 0

  readonly add = (history: History): void => {
    this.histories += 1
    for (const [name, happened] of Object.entries(features)) {
      if (happened(history)) this.counts.set(name, this.counts.get(name)! + 1)
    }
  }
}
