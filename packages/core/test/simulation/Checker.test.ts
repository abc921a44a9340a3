import { OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { judge, type Rule, rules } from "./checker.ts"
import type { Event, Nature, Terms } from "./history.ts"

const terms: Terms = {
  lease: 3000,
  beat: 1000,
  poll: 500,
  overlooked: { after: 2000, until: 11_000 },
  backoff: 1000,
  prompt: 100,
  grace: 2000,
  tries: 3,
  maxLoneFailures: 3,
  maxDeaths: 2,
  skipping: ["skipping"]
}

const well: Nature = { _tag: "well" }
const poison: Nature = { _tag: "rejected", times: Infinity }

const reserved = (at: number, sequence: bigint, nature: Nature = well, topic = "halting"): Event => ({
  _tag: "Reserved",
  at,
  sequence,
  topic,
  key: "k",
  version: Number(sequence),
  bucket: 0,
  nature
})
const committed = (at: number, sequence: bigint, wakes: number | undefined = 0): Event => ({
  _tag: "Committed",
  at,
  sequences: [sequence],
  wakes
})
const joined = (at: number, token = 1n, process = 0): ReadonlyArray<Event> => [
  { _tag: "Started", at, process },
  { _tag: "Joined", at, process, token },
  { _tag: "Claimed", at, token, bucket: 0 }
]
const published = (
  at: number,
  publish: number,
  sequence: bigint,
  given: { token?: bigint; process?: number } = {}
) => ({
  _tag: "Published" as const,
  at,
  publish,
  process: 0,
  token: 1n,
  trustedUntil: at + 1000,
  sequences: [sequence],
  unheld: [],
  ...given
})
const arrived = (
  at: number,
  publish: number,
  sequence: bigint,
  verdict: Extract<Event, { _tag: "Arrived" }>["verdict"] = "accepted"
): Event => ({ _tag: "Arrived", at, publish, sequence, verdict })
const answered = (
  at: number,
  publish: number,
  outcome: Extract<Event, { _tag: "Answered" }>["outcomes"][number] = "Delivered",
  inTime = true
): Event => ({ _tag: "Answered", at, publish, outcomes: [outcome], inTime })
const settled = (
  at: number,
  settlement: OutboxStorage.Settlement | bigint,
  given: { token?: bigint; process?: number } = {}
): Event => ({
  _tag: "Settled",
  at,
  token: 1n,
  process: 0,
  settlement: typeof settlement === "bigint"
    ? OutboxStorage.Settlement.Delivered({ sequence: settlement })
    : settlement,
  ...given
})
const ended = (at: number, pending: ReadonlyArray<bigint> = []): Event => ({ _tag: "Ended", at, pending })
const killed = (at: number, process = 0): Event => ({ _tag: "Killed", at, process })
const superseded = (at: number, token = 1n): Event => ({ _tag: "Superseded", at, token, by: "death" })
const fault = (at: number, until: number): Event => ({ _tag: "Fault", at, kind: "freeze", process: 0, until })

const deferred = (attempts: number) =>
  OutboxStorage.Settlement.Deferred({ sequence: 1n, attempts, delay: Duration.millis(10), reason: "test" })
const dead = (attempts: number) =>
  OutboxStorage.Settlement.Dead({ sequence: 1n, attempts, policy: "halt", reason: "test" })

/** Published, taken and settled. */
const sent = (at: number, sequence: bigint, given: { token?: bigint; process?: number } = {}): ReadonlyArray<Event> => [
  published(at, Number(sequence), sequence, given),
  arrived(at, Number(sequence), sequence),
  answered(at + 1, Number(sequence)),
  settled(at + 2, sequence, given)
]

/** An event that goes its way. */
const one = (at: number, sequence: bigint): ReadonlyArray<Event> => [
  reserved(at, sequence),
  committed(at, sequence),
  ...sent(at + 5, sequence)
]

const rulesOf = (events: ReadonlyArray<Event>): ReadonlyArray<Rule> => [
  ...new Set(judge({ terms, events }).map(({ rule }) => rule))
]

const rejections = (count: number): ReadonlyArray<Event> =>
  Array.from({ length: count }, (_, n) => [
    published(10 + n * 10, n + 1, 1n),
    arrived(11 + n * 10, n + 1, 1n, "rejected"),
    answered(12 + n * 10, n + 1, "Rejected"),
    settled(13 + n * 10, n + 1 < terms.tries ? deferred(n + 1) : dead(n + 1))
  ]).flat()

/** A relay dies at 10,000 ms, and another one publishes what was its own. */
const takenOver = (at: number): ReadonlyArray<Event> => [
  ...joined(0),
  ...joined(0, 2n, 1).slice(0, 2),
  killed(10_000),
  reserved(10_001, 1n),
  committed(10_001, 1n, 1),
  superseded(13_500),
  { _tag: "Claimed", at: 14_000, token: 2n, bucket: 0 },
  ...sent(at, 1n, { token: 2n, process: 1 }),
  ended(20_000)
]

const broken: Readonly<Record<Rule, ReadonlyArray<Event>>> = {
  lost: [...joined(0), reserved(1, 1n), committed(1, 1n), ended(100)],
  phantom: [
    ...joined(0),
    reserved(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n),
    { _tag: "RolledBack", at: 4, sequences: [1n] },
    ended(100)
  ],
  order: [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    ...one(2, 2n),
    published(20, 9, 1n),
    arrived(21, 9, 1n),
    answered(22, 9),
    settled(23, 1n),
    ended(100)
  ],
  acknowledged: [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n),
    settled(4, 1n),
    ended(100)
  ],
  duplicate: [
    ...joined(0),
    ...one(1, 1n),
    published(20, 9, 1n),
    arrived(21, 9, 1n),
    answered(22, 9),
    ended(100)
  ],
  attempts: [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n, "out"),
    answered(4, 1, "Retriable"),
    settled(5, deferred(1)),
    published(20, 2, 1n),
    arrived(21, 2, 1n),
    answered(22, 2),
    settled(23, 1n),
    ended(100)
  ],
  "dead letter": [
    ...joined(0),
    reserved(1, 1n, poison),
    committed(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n, "rejected"),
    answered(4, 1, "Rejected"),
    settled(5, dead(1)),
    { _tag: "Discarded", at: 50, sequence: 1n },
    ended(100)
  ],
  fence: [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n),
    answered(4, 1),
    fault(5, 4000),
    superseded(4000),
    settled(4001, 1n),
    ended(5000)
  ],
  window: [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    { ...published(2, 1, 1n), trustedUntil: 2 },
    arrived(3, 1, 1n),
    answered(4, 1),
    settled(5, 1n),
    ended(100)
  ],
  "given up": [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n),
    { _tag: "Cut", at: 4, publish: 1, allowed: false },
    published(5, 2, 1n),
    arrived(6, 2, 1n),
    answered(7, 2),
    settled(8, 1n),
    ended(100)
  ],
  lease: [...joined(0), superseded(4000), ended(5000)],
  wake: [...joined(0), reserved(10_000, 1n), committed(10_000, 1n), ...sent(10_101, 1n), ended(20_000)],
  poll: [...joined(0), reserved(10_000, 1n), committed(10_000, 1n, 1), ...sent(10_601, 1n), ended(20_000)],
  takeover: takenOver(14_101),
  recovery: [
    ...joined(0),
    fault(10_000, 11_000),
    reserved(10_001, 1n),
    committed(10_001, 1n),
    ...sent(21_101, 1n),
    ended(30_000)
  ],
  quiescence: [...joined(0), reserved(1, 1n), committed(1, 1n), ended(100, [1n])]
}

