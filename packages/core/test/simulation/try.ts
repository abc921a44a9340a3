import { FastCheck } from "effect"
import { simulate } from "./simulate.ts"
import { schedule } from "./schedule.ts"
import { judge } from "./checker.ts"
const n = Number(process.argv[2] ?? 100)
const plans = FastCheck.sample(schedule, { seed: Number(process.argv[3] ?? 1), numRuns: n })
let end = 0, ceased = 0, bad = 0, judging = 0
const by: Record<string, [number, number, number]> = {}
const t = process.cpuUsage().user
for (const plan of plans) {
  const t0 = process.cpuUsage().user
  const history = simulate(plan)
  const t1 = process.cpuUsage().user
  if (judge(history).length) bad++
  judging += process.cpuUsage().user - t1
  const at = history.events.at(-1)!.at
  end += at
  ceased += history.events.find((e) => e._tag === "Ceased")!.at
  for (const k of [`poll ${plan.poll}`, `relays ${plan.relays}`, `ops ${plan.operations}`, `lanes ${plan.lanes}`]) {
    const o = by[k] ??= [0, 0, 0]; o[0]++; o[1] += (t1 - t0) / 1000; o[2] += at
  }
}
console.log("cpu ms each", (process.cpuUsage().user - t) / 1000 / n, "judge", judging / 1000 / n, "bad", bad, "end", end / n, "ceased", ceased / n)
for (const [k, [c, ms, at]] of Object.entries(by)) console.log(k, c, ms / c, at / c)
