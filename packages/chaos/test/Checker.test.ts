import { assert, describe, it } from "@effect/vitest"
import { check, grace, type Rule, rules, takeoverLimit } from "../src/Checker.ts"
import type { History } from "../src/History.ts"
import { announced, began, later, sound, struck } from "./histories.ts"

const ledger = [
  announced("a", 1),
  announced("a", 2),
  announced("a", 3),
  announced("b", 1),
  announced("b", 2, { kind: "poison" }),
  announced("b", 3),
  announced("b", 4, { kind: "deadly" })
]

const base = sound(ledger)

const without = <A extends { readonly id: string }>(all: ReadonlyArray<A>, id: string) =>
  all.filter((one) => one.id !== id)

const pick = <A extends { readonly id: string }>(all: ReadonlyArray<A>, id: string) => all.find((one) => one.id === id)!

const broken = (history: History) => [...new Set(check(history).violations.map(({ rule }) => rule))].sort()

const swapped = base.delivered.map((one) =>
  one.id === "a-2" ? { ...one, place: 3 } : one.id === "a-3" ? { ...one, place: 2 } : one
)

const again = (at: number) => ({ ...pick(base.delivered, "a-2"), place: 9, at })

const [first, second] = [pick(base.applied, "a-1"), pick(base.applied, "a-2")]

/** What breaks a rule, and which rules it breaks. */
const cases: ReadonlyArray<readonly [what: string, history: History, broken: ReadonlyArray<Rule>]> = [
  ["a sound history", base, []],

  ["an event is never delivered", {
    ...base,
    delivered: without(base.delivered, "a-3"),
    applied: without(base.applied, "a-3")
  }, ["lost"]],
  ["the last event of a key is never delivered, and applied by magic", {
    ...base,
    delivered: without(base.delivered, "a-3")
  }, ["lost", "once"]],

  ["an event of no committed transaction is delivered", {
    ...base,
    delivered: [...base.delivered, { ...again(later), id: "nobody's" }],
    applied: [...base.applied, { ...second, id: "nobody's" }]
  }, ["applied order", "order", "phantom"]],
  ["an event is delivered with another version than it was committed with", {
    ...base,
    delivered: base.delivered.map((one) => one.id === "a-3" ? { ...one, version: 4 } : one)
  }, ["phantom"]],

  ["two first deliveries of a key are swapped", { ...base, delivered: swapped }, ["order"]],
  ["a retry overtakes: the earlier event comes behind the later ones", {
    ...base,
    delivered: base.delivered.map((one) => one.id === "a-1" ? { ...one, place: 7 } : one)
  }, ["order"]],
  ["a key is in two partitions", {
    ...base,
    delivered: base.delivered.map((one) => one.id === "a-3" ? { ...one, lane: "topic/1/b" } : one)
  }, ["order"]],
  ["a key is in another partition of a topic that was made again", {
    ...base,
    delivered: base.delivered.map((one) => one.id === "a-3" ? { ...one, lane: "topic/2/b", place: 0 } : one)
  }, []],
  ["a topic was made again for the tenth time", {
    ...base,
    delivered: base.delivered.map((one) =>
      one.id === "a-2" ? { ...one, lane: "topic/2/a" } : one.id === "a-3" ? { ...one, lane: "topic/10/a" } : one
    )
  }, []],

  ["an event is applied twice", { ...base, applied: [...base.applied, pick(base.applied, "a-3")] }, ["once"]],
  ["an event is not applied", { ...base, applied: without(base.applied, "a-3") }, ["once"]],
  ["an event that was never committed or delivered is applied", {
    ...base,
    applied: [...base.applied, { ...first, id: "nobody's", key: "c" }]
  }, ["once"]],
  ["a dead letter of the consumer was applied all the same", {
    ...base,
    applied: [...base.applied, { ...pick(base.applied, "b-3"), id: "b-4", version: 4 }]
  }, ["once"]],
  ["two events of a key are applied in the wrong order", {
    ...base,
    applied: [second, first, ...base.applied.slice(2)]
  }, ["applied order"]],

  ["an event is a dead letter that nobody planned, and was not delivered", {
    ...base,
    delivered: without(base.delivered, "a-3"),
    applied: without(base.applied, "a-3"),
    deadLetters: [...base.deadLetters, { id: "a-3", where: "outbox", reason: "it blamed the wrong one" }]
  }, ["dead letters"]],
  ["a message is a dead letter of the consumer that nobody planned", {
    ...base,
    applied: without(base.applied, "a-3"),
    deadLetters: [...base.deadLetters, { id: "a-3", where: "consumer", reason: "it blamed the wrong one" }]
  }, ["dead letters"]],
  ["a poison event is no dead letter", {
    ...base,
    deadLetters: base.deadLetters.filter(({ where }) => where !== "outbox")
  }, ["dead letters", "lost"]],
  ["a deadly message is no dead letter", {
    ...base,
    deadLetters: base.deadLetters.filter(({ where }) => where !== "consumer")
  }, ["dead letters", "once"]],

  ["an outage costs an attempt", {
    ...base,
    attempts: [...base.attempts, { id: "a-1", attempts: 1, reason: "the broker is out" }]
  }, ["attempts"]],

  ["an event is delivered again, and nothing had happened", {
    ...base,
    delivered: [...base.delivered, again(later)]
  }, ["duplicate"]],
  ["an event is delivered again soon after a relay's death", {
    ...base,
    faults: [struck("kill-relay")],
    delivered: [...base.delivered, again(began + grace)]
  }, []],
  ["an event is delivered again too long after a relay's death", {
    ...base,
    faults: [struck("kill-relay")],
    delivered: [...base.delivered, again(later)]
  }, ["duplicate"]],
  ["an event is delivered again after a consumer's death, which is no reason", {
    ...base,
    faults: [struck("kill-consumer")],
    delivered: [...base.delivered, again(began + 1)]
  }, ["duplicate"]],
  ["an event is delivered again after a writer's connection was cut, which is no reason", {
    ...base,
    faults: [struck("cut", { target: "writer 1" })],
    delivered: [...base.delivered, again(began + 1)]
  }, ["duplicate"]],
  ["an event is delivered again after a relay ended well, which is no reason", {
    ...base,
    faults: [struck("end-relay")],
    delivered: [...base.delivered, again(began + 1)]
  }, ["duplicate"]],

  ["an event is delivered again beside one that RabbitMQ has refused, and with it the channel", {
    ...base,
    asked: { ...base.asked, broker: "rabbitmq" },
    faults: [struck("poison-event", { target: "accounts" })],
    delivered: [...base.delivered, again(began + 1)]
  }, []],
  ["an event is delivered again beside one that Kafka has refused, which is no reason", {
    ...base,
    faults: [struck("poison-event", { target: "accounts" })],
    delivered: [...base.delivered, again(began + 1)]
  }, ["duplicate"]],

  ["a dead relay's buckets are taken over in time", {
    ...base,
    faults: [struck("kill-relay", { buckets: 20, takenOver: began + takeoverLimit })]
  }, []],
  ["a dead relay's buckets are taken over too late", {
    ...base,
    faults: [struck("kill-relay", { buckets: 20, takenOver: began + takeoverLimit + 1 })]
  }, ["takeover"]],
  ["a dead relay's buckets are never taken over", {
    ...base,
    faults: [struck("kill-relay", { buckets: 20 })]
  }, ["takeover"]],
  ["a dead relay's buckets are taken over late, while the database restarted", {
    ...base,
    faults: [
      struck("kill-relay", { buckets: 20, takenOver: began + takeoverLimit + 1 }),
      struck("restart-database", { target: "database", from: began + 100, to: began + 5_000 })
    ]
  }, []],
  ["a dead relay had no buckets", { ...base, faults: [struck("kill-relay", { buckets: 0 })] }, []],

  ["a process ends, and nothing had happened", {
    ...base,
    exits: [{ process: "relay 1", how: "exit code 1", at: later }]
  }, ["crash"]],
  ["a process cannot start while its connections are cut", {
    ...base,
    faults: [struck("cut", { target: "relay 1", to: began + 2_000 })],
    exits: [{ process: "relay 1", how: "exit code 1", at: began + 2_000 }]
  }, []],

  ["a consumer is killed by its message", {
    ...base,
    exits: [{ process: "consumer 1", how: "SIGKILL", at: later }]
  }, []],
  ["a consumer is killed before there was a message that kills", {
    ...base,
    faults: [struck("kill-relay")],
    exits: [{ process: "consumer 1", how: "SIGKILL", at: began }]
  }, ["crash"]],
  ["a relay is killed, and nobody did it", {
    ...base,
    exits: [{ process: "relay 1", how: "SIGKILL", at: later }]
  }, ["crash"]],

  ["something is pending in the end", { ...base, unrest: ["3 events are pending"] }, ["rest"]],

  ["the ledger lacks a version", {
    ...base,
    ledger: without(ledger, "a-2"),
    delivered: without(base.delivered, "a-2"),
    applied: without(base.applied, "a-2")
  }, ["truth"]],
  ["an account is behind its ledger", {
    ...base,
    accounts: base.accounts.map((one) => one.key === "a" ? { ...one, version: 2 } : one)
  }, ["truth"]]
]

