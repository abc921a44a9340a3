import { assert, describe, it } from "@effect/vitest"
import { LoneFailures } from "../../../src/internal/relay/loneFailures.ts"
import { entry } from "./entries.ts"

const all = () => true

describe("LoneFailures", () => {
  it("counts failures in a row, until the entry is forgotten", () => {
    const lone = new LoneFailures()
    assert.strictEqual(lone.count(entry(5)), 0)
    assert.deepStrictEqual([1, 2, 3].map((until) => lone.fail(entry(5), until, 0)), [1, 2, 3])
    assert.strictEqual(lone.count(entry(5)), 3)
    lone.forget(5n)
    assert.strictEqual(lone.count(entry(5)), 0)
    assert.isUndefined(lone.blocker("rooms", "blue"))
  })

  it("keeps an entry and its key out of the buckets", () => {
    const lone = new LoneFailures()
    lone.fail(entry(5), 100, 0)
    lone.fail(entry(7, { key: undefined }), 100, 0)
    assert.deepStrictEqual([5, 6].map((n) => lone.blocks(entry(n))), [true, true])
    assert.deepStrictEqual([7, 8].map((n) => lone.blocks(entry(n, { key: undefined }))), [true, false])
    assert.isFalse(lone.blocks(entry(6, { key: "red" })))
    assert.strictEqual(lone.blocker("rooms", "blue"), 5n)
  })

  it("hands out those whose wait is over, the longest first", () => {
    const lone = new LoneFailures()
    lone.fail(entry(5, { key: "a" }), 100, 0)
    lone.fail(entry(6, { key: "b" }), 50, 0)
    lone.fail(entry(7, { key: "c" }), 200, 0)
    assert.isTrue(lone.isHeld(6n, 49))
    assert.isFalse(lone.isHeld(6n, 50))
    assert.deepStrictEqual(lone.due(100, 9, all), [6n, 5n])
    assert.deepStrictEqual(lone.due(100, 1, all), [6n])
    assert.deepStrictEqual(lone.due(100, 9, ({ sequence }) => sequence === 5n), [5n])
    assert.strictEqual(lone.nextDue(50), 100)
    assert.strictEqual(lone.nextDue(200), Number.POSITIVE_INFINITY)
  })

  it("holds one back again without counting", () => {
    const lone = new LoneFailures()
    lone.fail(entry(5), 100, 0)
    lone.hold(entry(5), 300)
    assert.strictEqual(lone.count(entry(5)), 1)
    assert.isTrue(lone.isHeld(5n, 299))
    lone.hold(entry(6), 300)
    assert.isFalse(lone.has(6n))
  })

  it("an entry is outlived if its destination has taken something since it failed", () => {
    const lone = new LoneFailures()
    assert.isFalse(lone.isOutlived(entry(5), 3))
    lone.blame(entry(5), 3)
    assert.isFalse(lone.isOutlived(entry(5), 3))
    assert.isTrue(lone.isOutlived(entry(5), 4))
    assert.isFalse(lone.isOutlived(entry(6), 4))
    lone.fail(entry(5), 100, 4)
    assert.isFalse(lone.isOutlived(entry(5), 4))
    assert.isTrue(lone.isOutlived(entry(5), 5))
  })

  it("forgets what is of buckets that are gone", () => {
    const lone = new LoneFailures()
    lone.fail(entry(5, { bucket: 1 }), 100, 0)
    lone.fail(entry(6, { bucket: 2, key: "red" }), 100, 0)
    lone.clear((bucket) => bucket === 1)
    assert.deepStrictEqual([lone.has(5n), lone.has(6n)], [false, true])
  })
})
