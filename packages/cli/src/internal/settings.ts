/** Options that many commands have. */
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Config from "effect/Config"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const prefix = Options.text("prefix").pipe(
  Options.withDescription("What the names of the tables begin with"),
  Options.withFallbackConfig(Config.string("CQRS_PREFIX")),
  Options.withSchema(Schema.String.pipe(Schema.pattern(/^[A-Za-z_][A-Za-z0-9_]{0,30}$/, {
    message: () => "--prefix must be a letter or underscore, and up to 30 letters, digits and underscores after it"
  }))),
  Options.withDefault("cqrs_")
)

const json = Options.boolean("json").pipe(Options.withDescription("Print one JSON value, for scripts"))

/** Where the tables are. */
export const database = {
  database: Options.redacted("database").pipe(
    Options.withPseudoName("URL"),
    Options.withDescription(
      "Where the tables are: mysql://, mariadb:// or postgres://user:password@host:port/name, or sqlite:FILE"
    ),
    Options.withFallbackConfig(Config.redacted("CQRS_DATABASE_URL")),
    Options.optional
  ),
  prefix,
  json
}

export const broker = Options.redacted("broker").pipe(
  Options.withPseudoName("URL"),
  Options.withDescription(
    "Where events go: kafka://host:port,host:port or kafkas:// for TLS, amqp:// or amqps://user:password@host:port/vhost"
  ),
  Options.withFallbackConfig(Config.redacted("CQRS_BROKER_URL")),
  Options.optional
)

export const jsonOnly = { json }

/** For commands that change something. */
export const changing = {
  yes: Options.boolean("yes").pipe(Options.withAlias("y"), Options.withDescription("Do not ask")),
  dryRun: Options.boolean("dry-run").pipe(Options.withDescription("Only say what would be changed"))
}

/** Options that are there or not. */
export const flags: ReadonlySet<string> = new Set([
  "--json",
  "--payload",
  "--yes",
  "-y",
  "--dry-run",
  "--dead",
  "--drain"
])

const refuse = (sentence: string) => ValidationError.invalidValue(HelpDoc.p(sentence))

/** For `mapEffect` of options and arguments: the place of an entry. */
export const sequenceOf = (text: string): Effect.Effect<bigint, ValidationError.ValidationError> =>
  /^\d{1,19}$/.test(text)
    ? Effect.succeed(BigInt(text))
    : Effect.fail(refuse(`${JSON.stringify(text)} is no sequence: give a whole number`))

const timeOf = (text: string): Effect.Effect<DateTime.Utc, ValidationError.ValidationError> => {
  // without a zone it would be another time on another machine
  const time = /^\d{4}-\d\d-\d\d$|(Z|[+-]\d\d:?\d\d)$/.test(text) ? DateTime.make(text) : Option.none()
  return Option.isSome(time)
    ? Effect.succeed(DateTime.toUtc(time.value))
    : Effect.fail(refuse(`${JSON.stringify(text)} is no time: write it as 2026-01-31T12:00:00Z`))
}

const time = (name: string, what: string) =>
  Options.text(name).pipe(Options.mapEffect(timeOf), Options.withDescription(what), Options.optional)

/** Which dead letters. */
export const letters = {
  topic: Options.text("topic").pipe(Options.withDescription("Only those of this topic"), Options.optional),
  key: Options.text("key").pipe(Options.withDescription("Only those of this key"), Options.optional),
  since: time("since", "Only those that died at this time or later, as 2026-01-31T12:00:00Z"),
  until: time("until", "Only those that died before this time")
}

export const limit = Options.integer("limit").pipe(
  Options.withSchema(
    Schema.Int.pipe(Schema.between(1, 10_000, { message: () => "--limit must be a whole number from 1 to 10000" }))
  ),
  Options.withDescription("How many are shown at the most"),
  Options.withDefault(50)
)

/** A duration of more than nothing, as `7 days`. */
export const duration = (name: string) =>
  Options.mapEffect(Options.text(name), (text) => {
    const decoded = Option.filter(
      Duration.decodeUnknown(text),
      (value) => Duration.isFinite(value) && Duration.toMillis(value) > 0
    )
    return Option.isSome(decoded)
      ? Effect.succeed(decoded.value)
      : Effect.fail(refuse(`--${name} must be a duration above 0, as "5 seconds" or "7 days"`))
  })

/** What a command does, and how it is called. */
export const help = (what: string, ...examples: ReadonlyArray<string>): HelpDoc.HelpDoc =>
  HelpDoc.blocks([HelpDoc.p(what), ...examples.map((example) => HelpDoc.p(`$ effect-cqrs ${example}`))])

/** The values that are there. */
export const given = <T extends Record<string, Option.Option<unknown>>>(
  values: T
): { [K in keyof T]?: Option.Option.Value<T[K]> } =>
  Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => Option.isSome(value) ? [[key, value.value]] : [])
  ) as { [K in keyof T]?: Option.Option.Value<T[K]> }
