import { assert, describe, it } from "@effect/vitest"
import { Trust } from "../../../src/internal/relay/trust.ts"

const died = (deaths: number) => ({ deaths, suspect: undefined })

describe("Trust", () => {
  it.each([[0, 500], [1, 63], [2, 8], [3, 1], [4, 1], [50, 1]])(
    "after %i deaths %i entries are in flight",
    (deaths, window) => {
      const trust = new Trust(500)
      trust.doubt(7, died(deaths))
      assert.strictEqual(trust.window(7), window)
      assert.strictEqual(trust.isAlone(7), window === 1)
      assert.deepStrictEqual(trust.alone, window === 1 ? [7] : [])
      assert.strictEqual(trust.window(8), 500)
    }
  )

  it("widens with each full window that passed, until nothing is held against the bucket", () => {
    const trust = new Trust(500)
    trust.doubt(7, died(3))
    const windows: Array<[count: number, window: number]> = []
    let last = trust.window(7)
    for (let count = 1; trust.doubted.length > 0; count++) {
      const isFree = trust.passed(7, 1)
      if (trust.window(7) !== last) windows.push([count, last = trust.window(7)])
      assert.strictEqual(isFree, trust.doubted.length === 0)
    }
    assert.deepStrictEqual(windows, [[8, 8], [72, 64], [572, 500]])
  })

  it("a bucket that nothing is held against has nothing to pass", () => {
    assert.isFalse(new Trust(500).passed(7, 1000))
  })

  it("keeps what is suspected, until it is forgotten", () => {
    const trust = new Trust(500)
    trust.doubt(7, { deaths: 3, suspect: { sequence: 4n, deaths: 2 } })
    assert.deepStrictEqual(trust.suspicion(7)!.suspect, { sequence: 4n, deaths: 2 })
    trust.forget(7)
    assert.isUndefined(trust.suspicion(7))
  })
})
