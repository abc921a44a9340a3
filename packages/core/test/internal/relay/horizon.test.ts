import { assert, describe, it } from "@effect/vitest"
import { Horizon } from "../../../src/internal/relay/horizon.ts"

describe("Horizon", () => {
  it("passes over nothing at first", () => {
    assert.isUndefined(new Horizon(0).after(5000))
  })

  it("passes over a place once a read has found it empty two seconds later", () => {
    const horizon = new Horizon(0)
    horizon.mark(0, 100n)
    assert.isUndefined(horizon.after(5000))
    horizon.mark(1999, 100n)
    assert.isUndefined(horizon.after(5000))
    horizon.mark(2000, 150n)
    assert.strictEqual(horizon.after(5000), 100n)
  })

  it("does not pass over a place below which something has come up", () => {
    const horizon = new Horizon(0)
    horizon.mark(0, 100n)
    horizon.mark(2000, 49n)
    assert.isUndefined(horizon.after(2000))
  })

  it("stays two seconds behind, and keeps few places", () => {
    const horizon = new Horizon(0)
    for (let now = 0; now <= 9000; now += 100) horizon.mark(now, BigInt(now))
    const after = horizon.after(9000)!
    assert.isAtMost(Number(after), 7000)
    assert.isAtLeast(Number(after), 6000)
  })

  it("wants places half a second apart", () => {
    const horizon = new Horizon(0)
    assert.isTrue(horizon.wantsMark(0))
    horizon.mark(0, 1n)
    assert.isFalse(horizon.wantsMark(499))
    assert.isTrue(horizon.wantsMark(500))
  })

  it("scans everything again every ten seconds, or fifty times what the last scan took", () => {
    const horizon = new Horizon(0)
    horizon.mark(0, 100n)
    horizon.mark(2000, 100n)
    assert.strictEqual(horizon.after(9999), 100n)
    assert.isUndefined(horizon.after(10_000))
    horizon.scanned(10_500, 500)
    assert.strictEqual(horizon.after(35_499), 100n)
    assert.isUndefined(horizon.after(35_500))
  })

  it("does not pass over what is not left out any more", () => {
    const horizon = new Horizon(0)
    horizon.mark(0, 100n)
    horizon.mark(1000, 200n)
    horizon.mark(3000, 300n)
    assert.strictEqual(horizon.after(4000), 200n)
    horizon.reset(201n)
    assert.strictEqual(horizon.after(4000), 200n)
    horizon.reset(200n)
    assert.isUndefined(horizon.after(4000))
  })
})
