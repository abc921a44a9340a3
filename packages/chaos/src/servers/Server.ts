/** What a run needs of a server of its own. */
import type { Effect } from "effect"

interface Server {
  readonly name: string
  readonly port: number
  /** Ends it as `how` says and starts it again; returns when it answers. */
  readonly restart: (how: "stopped" | "killed") => Effect.Effect<void, unknown>
}

export interface DatabaseServer extends Server {
  readonly urlAt: (port: number) => string
}

/** A message as an independent reader found it. */
export interface Found {
  /** What has an order of its own: a partition, and which making of the topic it is of. */
  readonly lane: string
  readonly place: number
  readonly id: string
  readonly key: string
  readonly version: number
  /** When the broker took it, in milliseconds; as exactly as the broker says. */
  readonly at: number
}

export interface BrokerServer extends Server {
  /** How many messages the topics have taken so far, as far as is known. */
  readonly taken: Effect.Effect<number>
  /** All that the topics have taken so far. */
  readonly read: Effect.Effect<ReadonlyArray<Found>, unknown>
  /** The ids of the dead letters of the consumers, with their reasons. */
  readonly deadLetters: Effect.Effect<ReadonlyArray<{ readonly id: string; readonly reason: string }>, unknown>
  /** How many messages the consumers have not settled yet. */
  readonly lag: Effect.Effect<number, unknown>
  /** Takes away the side topic. Nothing that it has taken may be lost by that. */
  readonly remove: Effect.Effect<void, unknown>
  readonly restore: Effect.Effect<void, unknown>
}
