/**
 * The outbox in a table beside the application's own.
 *
 * @since 0.1.0
 */
import * as Message from "@effect-cqrs/core/Message"
import { type DeadLetter, type Entry, OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Wake from "@effect-cqrs/core/Wake"
import { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { dialectOf, type Names, namesOf, type Query } from "./internal/dialect.ts"
import { makeFlush, withFlush } from "./internal/flush.ts"
import { queries } from "./internal/queries.ts"
import { bucketsOf, type Options, verify } from "./internal/tables.ts"
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
    const sql = (yield* SqlClient).withoutTransforms()
    const dialect = yield* dialectOf(sql)
    const names = yield* namesOf(options.prefix ?? "cqrs_")
    yield* verify(sql, dialect, names)
    const buckets = yield* bucketsOf(sql, dialect, names, options.buckets)
    const arrivals = yield* Wake.make
    const statements = dialect.outbox

    const storageError = (error: SqlError): StorageError =>
      dialect.isMissingTable(error)
        ? new StorageError({
          reason: "Schema",
          message: `The table ${names.outbox} is missing or not as it should be: run the migrations`,
          cause: error
        })
        : dialect.isTooLong(error)
        ? new StorageError({
          reason: "Configuration",
          message:
            `An event does not fit into ${names.outbox}: its name, topic, key or one of its ids is too long, or ` +
            "holds a character that the database cannot store",
          cause: error
        })
        : new StorageError({ reason: "Unavailable", message: "The outbox's database did not answer", cause: error })

    const { execute, query, write } = queries(sql, dialect, storageError)

    const change = (
      statement: (names: Names, sequences: ReadonlyArray<bigint>) => Query,
      sequences: ReadonlyArray<bigint>
    ) => sequences.length === 0 ? Effect.succeed(0) : execute(statement(names, sequences))

    const together = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | StorageError> =>
      Effect.mapError(
        whole(sql, dialect)(effect),
        (error) => error instanceof SqlError ? storageError(error) : error
      )

    const flush = makeFlush({ sql, dialect, names, buckets, execute, storageError })

    return withFlush(flush, {
      buckets,
      arrivals,
      append: flush.append,
      read: ({ buckets: owned, except, limit, maxBytes }) =>
        Effect.gen(function*() {
          if (owned.length === 0) return []
          const heads = yield* query<{ readonly sequence: string; readonly size: number | bigint | string }>(
            statements.heads(names, { buckets: owned.length === buckets ? undefined : owned, except, limit })
          )
          const chosen: Array<bigint> = []
          let bytes = 0
          for (const { sequence, size } of heads) {
            if (bytes >= maxBytes) break
            chosen.push(BigInt(sequence))
            bytes += Number(size)
          }
          if (chosen.length === 0) return []
          return (yield* query<Row>(statements.rows(names, chosen))).map(entryOf)
        }),
      settle: (token, settlements) => {
        const delivered = settlements.flatMap((one) => one._tag === "Delivered" ? [one.sequence] : [])
        const others = settlements.filter((one) => one._tag !== "Delivered")
        const isHeld = token === 0n
          ? Effect.succeed(true)
          : Effect.map(query(dialect.lease.hold(names, token)), (rows) => rows.length > 0)
        if (others.length === 0) {
          if (delivered.length === 0) return Effect.succeed(true)
          // none removed: the fence stood before them, or somebody has removed them already
          return Effect.flatMap(
            write(statements.removeFenced(names, delivered, token)),
            (raw) => dialect.affected(raw) > 0 ? Effect.succeed(true) : isHeld
          )
        }
        const all = Effect.filterOrFail(isHeld, (held) => held, () => "superseded" as const).pipe(
          Effect.zipRight(change(statements.remove, delivered)),
          Effect.zipRight(Effect.forEach(others, ({ attempts, reason, sequence, ...one }) =>
            execute(
              one._tag === "Deferred"
                ? statements.defer(names, {
                  sequence,
                  attempts,
                  reason,
                  delayMicros: Math.round(Duration.toMillis(one.delay) * 1000)
                })
                : statements.bury(names, { sequence, attempts, reason, policy: one.policy })
            ), { discard: true })),
          Effect.as(true)
        )
        return together(all).pipe(
          Effect.catchAll((error) => error === "superseded" ? Effect.succeed(false) : Effect.fail(error))
        )
      },
      statistics: Effect.map(
        query<Record<"pending" | "dead" | "age", number | bigint | string | null>>(statements.statistics(names)),
        ([row]) => ({
          pending: Number(row!.pending),
          dead: Number(row!.dead),
          oldestAge: Duration.micros(BigInt(Math.max(0, Number(row!.age))))
        })
      ),
      deadLetters: (options) =>
        Effect.map(query<Row>(statements.dead(names, { topic: options.topic, limit: options.limit })), (rows) =>
          rows.map((row): DeadLetter => ({
            ...entryOf(row),
            reason: row.last_error ?? "",
            policy: row.exhausted === "skip" ? "skip" : "halt"
          }))),
      redrive: (sequences) =>
        Effect.zipLeft(together(change(statements.redrive, sequences)), arrivals.signal),
      discard: (sequences) => Effect.zipLeft(together(change(statements.discard, sequences)), arrivals.signal)
    })
  })

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
