import type { Broker, OutboxStorage } from "@effect-cqrs/core"

/** What is peculiar about an event, and stays so unless it is healed. */
export type Nature =
  | { readonly _tag: "well" }
  /** The broker rejects it so many times; infinitely often: poison. */
  | { readonly _tag: "rejected"; readonly times: number }
  /** Its destination does not take it, and takes others. */
  | { readonly _tag: "lone" }
  /** Its destination takes nothing that is published together with it. */
  | { readonly _tag: "culprit" }
  /** Whoever publishes it dies. */
  | { readonly _tag: "killer" }
  /** What is stored is not a message. */
  | { readonly _tag: "malformed" }

/** What the broker made of a message that reached it. */
export type Verdict = "accepted" | "rejected" | "refused" | "out"

/**
 * What went wrong: with a process, with the broker, or with a step. A step is `delayed`, has `failed` without an effect, or
 * its outcome is `unknown`; a statement may be `held` up by a lock.
 */
export type FaultKind =
  | "freeze"
  | "outage"
  | "hang"
  | "statement held"
  | `${"statement" | "publish"} ${"delayed" | "failed" | "unknown"}`

interface Fault {
  readonly _tag: "Fault"
  readonly at: number
  readonly kind: FaultKind
  readonly process: number | undefined
  /** When it is over. */
  readonly until: number
}

/**
 * Something that happened, in the order in which it did. What happens in the database stands at the moment when it took
 * effect there, what happens in a process when the process did it or learned of it.
 */
export type Event =
  | Fault
  | {
    /** A writer took the place of an event: others do not see it yet. */
    readonly _tag: "Reserved"
    readonly at: number
    readonly sequence: bigint
    readonly topic: string
    readonly key: string | undefined
    /** Of its topic and key, counted by commits. */
    readonly version: number
    readonly bucket: number
    readonly nature: Nature
  }
  | {
    readonly _tag: "Committed"
    readonly at: number
    readonly sequences: ReadonlyArray<bigint>
    /** The process whose relay is woken. */
    readonly wakes: number | undefined
  }
  | { readonly _tag: "RolledBack"; readonly at: number; readonly sequences: ReadonlyArray<bigint> }
  | { readonly _tag: "Started"; readonly at: number; readonly process: number }
  | { readonly _tag: "Stopping"; readonly at: number; readonly process: number }
  | { readonly _tag: "Killed"; readonly at: number; readonly process: number }
  | { readonly _tag: "Joined"; readonly at: number; readonly process: number; readonly token: bigint }
  /** The token ended: from here on nothing it does is to have an effect. `left`: its relay ended it. */
  | { readonly _tag: "Superseded"; readonly at: number; readonly token: bigint; readonly by: "death" | "left" }
  | { readonly _tag: "Claimed"; readonly at: number; readonly token: bigint; readonly bucket: number }
  | { readonly _tag: "Released"; readonly at: number; readonly token: bigint; readonly bucket: number }
  /** A death was held against an entry. */
  | { readonly _tag: "Blamed"; readonly at: number; readonly sequence: bigint }
  | {
    readonly _tag: "Published"
    readonly at: number
    readonly publish: number
    readonly process: number
    readonly token: bigint
    /** Until when that relay may start a publish. */
    readonly trustedUntil: number
    readonly sequences: ReadonlyArray<bigint>
    /** Those of buckets that the process does not hold, as far as it knows. */
    readonly unheld: ReadonlyArray<bigint>
  }
  | {
    readonly _tag: "Arrived"
    readonly at: number
    readonly publish: number
    readonly sequence: bigint
    readonly verdict: Verdict
  }
  /** The relay learned what became of a publish. */
  | {
    readonly _tag: "Answered"
    readonly at: number
    readonly publish: number
    readonly outcomes: ReadonlyArray<Broker.Outcome["_tag"]>
    /** Whether its window still ran: it may have given the publish up at this moment otherwise. */
    readonly inTime: boolean
  }
  /** The relay gave a publish up. `allowed`: its window had ended, or it was to stop. */
  | { readonly _tag: "Cut"; readonly at: number; readonly publish: number; readonly allowed: boolean }
  /** A decision of a relay took effect. */
  | {
    readonly _tag: "Settled"
    readonly at: number
    readonly token: bigint
    readonly process: number
    readonly settlement: OutboxStorage.Settlement
  }
  /** The fence stood before a decision of a relay. */
  | { readonly _tag: "Fenced"; readonly at: number; readonly token: bigint }
  | { readonly _tag: "Redriven"; readonly at: number; readonly sequence: bigint; readonly healed: boolean }
  | { readonly _tag: "Discarded"; readonly at: number; readonly sequence: bigint }
  /** From here on there are no new faults; what is peculiar about messages has healed but for poison. */
  | { readonly _tag: "Ceased"; readonly at: number }
  /** Nothing is left to be done, or it has taken too long. */
  | {
    readonly _tag: "Ended"
    readonly at: number
    readonly pending: ReadonlyArray<bigint>
  }

/** What relays were told and promise. Times in milliseconds. */
export interface Terms {
  /** How long a lease runs without a sign of life. */
  readonly lease: number
  /** How often a relay gives one, and looks at the others. */
  readonly beat: number
  readonly poll: number
  /**
   * While reads leave something out, an event that is not read so long after it took its place may be overlooked, until all
   * is scanned again.
   */
  readonly overlooked: { readonly after: number; readonly until: number }
  /** The longest wait while something is out. */
  readonly backoff: number
  /** From one step of a relay to the next, and from a commit that wakes a relay to the broker, without a fault. */
  readonly prompt: number
  /** How long a relay that stops may take to end what is in flight. */
  readonly grace: number
  /** How often an event is published that is rejected each time, until it is a dead letter. */
  readonly tries: number
  readonly maxLoneFailures: number
  readonly maxDeaths: number
  /** Topics whose dead letters do not halt their keys. */
  readonly skipping: ReadonlyArray<string>
}

export interface History {
  readonly terms: Terms
  readonly events: ReadonlyArray<Event>
}
