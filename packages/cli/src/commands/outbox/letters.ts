/** `effect-cqrs outbox redrive` and `discard`. */
import * as DeadLetters from "@effect-cqrs/core/DeadLetters"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Database from "../../internal/database.ts"
import { CliError } from "../../internal/exitCode.ts"
import { change } from "../../internal/letters.ts"
import * as Settings from "../../internal/settings.ts"

const sequence = Options.text("sequence").pipe(
  Options.withDescription("Only this one; may be said again"),
  Options.repeated,
  Options.mapEffect((texts) => Effect.forEach(texts, Settings.sequenceOf))
)

const command = (verb: "redrive" | "discard", means: string, description: ReturnType<typeof Settings.help>) =>
  Command.make(
    verb,
    { ...Settings.database, ...Settings.letters, ...Settings.changing, sequence },
    (options) =>
      Effect.gen(function*() {
        const letters = yield* DeadLetters.DeadLetters
        const filter = {
          ...Settings.given({ key: options.key, topic: options.topic }),
          ...Settings.given({ since: options.since, until: options.until })
        }
        const isFiltered = Object.keys(filter).length > 0
        if (isFiltered && options.sequence.length > 0) {
          return yield* new CliError({
            ending: "Usage",
            message: "Say which by --sequence, or by --topic, --key, --since and --until: not by both"
          })
        }
        const named = Effect.map(
          Effect.forEach(new Set(options.sequence), letters.inspect),
          (found) =>
            found.flatMap((one) =>
              one._tag === "Some" ? [{ topic: one.value.message.topic, reason: one.value.reason, count: 1 }] : []
            )
        )
        const selection: DeadLetters.Selection = options.sequence.length > 0 ? { sequences: options.sequence } : filter
        yield* change({
          ...options,
          verb,
          means,
          counted: options.sequence.length > 0 ? named : letters.count(filter),
          apply: (onProgress) =>
            Effect.map(letters[verb](selection, onProgress), (done) => ({ done, kept: 0, problems: [] }))
        })
      }).pipe(
        Effect.provide(DeadLetters.layer),
        Effect.provide(Database.storage(options))
      )
  ).pipe(Command.withDescription(description))

export const redrive = command(
  "redrive",
  "They become pending again, in their old places and with no attempts counted; the relays publish them.",
  Settings.help(
    "Makes dead letters pending again: all of them, or those that are meant. Says which first, and asks.",
    "outbox redrive --topic rooms --dry-run",
    "outbox redrive --sequence 42 --sequence 43 --yes"
  )
)

export const discard = command(
  "discard",
  "They are deleted for good; keys that they halted go on without them.",
  Settings.help(
    "Deletes dead letters for good: all of them, or those that are meant. Says which first, and asks.",
    "outbox discard --topic rooms --until 2026-01-01 --dry-run",
    "outbox discard --sequence 42 --yes"
  )
)
