import { assert, describe, it } from "@effect/vitest"
import { factsOf, names, targets } from "../src/Kinds.ts"
import { plan, type Planned } from "../src/Plan.ts"

const seeds = Array.from({ length: 20 }, (_, seed) => seed)

describe("the plan", () => {
  it("is the same for the same seed, and another for another", () => {
    assert.deepStrictEqual(plan({ minutes: 30, seed: 7 }), plan({ minutes: 30, seed: 7 }))
    assert.notDeepEqual(plan({ minutes: 30, seed: 7 }), plan({ minutes: 30, seed: 8 }))
  })

  it("begins in the same way however long it goes on", () => {
    const short = plan({ minutes: 2, seed: 3 })
    assert.deepStrictEqual(plan({ minutes: 30, seed: 3 }).slice(0, short.length), short)
  })

  it("has each kind of fault within two minutes, and in time", () => {
    for (const seed of seeds) {
      const planned = plan({ minutes: 2, seed })
      assert.deepStrictEqual([...new Set(planned.map(({ kind }) => kind))].sort(), [...names].sort(), `seed ${seed}`)
      for (const { at } of planned) assert.isBelow(at, 120_000)
    }
  })

  it("has more than a thousand faults in two hours", () => {
    assert.isAbove(plan({ minutes: 120, seed: 1 }).length, 1_000)
  })

  it("does to each target what can be done to it, for as long as it may last, and one thing at a time", () => {
    for (const seed of seeds) {
      const last = new Map<string, Planned>()
      for (const planned of plan({ minutes: 30, seed })) {
        const { lasts: [least, most], ways } = factsOf(planned.kind)
        assert.include(targets(planned.kind), planned.target)
        assert.include(ways, planned.way)
        assert.isAtLeast(planned.lasts, least)
        assert.isAtMost(planned.lasts, most)
        const before = last.get(planned.target)
        if (before !== undefined) assert.isAbove(planned.at, before.at + before.lasts)
        last.set(planned.target, planned)
      }
    }
  })

  it("has only what it is asked for", () => {
    const planned = plan({ minutes: 10, seed: 1, kinds: ["cut", "kill-relay"] })
    assert.deepStrictEqual([...new Set(planned.map(({ kind }) => kind))].sort(), ["cut", "kill-relay"])
    assert.isAbove(planned.length, 50)
  })
})