/** What looks like a fault of the relay, and is none. */
const kept: Readonly<Record<string, ReadonlyArray<Event>>> = {
  "events that go their way": [...joined(0), ...one(1, 1n), ...one(20, 2n), ended(100)],
  "a poison event that dies after its tries": [
    ...joined(0),
    reserved(1, 1n, poison),
    committed(1, 1n),
    ...rejections(3),
    { _tag: "Discarded", at: 60, sequence: 1n },
    ended(100)
  ],
  "a key that goes on behind a dead letter, where that is wanted": [
    ...joined(0),
    reserved(1, 1n, { _tag: "malformed" }, "skipping"),
    committed(1, 1n),
    settled(5, OutboxStorage.Settlement.Dead({ sequence: 1n, attempts: 0, policy: "skip", reason: "test" })),
    ...one(10, 2n).map((event) => event._tag === "Reserved" ? { ...event, topic: "skipping" } : event),
    { _tag: "Discarded", at: 60, sequence: 1n },
    ended(100)
  ],
  "an event that is published again after its relay died": [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n),
    answered(4, 1),
    killed(5),
    superseded(3100),
    ...joined(3100, 2n, 1),
    published(3110, 2, 1n, { token: 2n, process: 1 }),
    arrived(3111, 2, 1n),
    answered(3112, 2),
    settled(3113, 1n, { token: 2n, process: 1 }),
    ended(5000)
  ],
  "an event that is published again after an answer was lost": [
    ...joined(0),
    reserved(1, 1n),
    committed(1, 1n),
    published(2, 1, 1n),
    arrived(3, 1, 1n),
    answered(4, 1, "Retriable"),
    published(10, 2, 1n),
    arrived(11, 2, 1n),
    answered(12, 2),
    settled(13, 1n),
    ended(100)
  ],
  "a takeover just in time": takenOver(14_100)
}

describe("the checker", () => {
  for (const rule of rules) {
    it(`names the rule ${rule}`, () => {
      assert.deepStrictEqual(rulesOf(broken[rule]), [rule])
    })
  }

  for (const [what, events] of Object.entries(kept)) {
    it(`lets pass ${what}`, () => {
      assert.deepStrictEqual(judge({ terms, events }), [])
    })
  }
})
