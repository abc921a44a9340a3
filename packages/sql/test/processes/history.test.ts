import { assert, describe, it } from "@effect/vitest"
import { type Delivered, type History, judge } from "./history.ts"

const event = (key: string, version: number) => ({ id: `${key}${version}`, key, version })

const by = (relay: string, key: string, version: number): Delivered => ({ ...event(key, version), relay })

const sound: History = {
  ledger: [event("a", 1), event("a", 2), event("b", 1)],
  deliveries: [by("one", "a", 1), by("two", "b", 1), by("one", "a", 2)],
  disturbed: [],
  deadLetters: []
}

const rulesOf = (changes: Partial<History>) => judge({ ...sound, ...changes }).map(({ rule }) => rule)

const messagesOf = (changes: Partial<History>) => judge({ ...sound, ...changes }).map(({ message }) => message)

describe("the judgement of a history", () => {
  it("finds nothing where nothing is wrong", () => {
    assert.deepStrictEqual(judge(sound), [])
  })

  it("finds an event that was never delivered, and names it", () => {
    const changes = { deliveries: [by("one", "a", 1), by("one", "a", 2)] }
    assert.deepStrictEqual(rulesOf(changes), ["lost"])
    assert.match(messagesOf(changes)[0]!, /1 of 3 .* b v1 \(b1\)/)
  })

  it("does not miss an event that is a dead letter, which is another fault", () => {
    const changes = { deliveries: [by("one", "a", 1), by("one", "a", 2)], deadLetters: [{ id: "b1", reason: "bad" }] }
    assert.deepStrictEqual(rulesOf(changes), ["deadLetter"])
    assert.match(messagesOf(changes)[0]!, /b1.*bad/)
  })

  it("does not miss an event that was given up on purpose", () => {
    assert.deepStrictEqual(rulesOf({ deliveries: [by("one", "a", 1), by("one", "a", 2)], discarded: ["b1"] }), [])
  })

  it("finds a delivery of an event that no transaction has committed, and of one with another content", () => {
    const rolledBack = { deliveries: [...sound.deliveries, by("two", "b", 2)] }
    assert.deepStrictEqual(rulesOf(rolledBack), ["invented"])
    assert.match(messagesOf(rolledBack)[0]!, /b v2 \(b2\) by two/)
    const changed = { deliveries: [by("one", "a", 1), by("one", "a", 2), { ...by("two", "b", 9), id: "b1" }] }
    assert.deepStrictEqual(rulesOf(changed), ["invented"])
  })

  it("finds a first delivery that came too late, whoever made it", () => {
    const changes = { deliveries: [by("one", "a", 2), by("two", "a", 1), by("two", "b", 1)] }
    assert.deepStrictEqual(rulesOf(changes), ["order"])
    assert.match(messagesOf(changes)[0]!, /a v1 .* by two came after a v2 .* by one/)
  })

  it("finds each event that was overtaken", () => {
    const ledger = [1, 2, 3, 4].map((version) => event("a", version))
    const deliveries = [1, 4, 2, 3].map((version) => by("one", "a", version))
    assert.deepStrictEqual(rulesOf({ ledger, deliveries }), ["order", "order"])
  })

  it("finds a repetition that nobody's death explains", () => {
    const changes = { deliveries: [...sound.deliveries, by("two", "b", 1)] }
    assert.deepStrictEqual(rulesOf(changes), ["duplicate"])
    assert.match(messagesOf(changes)[0]!, /b v1 .* 2 times, by two, two/)
  })

  it("excuses a repetition by or of a relay that was disturbed, and no other one", () => {
    const repeated = [...sound.deliveries, by("one", "a", 1), by("three", "a", 1)]
    assert.deepStrictEqual(rulesOf({ deliveries: repeated, disturbed: ["one"] }), [])
    assert.deepStrictEqual(rulesOf({ deliveries: repeated, disturbed: ["two"] }), ["duplicate"])
    assert.deepStrictEqual(
      rulesOf({ deliveries: [...repeated, by("two", "a", 1)], disturbed: ["one"] }),
      ["duplicate"]
    )
  })

  it("does not take a repetition for one that came too late", () => {
    const deliveries = [by("one", "a", 1), by("one", "a", 2), by("two", "a", 1), by("two", "b", 1)]
    assert.deepStrictEqual(rulesOf({ deliveries, disturbed: ["one"] }), [])
  })

  it("finds a relay that did more than twice the work of another while all were up, and none before or after", () => {
    const ledger = Array.from({ length: 400 }, (_, n) => event("a", n + 1))
    const deliveries = ledger.map((one, n) => ({ ...one, relay: n < 100 ? "one" : n % 10 < 6 ? "two" : "one" }))
    const shared = { relays: ["one", "two"], from: 100, to: 400 }
    assert.deepStrictEqual(rulesOf({ ledger, deliveries, shared }), [])
    const worse = deliveries.map((one, n) => ({ ...one, relay: n < 100 ? "one" : n % 10 < 7 ? "two" : "one" }))
    assert.deepStrictEqual(rulesOf({ ledger, deliveries: worse, shared }), ["share"])
    assert.match(messagesOf({ ledger, deliveries: worse, shared })[0]!, /one 90, two 210/)
    assert.deepStrictEqual(rulesOf({ ledger, deliveries: worse, shared: { ...shared, from: 0 } }), [])
  })

  it("finds a relay that did nothing, and a time too short to tell", () => {
    const ledger = Array.from({ length: 400 }, (_, n) => event("a", n + 1))
    const deliveries = ledger.map((one, n) => ({ ...one, relay: n % 2 === 0 ? "one" : "two" }))
    const shared = { relays: ["one", "two", "three"], from: 0, to: 400 }
    assert.deepStrictEqual(rulesOf({ ledger, deliveries, shared }), ["share"])
    assert.deepStrictEqual(
      rulesOf({ ledger, deliveries, shared: { relays: ["one", "two"], from: 0, to: 80 } }),
      ["share"]
    )
  })
})
