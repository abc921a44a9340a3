/** The kinds of faults: what is known of each before it is done. */
import type { Role } from "./Protocol.ts"
import { type Broker, fleet, timing } from "./Setting.ts"

export interface Facts {
  /** How often, beside the others. */
  readonly weight: number
  /** What it is done to: one of the processes of a role, or what there is one of. */
  readonly on: ReadonlyArray<Role> | "database" | "broker" | "topic" | "accounts"
  /** How long it lasts, in milliseconds; 0 is at once. */
  readonly lasts: readonly [least: number, most: number]
  /** The ways in which it can be done. */
  readonly ways: ReadonlyArray<string>
  /** Whether a relay may have to repeat what it has published; with this broker alone. */
  readonly repeats: boolean | Broker
  /** Whether relays are held up by it, and no takeover beside it can be in time. */
  readonly delays: boolean
}

const { lease } = timing

const sides = ["database", "broker"]

const kinds = {
  "kill-relay": {
    weight: 4,
    on: ["relay"],
    lasts: [0, 0],
    ways: ["SIGKILL"],
    repeats: true,
    delays: true
  },
  "end-relay": { weight: 1, on: ["relay"], lasts: [0, 0], ways: ["SIGTERM"], repeats: false, delays: true },
  "kill-consumer": { weight: 3, on: ["consumer"], lasts: [0, 0], ways: ["SIGKILL"], repeats: false, delays: false },
  "kill-writer": { weight: 2, on: ["writer"], lasts: [0, 0], ways: ["SIGKILL"], repeats: false, delays: false },
  "stop-relay": {
    weight: 3,
    on: ["relay"],
    lasts: [1.5 * lease, 3 * lease],
    ways: ["SIGSTOP"],
    repeats: true,
    delays: true
  },
  "stop-consumer": {
    weight: 2,
    on: ["consumer"],
    lasts: [1.2 * timing.session, 2 * timing.session],
    ways: ["SIGSTOP"],
    repeats: false,
    delays: false
  },
  "restart-database": {
    weight: 1,
    on: "database",
    lasts: [0, 0],
    ways: ["stopped", "killed"],
    repeats: true,
    delays: true
  },
  "restart-broker": {
    weight: 1,
    on: "broker",
    lasts: [0, 0],
    ways: ["stopped", "killed"],
    repeats: true,
    delays: false
  },
  "cut": {
    weight: 3,
    on: ["relay", "relay", "consumer", "writer"],
    lasts: [200, lease],
    ways: sides,
    repeats: true,
    delays: true
  },
  "half-open": {
    weight: 3,
    on: ["relay", "relay", "consumer", "writer"],
    lasts: [lease, 3 * lease],
    ways: sides,
    repeats: true,
    delays: true
  },
  "idle-transaction": {
    weight: 1,
    on: "accounts",
    lasts: [2 * lease, 5 * lease],
    ways: ["late"],
    repeats: false,
    delays: false
  },
  "exhaust-pool": {
    weight: 2,
    on: ["relay", "consumer", "writer"],
    lasts: [lease / 2, 2 * lease],
    ways: ["all connections"],
    repeats: true,
    delays: true
  },
  "remove-topic": {
    weight: 1,
    on: "topic",
    lasts: [lease, 2 * lease],
    ways: ["removed"],
    repeats: true,
    delays: false
  },
  "poison-event": {
    weight: 2,
    on: "accounts",
    lasts: [0, 0],
    ways: ["poison"],
    // closes the channel, and with it goes the answer for what was published beside it
    repeats: "rabbitmq",
    delays: false
  },
  "deadly-message": { weight: 1, on: "accounts", lasts: [0, 0], ways: ["deadly"], repeats: false, delays: false }
} satisfies Record<string, Facts>

export type Kind = keyof typeof kinds

export const names = Object.keys(kinds) as ReadonlyArray<Kind>

export const factsOf = (kind: Kind): Facts => kinds[kind]

/** What a fault can be done to, by the names that nothing else has. */
export const targets = (kind: Kind): ReadonlyArray<string> => {
  const { on } = factsOf(kind)
  return typeof on === "string"
    ? [on]
    : on.flatMap((role) => Array.from({ length: fleet[role] }, (_, n) => `${role} ${n + 1}`))
}
