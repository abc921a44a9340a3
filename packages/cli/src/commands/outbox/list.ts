/** `effect-cqrs outbox list`. */
import * as DeadLetters from "@effect-cqrs/core/DeadLetters"
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Database from "../../internal/database.ts"
import { deadOf, Entry, pendingOf } from "../../internal/entry.ts"
import { CliError } from "../../internal/exitCode.ts"
import { age, print, shortened, table } from "../../internal/output.ts"
import * as Settings from "../../internal/settings.ts"

const after = Options.text("after").pipe(
  Options.mapEffect(Settings.sequenceOf),
  Options.withDescription("Only sequences above this one: the next page"),
  Options.optional
)

const dead = Options.boolean("dead").pipe(Options.withDescription("Dead letters, in place of what is pending"))

const printed = print(Schema.Array(Entry), (entries) =>
  table(
    ["SEQUENCE", "NAME", "TOPIC", "KEY", "ATTEMPTS", "STATE", "REASON"],
    entries.map((entry) => [
      String(entry.sequence),
      shortened(entry.name, 30),
      shortened(entry.topic, 30),
      shortened(entry.key ?? "", 30),
      String(entry.attempts),
      entry.state === "dead"
        ? `dead since ${DateTime.formatIso(entry.diedAt!)}`
        : entry.state === "deferred"
        ? `again in ${age(entry.dueMillis!)}`
        : "pending",
      shortened(entry.reason ?? "", 60)
    ]),
    ["SEQUENCE", "ATTEMPTS"]
  ))

export const list = Command.make(
  "list",
  { ...Settings.database, ...Settings.letters, dead, after, limit: Settings.limit },
  (options) =>
    Effect.gen(function*() {
      const { limit } = options
      const { after, key, since, topic, until } = {
        ...Settings.given({ after: options.after, key: options.key, topic: options.topic }),
        ...Settings.given({ since: options.since, until: options.until })
      }
      if (!options.dead && (since !== undefined || until !== undefined)) {
        return yield* new CliError({ ending: "Usage", message: "--since and --until are about deaths: add --dead" })
      }
      const entries = options.dead
        ? Effect.map(
          Effect.flatMap(
            DeadLetters.DeadLetters,
            (letters) => letters.list({ after, key, limit, since, topic, until })
          ),
          (letters) => letters.map(deadOf)
        )
        : Effect.map(
          Effect.flatMap(OutboxStorage, (storage) => storage.backlog({ after, key, limit, topic })),
          (pending) => pending.map(pendingOf)
        )
      const found = yield* entries
      if (found.length === 0) {
        if (options.json) yield* printed(found, options)
        return yield* new CliError({
          ending: "NoMatch",
          message: options.dead ? "No dead letter matches" : "Nothing that is pending matches"
        })
      }
      yield* printed(found, options)
    }).pipe(
      Effect.provide(DeadLetters.layer),
      Effect.provide(Database.storage(options))
    )
).pipe(
  Command.withDescription(Settings.help(
    "Lists what is pending, or dead letters, oldest first. Payloads are not shown.",
    "outbox list --topic rooms --limit 20",
    "outbox list --dead --since 2026-01-31 --json"
  ))
)
