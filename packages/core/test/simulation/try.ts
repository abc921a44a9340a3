import { FastCheck } from "effect"
import { simulate } from "./simulate.ts"
import { schedule } from "./Schedule.ts"
import { judge } from "./checker.ts"
const n = Number(process.argv[2] ?? 100)
const plans = FastCheck.sample(schedule, { seed: Number(process.argv[3] ?? 1), numRuns: n })
const t = Date.now()
const counts: Record<string, number> = {}
let ops = 0, bad = 0
const rules: Record<string, number> = {}
for (const plan of plans) {
  ops += plan.steps.length
  const history = simulate(plan)
  const { events } = history
  for (const e of events) { const k = e._tag === "Fault" ? e.kind : e._tag === "Superseded" ? e._tag + e.by : e._tag === "Arrived" ? e.verdict : e._tag === "Settled" ? e.settlement._tag : e._tag; counts[k] = (counts[k] ?? 0) + 1 }
  const v = judge(history)
  if (v.length) { bad++; for (const r of new Set(v.map(x => x.rule))) rules[r] = (rules[r] ?? 0) + 1 }
}
console.log((Date.now() - t) / n, "ms each", "ops", ops / n, "bad", bad, rules, counts, process.memoryUsage().heapUsed / 1e6)
