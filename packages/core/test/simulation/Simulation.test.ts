import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { explain, search } from "./report.ts"
import { schedule } from "./schedule.ts"
import { simulate } from "./simulate.ts"
import { Tally } from "./tally.ts"

const { CI, EFFECT_CQRS_SIMULATION_PATH, EFFECT_CQRS_SIMULATION_RUNS, EFFECT_CQRS_SIMULATION_SEED } = process.env

const path = EFFECT_CQRS_SIMULATION_PATH
const seed = EFFECT_CQRS_SIMULATION_SEED === undefined ? undefined : Number(EFFECT_CQRS_SIMULATION_SEED)
const runs = Number(EFFECT_CQRS_SIMULATION_RUNS ?? (CI === undefined ? 1000 : 10_000))

describe("relays, whatever happens", () => {
  const tally = new Tally()

  it("keep every rule of the checker", async () => {
    const found = await search({ runs, seed, path, shrinks: true, seen: tally.add })
    if (found !== undefined) assert.fail(explain(found))
  }, 900_000)

  it.skipIf(runs < 1000 || path !== undefined)("were put to each kind of fault", () => {
    for (const [what, count] of tally.counts) {
      assert.isAbove(count, 0, `${what}, in so many of ${tally.histories} schedules`)
    }
  })

  it("do the same when the same happens", () => {
    for (const plan of FastCheck.sample(schedule, { seed: 1, numRuns: 20 })) {
      assert.deepStrictEqual(simulate(plan), simulate(plan))
    }
  })
})
