import { FastCheck } from "effect"
import { simulate } from "./simulate.ts"
import { schedule } from "./Schedule.ts"
import { judge } from "./checker.ts"
const n = Number(process.argv[2] ?? 100)
const rule = process.argv[4]
const r = FastCheck.check(FastCheck.property(schedule, (plan) => judge(simulate(plan)).filter((v) => rule === undefined || v.rule === rule).length === 0), { numRuns: n, seed: Number(process.argv[3] ?? 1) })
if (r.failed) {
  const plan = r.counterexample![0]
  console.log(r.numRuns, r.numShrinks, JSON.stringify(plan, (_, v) => v === Infinity ? "Infinity" : v, 1))
  const h = simulate(plan)
  for (const e of h.events) console.log(JSON.stringify(e, (_, v) => typeof v === "bigint" ? Number(v) : v))
  console.log(judge(h))
}