describe("the checker", () => {
  for (const [what, history, expected] of cases) {
    it(`says of a history where ${what}: ${expected.length === 0 ? "sound" : expected.join(", ")}`, () => {
      assert.deepStrictEqual(broken(history), [...expected])
    })
  }

  it("has a history that breaks each rule", () => {
    assert.deepStrictEqual(
      [...new Set(cases.flatMap(([, , rules]) => rules))].sort(),
      (Object.keys(rules) as Array<Rule>).sort()
    )
  })

  it("counts", () => {
    const verdict = check({
      ...base,
      faults: [struck("kill-relay")],
      delivered: [...without(base.delivered, "a-3"), again(began + 1), again(later)]
    })
    const { committed, deadLetters, delivered, duplicates, lost, outOfOrder, phantom, unexplained } = verdict
    assert.deepStrictEqual({ committed, deadLetters, delivered, duplicates, lost, outOfOrder, phantom, unexplained }, {
      committed: 7,
      deadLetters: 2,
      delivered: 5,
      duplicates: 2,
      lost: 1,
      outOfOrder: 0,
      phantom: 0,
      unexplained: 1
    })
  })

  it("measures from a death on, and otherwise from the end of a fault, until all that was committed by that end is done", () => {
    const slow = base.applied.map((one) => one.id === "a-2" ? { ...one, at: began + 9_000 } : one)
    const { recoveries } = check({
      ...base,
      applied: slow,
      faults: [
        struck("kill-relay", { from: began + 1_500, to: began + 2_500 }),
        struck("stop-relay", { from: began + 1_500, to: began + 2_500 }),
        struck("kill-relay", { from: began + 500, to: began + 900 }),
        struck("cut", { from: began + 500, to: began + 2_500, refused: "there was nothing to cut" })
      ]
    })
    assert.deepStrictEqual(recoveries, [
      { kind: "kill-relay", millis: 7_500 },
      { kind: "stop-relay", millis: 6_500 },
      { kind: "kill-relay", millis: 0 }
    ])
  })
})
