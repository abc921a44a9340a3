/** What is to be changed is said before it is changed, and somebody agrees. */
import * as Prompt from "@effect/cli/Prompt"
import type * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import { CliError } from "./exitCode.ts"
import { isTerminal } from "./output.ts"

export interface Consent {
  readonly yes: boolean
  readonly dryRun: boolean
}

/** Asks unless `--yes` has answered; without a terminal there is nobody to be asked. */
export const confirmed = (
  what: string,
  { yes }: Pick<Consent, "yes">
): Effect.Effect<void, CliError | Terminal.QuitException, Prompt.Prompt.Environment> => {
  const refusal = (message: string) => new CliError({ ending: "Unconfirmed", message })
  if (yes) return Effect.void
  if (!isTerminal()) {
    return refusal(`Nothing was changed: ${what} asks first, and there is no terminal to ask at. Say --yes`)
  }
  return Effect.flatMap(
    Prompt.run(Prompt.confirm({ message: `${what[0]!.toUpperCase()}${what.slice(1)}?`, initial: false })),
    (agrees) => agrees ? Effect.void : refusal("Nothing was changed")
  )
}
