import { FastCheck, Fiber, Effect } from "effect"
import { simulate } from "./simulate.ts"
import { schedule } from "./schedule.ts"
import { judge } from "./checker.ts"
const n = Number(process.argv[2] ?? 100)
const seed = Number(process.argv[3] ?? 1)
const from = Number(process.argv[4] ?? 0)
const plans = FastCheck.sample(schedule, { seed, numRuns: n })
const seen = new Set<string>()
const t = process.cpuUsage().user
plans.forEach((plan, i) => {
  if (i < from) return
  const v = judge(simulate(plan))
  if (v.length === 0) return
  const rule = v[0]!.rule
  console.log("bad", i, v)
  if (seen.has(rule)) return
  seen.add(rule)
  const r = FastCheck.check(FastCheck.property(schedule, (plan) => !judge(simulate(plan)).some((v) => v.rule === rule)), { numRuns: 1, seed, path: String(i) })
  const small = r.counterexample?.[0] ?? plan
  console.log(r.numShrinks, JSON.stringify(small, (_, v) => v === Infinity ? "Infinity" : v))
  const h = simulate(small)
  for (const e of h.events) console.log("  ", JSON.stringify(e, (_, v) => typeof v === "bigint" ? Number(v) : v))
  console.log(judge(h))
})
console.log("done", n, (process.cpuUsage().user - t) / n / 1000, "ms cpu each", Effect.runSync(Fiber.roots).length, process.memoryUsage().heapUsed / 1e6)
