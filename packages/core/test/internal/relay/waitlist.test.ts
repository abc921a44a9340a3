import type { OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { Waitlist } from "../../../src/internal/relay/waitlist.ts"
import { entry } from "./entries.ts"

const waiting = (
  sequence: number,
  due: number | undefined,
  key: string | undefined = "blue",
  bucket = 0
): OutboxStorage.Waiting => ({
  sequence: BigInt(sequence),
  bucket,
  topic: "rooms",
  key,
  due: due === undefined ? undefined : Duration.millis(due)
})
const all = () => true

describe("Waitlist", () => {
  it("blocks others of its topic and key, and not itself", () => {
    const list = new Waitlist()
    list.add(waiting(5, undefined), 0)
    assert.isTrue(list.blocks(entry(6)))
    assert.isFalse(list.blocks(entry(5)))
    assert.isFalse(list.blocks(entry(6, { key: "red" })))
    assert.isFalse(list.blocks(entry(6, { topic: "openings" })))
    assert.isFalse(list.blocks(entry(6, { key: undefined })))
    assert.strictEqual(list.blocker("rooms", "blue"), 5n)
    assert.isTrue(list.remove(5n))
    assert.isFalse(list.remove(5n))
    assert.isFalse(list.blocks(entry(6)))
  })

  it("blocks nobody for one without a key", () => {
    const list = new Waitlist()
    list.add(waiting(5, 10, undefined), 0)
    assert.isFalse(list.blocks(entry(6, { key: undefined })))
    assert.deepStrictEqual(list.due(10, 9, all), [5n])
  })

  it("hands out what is due, the longest first, and no more than asked for", () => {
    const list = new Waitlist()
    list.add(waiting(1, 300, "a"), 0)
    list.add(waiting(2, 100, "b"), 0)
    list.add(waiting(3, 200, "c"), 0)
    list.add(waiting(4, undefined, "d"), 0)
    assert.deepStrictEqual(list.due(99, 9, all), [])
    assert.deepStrictEqual(list.due(300, 2, all), [2n, 3n])
    assert.deepStrictEqual(list.due(300, 9, ({ sequence }) => sequence !== 3n), [2n, 1n])
  })

  it("says when the next one is due, without those that have been", () => {
    const list = new Waitlist()
    assert.strictEqual(list.nextDue(0), Number.POSITIVE_INFINITY)
    list.add(waiting(1, 100, "a"), 1000)
    list.add(waiting(2, 200, "b"), 1000)
    assert.strictEqual(list.nextDue(0), 1100)
    assert.strictEqual(list.nextDue(1100), 1200)
    assert.strictEqual(list.nextDue(1200), Number.POSITIVE_INFINITY)
  })

  it("rounds a due time up to the clock's milliseconds", () => {
    const list = new Waitlist()
    list.add({ ...waiting(1, undefined), due: Duration.micros(500n) }, 0)
    assert.deepStrictEqual(list.due(0, 9, all), [])
    assert.deepStrictEqual(list.due(1, 9, all), [1n])
  })

  it("knows whether a bucket has something to try again", () => {
    const list = new Waitlist()
    list.add(waiting(1, undefined, "a", 3), 0)
    assert.isFalse(list.hasDeferred(3))
    list.add(waiting(2, 100, "b", 3), 0)
    assert.isTrue(list.hasDeferred(3))
    assert.isFalse(list.hasDeferred(4))
  })

  it("forgets what is of buckets that are gone", () => {
    const list = new Waitlist()
    list.add(waiting(1, 100, "a", 3), 0)
    list.add(waiting(2, 100, "b", 4), 0)
    list.forget((bucket) => bucket === 3)
    assert.isUndefined(list.blocker("rooms", "a"))
    assert.deepStrictEqual(list.due(100, 9, all), [2n])
  })
})
