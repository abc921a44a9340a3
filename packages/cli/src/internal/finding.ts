/** What the doctor found: data, whatever it is shown as. */
import * as Schema from "effect/Schema"
import { table } from "./output.ts"

export const Finding = Schema.Struct({
  check: Schema.String,
  verdict: Schema.Literal("ok", "warning", "problem"),
  found: Schema.String,
  /** What to do about it. */
  advice: Schema.NullOr(Schema.String)
})

export type Finding = typeof Finding.Type

export const ok = (check: string, found: string): Finding => ({ check, verdict: "ok", found, advice: null })

export const warning = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: "warning",
  found,
  advice
})

export const problem = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: "problem",
  found,
  advice
})

export const Report = Schema.Struct({
  problems: Schema.Number,
  warnings: Schema.Number,
  findings: Schema.Array(Finding)
})

export const reportOf = (findings: ReadonlyArray<Finding>): typeof Report.Type => ({
  problems: findings.filter(({ verdict }) => verdict === "problem").length,
  warnings: findings.filter(({ verdict }) => verdict === "warning").length,
  findings
})

export const render = ({ findings, problems, warnings }: typeof Report.Type): ReadonlyArray<string> => {
  const things = findings.filter(({ advice }) => advice !== null)
  return [
    ...table(["CHECK", "", "FOUND"], findings.map(({ check, found, verdict }) => [check, verdict, found])),
    ...things.length === 0 ? [] : ["", "What to do:"],
    ...things.map(({ advice, check, verdict }) => `- ${check} (${verdict}): ${advice}`),
    "",
    `${problems} ${problems === 1 ? "problem" : "problems"}, ${warnings} ${warnings === 1 ? "warning" : "warnings"}.`
  ]
}
