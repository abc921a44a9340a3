/** `effect-cqrs consumer`: what consumers could not handle. */
import type { Broker, BrokerError } from "@effect-cqrs/core/Broker"
import * as ConsumerDeadLetters from "@effect-cqrs/core/ConsumerDeadLetters"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import type { ConfigError } from "effect/ConfigError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Brokers from "../internal/brokers.ts"
import { CliError } from "../internal/exitCode.ts"
import { change } from "../internal/letters.ts"
import { fields, print, shortened, table } from "../internal/output.ts"
import { Payload, payloadOf } from "../internal/payload.ts"
import * as Settings from "../internal/settings.ts"

const where = {
  broker: Settings.broker,
  group: Options.text("group").pipe(Options.withDescription("The group of consumers")),
  deadLetterTopic: Options.text("dead-letter-topic").pipe(
    Options.withDescription("Where its dead letters are, if not in the topic GROUP.dead-letters"),
    Options.optional
  ),
  ...Settings.jsonOnly
}

const Letter = Schema.Struct({
  id: Schema.String,
  topic: Schema.NullOr(Schema.String),
  key: Schema.NullOr(Schema.String),
  name: Schema.String,
  reason: Schema.String,
  attempts: Schema.Number,
  diedAt: Schema.NullOr(Schema.DateTimeUtc),
  payloadBytes: Schema.Number,
  isTombstone: Schema.Boolean,
  unreadable: Schema.NullOr(Schema.String)
})

const letterOf = (letter: ConsumerDeadLetters.ConsumerDeadLetter): typeof Letter.Type => ({
  id: letter.id,
  topic: letter.topic ?? null,
  key: letter.message.key ?? null,
  name: letter.message.name,
  reason: letter.reason,
  attempts: letter.attempts,
  diedAt: letter.diedAt ?? null,
  payloadBytes: letter.message.payload.length,
  isTombstone: letter.isTombstone,
  unreadable: letter.unreadable ?? null
})

