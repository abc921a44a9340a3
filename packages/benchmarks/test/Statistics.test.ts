import { assert, describe, it } from "@effect/vitest"
import { quantile, summary } from "../src/Statistics.ts"

describe("Statistics", () => {
  it("a quantile lies between the values beside its place, whatever their order", () => {
    assert.strictEqual(quantile([3, 1, 2], 0.5), 2)
    assert.strictEqual(quantile([4, 1, 2, 3], 0.5), 2.5)
    assert.strictEqual(quantile([10, 0], 0.99), 9.9)
    assert.strictEqual(quantile([7], 0.99), 7)
    assert.isNaN(quantile([], 0.5))
  })

  it("a summary has the median, the extremes and the rounds as they came", () => {
    assert.deepStrictEqual(summary([5, 1, 3]), { median: 3, low: 1, high: 5, rounds: [5, 1, 3] })
  })
})
