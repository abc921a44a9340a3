import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Dialect, Names } from "./dialect.ts"
import { type Queries, queries } from "./queries.ts"
import { outside } from "./routing.ts"
import { verify } from "./tables.ts"

/** What is to be said of a table of keys, in its errors. */
export interface Texts {
  /** As `The inbox's`, before `retention` and `purge interval`. */
  readonly own: string
  readonly missing: string
  readonly tooLong: string
  readonly unavailable: string
}

export interface Options {
  readonly retention: Duration.DurationInput
  readonly interval: Duration.DurationInput
}

interface Purging {
  readonly purge: (options: { readonly limit: number }) => Effect.Effect<number, StorageError>
}

/** A table of keys that are forgotten when they are old: how it is asked, what its errors say, and its purge. */
export const keys = (
  { dialect, names, options, purge, sql, texts }: {
    readonly sql: SqlClient
    readonly dialect: Dialect
    readonly names: Names
    readonly texts: Texts
    readonly options: Options
    readonly purge: Dialect["inbox"]["purge"]
  }
) =>
  Effect.gen(function*() {
    const retention = yield* positiveDuration(`${texts.own} retention`, options.retention)
    const interval = yield* positiveDuration(`${texts.own} purge interval`, options.interval)
    yield* verify(sql, dialect, names)

    const storageError = (cause: SqlError) => {
      if (dialect.isMissingTable(cause)) return new StorageError({ reason: "Schema", message: texts.missing, cause })
      return dialect.isTooLong(cause)
        ? new StorageError({ reason: "Configuration", message: texts.tooLong, cause })
        : new StorageError({ reason: "Unavailable", message: texts.unavailable, cause })
    }
    const run: Queries = queries(sql, dialect, storageError)
    return {
      ...run,
      storageError,
      purge: (({ limit }) =>
        Duration.isFinite(retention)
          ? outside(purge({
            names,
            limit,
            retentionMicros: Math.round(Duration.toMillis(retention) * 1000),
            query: run.query,
            write: (query) => Effect.map(run.write(query), dialect.affected)
          }))
          : Effect.succeed(0)) satisfies Purging["purge"],
      /** The storage, with a fiber beside it that purges it, if anything is ever forgotten. */
      purged: <S extends Purging>(
        storage: S,
        purging: (
          storage: S,
          options: { readonly interval: Duration.Duration }
        ) => Effect.Effect<void, never, Scope.Scope>
      ): Effect.Effect<S, never, Scope.Scope> =>
        Duration.isFinite(retention) ? Effect.as(purging(storage, { interval }), storage) : Effect.succeed(storage)
    }
  })

/** `what` begins the sentence of the refusal. */
const positiveDuration = (
  what: string,
  input: Duration.DurationInput
): Effect.Effect<Duration.Duration, StorageError> => {
  const duration = Duration.decode(input)
  return Duration.greaterThan(duration, Duration.zero) ? Effect.succeed(duration) : Effect.fail(
    new StorageError({ reason: "Configuration", message: `${what} must be a duration above 0` })
  )
}