/** With the letters of the group. */
const withLetters = <E, R>(
  options: {
    readonly broker: Option.Option<Redacted.Redacted>
    readonly group: string
    readonly deadLetterTopic: Option.Option<string>
  },
  use: (letters: ConsumerDeadLetters.ConsumerDeadLetters["Type"]) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | CliError | BrokerError | ConfigError, Exclude<R, Broker>> =>
  Effect.flatMap(Brokers.required(options.broker), (address) =>
    ConsumerDeadLetters.make({
      group: options.group,
      topic: Option.getOrUndefined(options.deadLetterTopic)
    }).pipe(
      Effect.flatMap(use),
      Effect.provide(Brokers.layer(address)),
      // what the adapter warns of is the sentence at the end
      Logger.withMinimumLogLevel(LogLevel.Error)
    ))

const filterOf = ({ key, since, topic, until }: {
  readonly key: Option.Option<string>
  readonly topic: Option.Option<string>
  readonly since: Option.Option<DateTime.Utc>
  readonly until: Option.Option<DateTime.Utc>
}): ConsumerDeadLetters.ConsumerDeadLetterFilter => ({
  ...Settings.given({ key, topic }),
  ...Settings.given({ since, until })
})

const listed = print(Schema.Array(Letter), (letters) =>
  table(
    ["ID", "NAME", "TOPIC", "KEY", "ATTEMPTS", "DIED", "REASON"],
    letters.map((one) => [
      one.id,
      shortened(one.name, 30),
      shortened(one.topic ?? "(unknown)", 30),
      shortened(one.key ?? "", 30),
      String(one.attempts),
      one.diedAt === null ? "" : DateTime.formatIso(one.diedAt),
      shortened(one.unreadable ?? one.reason, 60)
    ]),
    ["ATTEMPTS"]
  ))

const none = (group: string) =>
  new CliError({ ending: "NoMatch", message: `No dead letter of the group ${group} matches` })

const list = Command.make(
  "list",
  { ...where, ...Settings.letters, limit: Settings.limit },
  (options) =>
    withLetters(options, (letters) =>
      Effect.gen(function*() {
        const found = (yield* letters.list({ ...filterOf(options), limit: options.limit })).map(letterOf)
        if (found.length > 0 || options.json) yield* listed(found, options)
        if (found.length === 0) return yield* none(options.group)
      }))
).pipe(
  Command.withDescription(Settings.help(
    "Lists dead letters of a group. Payloads are not shown.",
    "consumer list --broker kafka://localhost:9092 --group room-views"
  ))
)

const Shown = Schema.Struct({
  ...Letter.fields,
  headers: Schema.Record({ key: Schema.String, value: Schema.String }),
  payload: Schema.NullOr(Payload)
})

const shown = print(Shown, (one) => [
  ...fields([
    ["id", one.id],
    ["topic", one.topic ?? "(unknown)"],
    ...one.key === null ? [] : [["key", one.key] as const],
    ["name", one.name],
    ["reason", one.reason],
    ...one.unreadable === null ? [] : [["unreadable", one.unreadable] as const],
    ["attempts", String(one.attempts)],
    ...one.diedAt === null ? [] : [["died", DateTime.formatIso(one.diedAt)] as const],
    ...Object.entries(one.headers).map(([name, value]) => [`header ${name}`, value] as const),
    ["payload", one.isTombstone ? "none" : `${one.payloadBytes} bytes`]
  ]),
  ...one.payload === null ? [] : ["", ...fields([[one.payload.as, one.payload.content]])]
])

const show = Command.make("show", {
  ...where,
  payload: Options.boolean("payload").pipe(Options.withDescription("Show the payload as well")),
  id: Args.text({ name: "id" })
}, (options) =>
  withLetters(options, (letters) =>
    Effect.gen(function*() {
      const letter = yield* letters.inspect(options.id)
      if (Option.isNone(letter)) return yield* none(options.group)
      const { message } = letter.value
      yield* shown({
        ...letterOf(letter.value),
        headers: message.headers,
        payload: options.payload ? yield* payloadOf(message) : null
      }, options)
    }))).pipe(
    Command.withDescription(Settings.help(
      "Shows one dead letter. Its payload only if it is asked for.",
      "consumer show --group room-views 0190a6e2-5a0e-7000-8000-000000000000 --payload"
    ))
  )

const ids = Options.text("id").pipe(
  Options.withDescription("Only this one; may be said again"),
  Options.repeated
)

const changing = (verb: "redrive" | "discard", means: string, description: ReturnType<typeof Settings.help>) =>
  Command.make(
    verb,
    { ...where, ...Settings.letters, ...Settings.changing, ids },
    (options) =>
      withLetters(options, (letters) => {
        const filter = filterOf(options)
        if (Object.keys(filter).length > 0 && options.ids.length > 0) {
          return new CliError({
            ending: "Usage",
            message: "Say which by --id, or by --topic, --key, --since and --until: not by both"
          })
        }
        const selection: ConsumerDeadLetters.Selection = options.ids.length > 0 ? { ids: options.ids } : filter
        return change({
          ...options,
          verb,
          means,
          counted: options.ids.length === 0 ? letters.count(filter) : Effect.map(
            Effect.forEach(new Set(options.ids), letters.inspect),
            (found) =>
              found.flatMap((one) =>
                Option.isSome(one) ? [{ topic: one.value.topic, reason: one.value.reason, count: 1 }] : []
              )
          ),
          apply: (onProgress) =>
            verb === "redrive"
              ? letters.redrive(selection, onProgress)
              : Effect.map(letters.discard(selection, onProgress), (done) => ({ done, kept: 0, problems: [] }))
        })
      })
  ).pipe(Command.withDescription(description))

const redrive = changing(
  "redrive",
  "They are published to the topics that they came from, for their group alone, and leave the dead letter topic.",
  Settings.help(
    "Sends dead letters of a group again, at least once. Says which first, and asks.",
    "consumer redrive --group room-views --topic rooms --dry-run"
  )
)

const discard = changing(
  "discard",
  "They are deleted for good.",
  Settings.help(
    "Deletes dead letters of a group for good. Says which first, and asks.",
    "consumer discard --group room-views --until 2026-01-01 --yes"
  )
)

export const consumer = Command.make("consumer").pipe(
  Command.withDescription("Dead letters of a group of consumers, at the broker"),
  Command.withSubcommands([list, show, redrive, discard])
)
