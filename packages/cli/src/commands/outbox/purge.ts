/** `effect-cqrs outbox purge`. */
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { confirmed } from "../../internal/confirmation.ts"
import * as Database from "../../internal/database.ts"
import { CliError } from "../../internal/exitCode.ts"
import { age, grouped, print, say } from "../../internal/output.ts"
import * as Progress from "../../internal/progress.ts"
import * as Settings from "../../internal/settings.ts"

const olderThan = Settings.duration("older-than").pipe(
  Options.withDescription("Only what was delivered longer ago than this, as \"7 days\"; to the minute")
)

const Purged = Schema.Struct({ dryRun: Schema.Boolean, matched: Schema.Number, done: Schema.Number })

const step = 1000

export const purge = Command.make(
  "purge",
  { ...Settings.database, ...Settings.changing, olderThan },
  (options) =>
    Effect.gen(function*() {
      const { dryRun, olderThan } = options
      const { purge, purgeable } = yield* OutboxStorage
      const matched = yield* purgeable(olderThan)
      const what = `${grouped(matched)} delivered ${matched === 1 ? "entry" : "entries"}, kept for more than ${
        age(olderThan)
      }`
      const printed = print(Purged, ({ done }) => [dryRun ? `${what}, would be deleted.` : `Deleted ${grouped(done)}.`])
      if (matched === 0) {
        return yield* new CliError({
          ending: "NoMatch",
          message: `No delivered entry is kept for more than ${age(olderThan)}, and nothing was deleted`
        })
      }
      if (dryRun) return yield* printed({ dryRun, matched, done: 0 }, options)
      if (!options.json) yield* Console.log(`To be deleted for good: ${what}.`)
      yield* confirmed(`delete ${what}`, options)
      const progress = yield* Progress.bar(matched)
      const removed = Effect.iterate({ done: 0, last: step }, {
        while: ({ last }) => last >= step,
        body: ({ done }) =>
          Effect.tap(
            Effect.map(purge({ olderThan, limit: step }), (last) => ({ done: done + last, last })),
            progress.show
          )
      })
      const { done } = yield* Effect.onInterrupt(removed, () =>
        Effect.zipRight(
          progress.clear,
          say(
            `Interrupted after ${grouped(progress.done())} of ${
              grouped(matched)
            }: the same command goes on with the rest`
          )
        ))
      yield* progress.clear
      yield* printed({ dryRun, matched, done }, options)
    }).pipe(Effect.provide(Database.storage(options)))
).pipe(
  Command.withDescription(Settings.help(
    "Deletes what was delivered and is kept (`retention` of the relay). What is pending or dead is not touched.",
    "outbox purge --older-than \"7 days\" --dry-run"
  ))
)
