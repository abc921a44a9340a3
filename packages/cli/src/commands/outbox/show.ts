/** `effect-cqrs outbox show`. */
import * as DeadLetters from "@effect-cqrs/core/DeadLetters"
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Database from "../../internal/database.ts"
import { deadOf, Entry, pendingOf } from "../../internal/entry.ts"
import { CliError } from "../../internal/exitCode.ts"
import { age, fields, print } from "../../internal/output.ts"
import { Payload, payloadOf } from "../../internal/payload.ts"
import * as Settings from "../../internal/settings.ts"

const Shown = Schema.Struct({
  ...Entry.fields,
  source: Schema.String,
  version: Schema.Number,
  correlationId: Schema.String,
  causationId: Schema.NullOr(Schema.String),
  traceparent: Schema.NullOr(Schema.String),
  contentType: Schema.String,
  contentEncoding: Schema.String,
  headers: Schema.Record({ key: Schema.String, value: Schema.String }),
  payload: Schema.NullOr(Payload)
})

const optional = (pairs: ReadonlyArray<readonly [name: string, value: string | null | undefined]>) =>
  pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null && pair[1] !== undefined)

const printed = print(Shown, (entry) => [
  ...fields(optional([
    ["sequence", String(entry.sequence)],
    [
      "state",
      entry.state === "dead"
        ? `dead since ${DateTime.formatIso(entry.diedAt!)}, policy ${entry.policy}`
        : entry.state === "deferred"
        ? `was rejected, is tried again in ${age(entry.dueMillis!)}`
        : "pending"
    ],
    ["reason", entry.reason],
    ["malformed", entry.malformed],
    ["attempts", String(entry.attempts)],
    ["name", `${entry.name}, version ${entry.version}`],
    ["topic", entry.topic],
    ["key", entry.key],
    ["bucket", String(entry.bucket)],
    ["id", entry.id],
    ["source", entry.source],
    ["created", entry.createdAt === null ? null : DateTime.formatIso(entry.createdAt)],
    ["correlation", entry.correlationId],
    ["causation", entry.causationId],
    ["traceparent", entry.traceparent],
    ...Object.entries(entry.headers).map(([name, value]) => [`header ${name}`, value] as const),
    ["payload", `${entry.payloadBytes} bytes, ${entry.contentType}, ${entry.contentEncoding}`]
  ])),
  ...entry.payload === null ? [] : ["", ...fields([[entry.payload.as, entry.payload.content]])]
])

export const show = Command.make("show", {
  ...Settings.database,
  payload: Options.boolean("payload").pipe(Options.withDescription("Show the payload as well")),
  sequence: Args.text({ name: "sequence" }).pipe(
    Args.mapEffect((text) => Effect.mapError(Settings.sequenceOf(text), ({ error }) => error))
  )
}, (options) =>
  Effect.gen(function*() {
    const { sequence } = options
    const letter = yield* Effect.flatMap(DeadLetters.DeadLetters, (letters) => letters.inspect(sequence))
    const [pending] = Option.isSome(letter)
      ? []
      : yield* Effect.flatMap(OutboxStorage, (storage) => storage.backlog({ after: sequence - 1n, limit: 1 }))
    const found = Option.isSome(letter)
      ? { entry: deadOf(letter.value), message: letter.value.message }
      : pending?.sequence === sequence
      ? { entry: pendingOf(pending), message: pending.message }
      : undefined
    if (found === undefined) {
      return yield* new CliError({
        ending: "NoMatch",
        message:
          `The outbox has no entry ${sequence} that is pending or dead: it was delivered or discarded, or never was`
      })
    }
    const { entry, message } = found
    yield* printed({
      ...entry,
      source: message.source,
      version: message.version,
      correlationId: message.correlationId,
      causationId: message.causationId ?? null,
      traceparent: message.traceparent ?? null,
      contentType: message.contentType,
      contentEncoding: message.contentEncoding,
      headers: message.headers,
      payload: options.payload ? yield* payloadOf(message) : null
    }, options)
  }).pipe(
    Effect.provide(DeadLetters.layer),
    Effect.provide(Database.storage(options))
  )).pipe(
    Command.withDescription(Settings.help(
      "Shows one entry that is pending or dead. Its payload only if it is asked for.",
      "outbox show 42",
      "outbox show 42 --payload"
    ))
  )
