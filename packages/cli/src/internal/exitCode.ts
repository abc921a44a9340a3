/** How the program ends: one table for the code, the help and the documentation. */
import { ContractCommandError } from "@effect-cqrs/contracts/cli/ContractCommand"
import { ContractError } from "@effect-cqrs/contracts/Contract"
import { BrokerError } from "@effect-cqrs/core/Broker"
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as ValidationError from "@effect/cli/ValidationError"
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

export const exitCodes = {
  Done: [0, "It is done, or there is nothing that speaks against it."],
  Found: [
    1,
    "Something was found: a problem by `doctor`, a change that breaks a contract, or letters that a redrive could not send."
  ],
  Usage: [2, "An unknown command or option, or a value or setting that cannot be."],
  Unreachable: [3, "The database or the broker cannot be reached, or refuses the login."],
  Tables: [4, "The tables are missing, older or newer than this program, or nothing has used them yet."],
  NoMatch: [5, "Nothing matches."],
  Unconfirmed: [6, "It was not confirmed, and nothing was changed."],
  Defect: [70, "A mistake of this program."],
  Interrupted: [130, "It was interrupted. What it says it has done is done."]
} as const

export type Ending = keyof typeof exitCodes

/** A sentence for the user, and how the program ends. */
export class CliError extends Data.TaggedError("CliError")<{
  readonly ending: Ending
  readonly message: string
}> {}

let isService = false

/** From here on the signal that interrupts the program is what it waits for. */
export const untilInterrupted: Effect.Effect<never> = Effect.onInterrupt(
  Effect.never,
  () =>
    Effect.sync(() => {
      isService = true
    })
)

/** How the program ends, and what is still to be said of it. */
export const endingOf = (
  exit: Exit.Exit<unknown, unknown>
): { readonly ending: Ending; readonly sentence?: string } => {
  if (Exit.isSuccess(exit)) return { ending: "Done" }
  if (Cause.isInterruptedOnly(exit.cause)) return { ending: isService ? "Done" : "Interrupted" }
  const failure = Cause.squash(exit.cause)
  // the parser has said it itself
  if (ValidationError.isValidationError(failure)) return { ending: "Usage" }
  if (isQuit(failure)) return { ending: "Interrupted" }
  if (failure instanceof CliError) return { ending: failure.ending, sentence: failure.message }
  if (failure instanceof ContractCommandError) {
    return { ending: failure.reason === "Breaking" ? "Found" : "Usage", sentence: failure.message }
  }
  if (failure instanceof ContractError) return { ending: "Usage", sentence: failure.message }
  if (failure instanceof StorageError) {
    const ending = failure.reason === "Schema" || failure.reason === "Corrupt" ? "Tables" : "Unreachable"
    return { ending, sentence: here(sentenceOf(failure)) }
  }
  if (failure instanceof BrokerError || failure instanceof SqlError) {
    return { ending: "Unreachable", sentence: sentenceOf(failure) }
  }
  if (ConfigError.isConfigError(failure)) return { ending: "Usage", sentence: withoutLogin(String(failure)) }
  return { ending: "Defect", sentence: withoutLogin(Cause.pretty(exit.cause, { renderErrorCause: true })) }
}

/** What a program would do by itself is done here by a command. */
const here = (sentence: string): string =>
  sentence.replace("run the migrations of @effect-cqrs/sql (Migrations.run)", "run `effect-cqrs migrate apply`")
    .replace("update @effect-cqrs/sql", "update @effect-cqrs/cli")

/** What an error says, with the reason at the bottom of it. */
export const sentenceOf = (error: { readonly message: string; readonly cause?: unknown }): string => {
  let bottom: unknown = error.cause
  for (let depth = 0; depth < 16 && typeof bottom === "object" && bottom !== null; depth++) {
    if (!("cause" in bottom) || typeof bottom.cause !== "object" || bottom.cause === null) break
    bottom = bottom.cause
  }
  if (typeof bottom !== "object" || bottom === null) return withoutLogin(error.message)
  const { code, errors, message, sqlMessage } = bottom as Record<string, unknown>
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined
  const said = [sqlMessage, message, (first as Error | undefined)?.message, code]
    .find((one): one is string => typeof one === "string" && one !== "")
  return withoutLogin(
    said === undefined || error.message.includes(said)
      ? error.message
      : error.message === ""
      ? said
      : `${error.message} (${said})`
  )
}

/** A text in which no URL has a user or a password. */
export const withoutLogin = (text: string): string =>
  text.replaceAll(/([a-z][a-z0-9+]*:\/\/)(?:[^\s/]*@|[^\s/@]+:(?:(?!:\/\/)\S)*@)/gi, "$1…@")

const isQuit = (failure: unknown): boolean =>
  typeof failure === "object" && failure !== null && "_tag" in failure && failure._tag === "QuitException"
