/** `effect-cqrs outbox status`. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Database from "../../internal/database.ts"
import { print } from "../../internal/output.ts"
import * as Settings from "../../internal/settings.ts"
import * as Status from "../../internal/status.ts"

const interval = Settings.duration("interval").pipe(
  Options.withDescription("Read twice, so far apart, and say how much is stored and delivered in between"),
  Options.optional
)

const printed = print(Status.Status, Status.render)

export const status = Command.make("status", { ...Settings.database, interval }, (options) =>
  Effect.gen(function*() {
    const first = yield* Status.read()
    if (Option.isNone(options.interval)) return yield* printed(first.status, options)
    yield* Effect.sleep(options.interval.value)
    yield* printed((yield* Status.read(first)).status, options)
  }).pipe(Effect.provide(Database.storage(options)))).pipe(
    Command.withDescription(Settings.help(
      "Says what is pending and for how long, what is dead and why, which relays work on it and what they have suspended.",
      "outbox status --database sqlite:app.db",
      "outbox status --interval \"5 seconds\" --json"
    ))
  )
