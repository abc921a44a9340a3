/** Dead letters of the outbox and of consumers: how they are counted, shown and changed. */
import type * as Prompt from "@effect/cli/Prompt"
import type * as Terminal from "@effect/platform/Terminal"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { confirmed, type Consent } from "./confirmation.ts"
import { CliError } from "./exitCode.ts"
import { count, grouped, print, say, shortened, table } from "./output.ts"
import * as Progress from "./progress.ts"

const Count = Schema.Struct({
  topic: Schema.NullOr(Schema.String),
  reason: Schema.String,
  count: Schema.Number
})

/** What a redrive or a discard is about, and what came of it. */
const Changed = Schema.Struct({
  dryRun: Schema.Boolean,
  matched: Schema.Number,
  /** What was meant, by topic and reason. */
  letters: Schema.Array(Count),
  done: Schema.Number,
  /** Letters that could not be sent, and why. */
  kept: Schema.Number,
  problems: Schema.Array(Schema.String)
})

const tableOf = (letters: ReadonlyArray<typeof Count.Type>): ReadonlyArray<string> =>
  table(
    ["TOPIC", "COUNT", "REASON"],
    letters.map((one) => [one.topic ?? "(unknown)", grouped(one.count), shortened(one.reason, 80)]),
    ["COUNT"]
  )

export interface Change<E, R> extends Consent {
  readonly json: boolean
  readonly verb: "redrive" | "discard"
  /** What becomes of them, as a sentence. */
  readonly means: string
  readonly counted: Effect.Effect<
    ReadonlyArray<{ readonly topic: string | undefined; readonly reason: string; readonly count: number }>,
    E,
    R
  >
  readonly apply: (
    onProgress: Progress.Progress["show"]
  ) => Effect.Effect<{ readonly done: number; readonly kept: number; readonly problems: ReadonlyArray<string> }, E, R>
}

/** Says what there is, asks, and does it. */
export const change = <E, R>(
  { apply, counted, dryRun, json, means, verb, yes }: Change<E, R>
): Effect.Effect<void, E | CliError | Terminal.QuitException, R | Prompt.Prompt.Environment> =>
  Effect.gen(function*() {
    const past = verb === "redrive" ? "redriven" : "discarded"
    const report = print(Changed, ({ done, dryRun, matched }) => [
      dryRun
        ? `\n${count(matched, "dead letter")} would be ${past}; nothing was changed.`
        : `${count(done, "dead letter")} ${past}.`
    ])
    const letters = (yield* counted).map((one) => ({ ...one, topic: one.topic ?? null }))
    const matched = letters.reduce((sum, one) => sum + one.count, 0)
    const nothing = { matched, letters, done: 0, kept: 0, problems: [] }
    if (matched === 0) {
      return yield* new CliError({ ending: "NoMatch", message: "No dead letter matches, and nothing was changed" })
    }
    if (!json) { for (const line of tableOf(letters)) yield* Console.log(line) }
    if (dryRun) {
      return yield* report({ ...nothing, dryRun }, { json })
    }
    if (!json) yield* Console.log(`\n${means}`)
    yield* confirmed(`${verb} ${count(matched, "dead letter")}`, { yes })
    const progress = yield* Progress.bar(matched)
    const outcome = yield* Effect.onInterrupt(
      apply(progress.show),
      () =>
        Effect.zipRight(
          progress.clear,
          say(
            `Interrupted after ${grouped(progress.done())} of ${grouped(matched)}: these are done. The same command ` +
              "goes on with the rest"
          )
        )
    )
    yield* progress.clear
    yield* report({ ...nothing, ...outcome, dryRun }, { json })
    if (outcome.kept > 0) {
      return yield* new CliError({
        ending: "Found",
        message: `${count(outcome.kept, "dead letter")} could not be sent, and ${
          outcome.kept === 1 ? "is" : "are"
        } where ${outcome.kept === 1 ? "it was" : "they were"}: ${outcome.problems.join("; ")}`
      })
    }
  })
