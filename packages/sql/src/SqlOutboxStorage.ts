/**
 * The outbox in a table beside the application's own.
 *
 * @since 0.1.0
 */
import * as Message from "@effect-cqrs/core/Message"
import { bucketOf, type DeadLetter, type Entry, OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Wake from "@effect-cqrs/core/Wake"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { type Options, verify } from "./internal/tables.ts"
import { whole } from "./internal/whole.ts"

/**
 * The outbox of the program's `SqlClient`. Its tables must be there (see `Migrations`): the layer fails with a sentence
 * that names what is missing, or with the bucket count that is stored if another one is asked for.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options | undefined): Layer.Layer<OutboxStorage, StorageError, SqlClient> =>
  Layer.effect(OutboxStorage, make(options ?? {}))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Row {
  readonly sequence: string
  readonly bucket: number | bigint
  readonly id: string
  readonly name: string
  readonly topic: string
  readonly partition_key: string | null
  readonly attributes: string
  readonly headers: string
  readonly content_encoding: string
  readonly correlation_id: string
  readonly causation_id: string | null
  readonly payload: unknown
  readonly attempts: unknown
  readonly last_error: string | null
  readonly exhausted: string | null
}

const make = (options: Options) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const dialect = yield* dialectOf(sql)
    const names = yield* namesOf(options.prefix ?? "cqrs_")
    const buckets = yield* verify(sql, dialect, names, options)
    const arrivals = yield* Wake.make
    const statements = dialect.outbox

    const storageError = (error: SqlError): StorageError =>
      dialect.isMissingTable(error)
        ? new StorageError({
          reason: "Schema",
          message: `The table ${names.outbox} is missing or not as it should be: run the migrations`,
          cause: error
        })
        : new StorageError({ reason: "Unavailable", message: "The outbox's database did not answer", cause: error })

    const query = <A extends object>(statement: string, params: ReadonlyArray<unknown>) =>
      Effect.mapError(sql.unsafe<A>(statement, params).withoutTransform, storageError)

    const execute = (statement: string, params: ReadonlyArray<unknown>) =>
      Effect.map(Effect.mapError(sql.unsafe(statement, params).raw, storageError), statements.affected)

    const change = (statement: string, sequences: ReadonlyArray<bigint>) =>
      sequences.length === 0 ? Effect.succeed(0) : execute(statement, [list(sequences)])

    const together = <A>(effect: Effect.Effect<A, StorageError>): Effect.Effect<A, StorageError> =>
      Effect.mapError(
        whole(sql, dialect)(effect),
        (error) => error._tag === "SqlError" ? storageError(error) : error
      )

    return OutboxStorage.of({
      buckets,
      arrivals,
      append: (messages) =>
        Effect.forEach(messages, (message) =>
          execute(statements.insert(names), [
            message.id,
            message.name,
            message.topic,
            message.key ?? null,
            bucketOf(message, buckets),
            JSON.stringify(Message.attributes(message)),
            JSON.stringify(message.headers),
            message.contentEncoding,
            message.correlationId,
            message.causationId ?? null,
            message.payload
          ]), { discard: true }),
      read: ({ buckets: owned, except, limit, maxBytes }) =>
        Effect.gen(function*() {
          const heads = yield* query<{ readonly sequence: string; readonly size: number | bigint }>(
            statements.heads(names),
            [
              JSON.stringify(owned),
              JSON.stringify(except),
              limit
            ]
          )
          const chosen: Array<bigint> = []
          let bytes = 0
          for (const { sequence, size } of heads) {
            if (bytes >= maxBytes) break
            chosen.push(BigInt(sequence))
            bytes += Number(size)
          }
          if (chosen.length === 0) return []
          return (yield* query<Row>(statements.rows(names), [list(chosen)])).map(entryOf)
        }),
      settle: (_token, settlements) => {
        const delivered = settlements.flatMap((one) => one._tag === "Delivered" ? [one.sequence] : [])
        const others = settlements.filter((one) => one._tag !== "Delivered")
        const all = Effect.zipRight(
          change(statements.remove(names), delivered),
          Effect.forEach(others, (one) =>
            one._tag === "Deferred"
              ? execute(statements.defer(names), [
                one.attempts,
                Math.round(Duration.toMillis(one.delay) * 1000),
                one.reason,
                String(one.sequence)
              ])
              : execute(statements.bury(names), [one.attempts, one.policy, one.reason, String(one.sequence)]), {
            discard: true
          })
        )
        return Effect.as(together(all), true)
      },
      statistics: Effect.map(
        query<Record<"pending" | "dead" | "age", number | bigint>>(
          statements.statistics(names),
          []
        ),
        ([row]) => ({
          pending: Number(row!.pending),
          dead: Number(row!.dead),
          oldestAge: Duration.micros(BigInt(Math.max(0, Number(row!.age))))
        })
      ),
      deadLetters: ({ limit, topic }) =>
        Effect.map(
          query<Row>(statements.dead(names), [topic ?? null, topic ?? null, limit]),
          (rows) =>
            rows.map((row): DeadLetter => ({
              ...entryOf(row),
              reason: row.last_error ?? "",
              policy: row.exhausted === "skip" ? "skip" : "halt"
            }))
        ),
      redrive: (sequences) => Effect.zipLeft(together(change(statements.redrive(names), sequences)), arrivals.signal),
      discard: (sequences) => Effect.zipLeft(together(change(statements.discard(names), sequences)), arrivals.signal)
    })
  })

const list = (sequences: ReadonlyArray<bigint>): string => `[${sequences.join(",")}]`

const strings = (json: string): Either.Either<Record<string, string>, void> =>
  Either.flatMap(
    Either.try({ try: (): unknown => JSON.parse(json), catch: () => {} }),
    (value) =>
      typeof value === "object" && value !== null && !Array.isArray(value) &&
        Object.values(value).every((one) => typeof one === "string")
        ? Either.right(value as Record<string, string>)
        : Either.left(undefined)
  )

/** Drivers hand over binary values as one or the other. */
const bytesOf = (value: unknown): Uint8Array | undefined =>
  value instanceof Uint8Array ? value : value instanceof ArrayBuffer ? new Uint8Array(value) : undefined

/** A row that somebody has changed by hand is an entry that says so. */
const entryOf = (row: Row): Entry => {
  const bytes = bytesOf(row.payload)
  const payload = bytes ?? new Uint8Array(0)
  const attempts = Number(row.attempts)
  const sequence = BigInt(row.sequence)
  const attributes = strings(row.attributes)
  const headers = strings(row.headers)
  const message = Message.fromAttributes({
    ...Either.getOrElse(attributes, () => ({})),
    id: row.id,
    type: row.name,
    partitionkey: row.partition_key ?? undefined,
    correlationid: row.correlation_id,
    causationid: row.causation_id ?? undefined,
    contentencoding: row.content_encoding,
    sequence: row.sequence
  }, { topic: row.topic, headers: Either.getOrElse(headers, () => ({})), payload })
  const malformed = Either.isLeft(attributes)
    ? "The row's attributes are not a JSON object of strings"
    : Either.isLeft(headers)
    ? "The row's headers are not a JSON object of strings"
    : Either.isLeft(message)
    ? message.left.message
    : bytes === undefined
    ? "The row's payload is not binary"
    : !Number.isSafeInteger(attempts)
    ? "The row's attempts are not a whole number"
    : undefined
  return {
    sequence,
    bucket: Number(row.bucket),
    attempts: Number.isSafeInteger(attempts) ? attempts : 0,
    malformed,
    message: Either.getOrElse(message, () => ({
      id: row.id,
      name: row.name,
      kind: "notification" as const,
      version: 1,
      topic: row.topic,
      key: row.partition_key ?? undefined,
      source: "",
      time: 0,
      correlationId: row.correlation_id,
      causationId: row.causation_id ?? undefined,
      traceparent: undefined,
      sequence,
      contentType: "application/octet-stream",
      contentEncoding: row.content_encoding,
      headers: {},
      payload
    }))
  }
}
