import { FastCheck } from "effect"
import { judge, type Violation } from "./checker.ts"
import type { History } from "./history.ts"
import { type Schedule, schedule } from "./schedule.ts"
import { type Mutation, simulate } from "./simulate.ts"

/** What is searched: so many schedules, those of a seed; from a place in it on, to run one again. */
export interface Search {
  readonly runs: number
  readonly seed?: number | undefined
  readonly path?: string | undefined
  /** Whether a counterexample is made as small as it can be. */
  readonly shrinks: boolean
  readonly mutation?: Mutation
  readonly seen?: (history: History) => void
}

export interface Counterexample {
  readonly schedule: Schedule
  readonly history: History
  readonly violations: ReadonlyArray<Violation>
  readonly seed: number
  readonly path: string
  /** How many schedules were played. */
  readonly runs: number
}

/** Plays schedules until one breaks a rule. */
export const search = async (
  { mutation, path, runs, seed, seen, shrinks }: Search
): Promise<Counterexample | undefined> => {
  const property = FastCheck.asyncProperty(schedule, async (plan) => {
    // one schedule is played in one go: in between, others have their turn
    await new Promise((resume) => setImmediate(resume))
    const history = simulate(plan, mutation)
    seen?.(history)
    return judge(history).length === 0
  })
  const found = await FastCheck.check(property, {
    numRuns: runs,
    endOnFailure: !shrinks,
    ...(seed === undefined ? {} : { seed }),
    ...(path === undefined ? {} : { path })
  })
  if (!found.failed) return undefined
  const plan = found.counterexample![0]
  try {
    const history = simulate(plan, mutation)
    return {
      schedule: plan,
      history,
      violations: judge(history),
      seed: found.seed,
      path: found.counterexamplePath!,
      runs: found.numRuns
    }
  } catch (cause) {
    throw new Error(FastCheck.defaultReportMessage(found), { cause })
  }
}

const plain = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? Number(value) : value === Infinity ? "Infinity" : value

/** What somebody needs who is to repair it. */
export const explain = ({ history, path, schedule, seed, violations }: Counterexample): string =>
  [
    ...violations.map(({ at, rule, what }) => `${rule}, at ${at} ms: ${what}`),
    "",
    `Run it again: EFFECT_CQRS_SIMULATION_SEED=${seed} EFFECT_CQRS_SIMULATION_PATH=${path} ` +
    "npx vitest run --project unit packages/core/test/simulation/Simulation.test.ts",
    "",
    `The schedule: ${JSON.stringify(schedule, plain, 2)}`,
    "",
    "What happened:",
    ...history.events.map(({ _tag, at, ...rest }) => `${String(at).padStart(7)} ${_tag} ${JSON.stringify(rest, plain)}`)
  ].join("\n")
