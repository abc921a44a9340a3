/** The database by its URL, with a driver that is loaded when it is asked for. */
import type * as BucketOwner from "@effect-cqrs/core/BucketOwner"
import type * as OutboxStorage from "@effect-cqrs/core/OutboxStorage"
import * as SqlBucketOwner from "@effect-cqrs/sql/SqlBucketOwner"
import * as SqlOutboxStorage from "@effect-cqrs/sql/SqlOutboxStorage"
import * as Tables from "@effect-cqrs/sql/Tables"
import * as FileSystem from "@effect/platform/FileSystem"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { load } from "./driver.ts"
import { CliError, sentenceOf } from "./exitCode.ts"

export interface Target {
  readonly database: Option.Option<Redacted.Redacted>
  readonly prefix: string
}

/** What a URL says. `shown` is it without user and password. */
export type Address =
  | { readonly kind: "sqlite"; readonly file: string; readonly shown: string }
  | { readonly kind: "mysql" | "postgres"; readonly url: Redacted.Redacted; readonly shown: string }

export const addressOf = (url: Redacted.Redacted): Either.Either<Address, CliError> => {
  const text = Redacted.value(url)
  const file = /^sqlite:(?:\/\/)?(.+)$/i.exec(text)?.[1]
  if (file !== undefined) return Either.right({ kind: "sqlite", file, shown: `sqlite:${file}` })
  const parsed = Either.getOrUndefined(Either.try(() => new URL(text)))
  const kind = parsed === undefined ? undefined : kinds[parsed.protocol]
  // an @ there ends a password that has a slash in it: what is taken for host and name is of the login
  const isName = parsed !== undefined && parsed.pathname.length > 1 && !parsed.pathname.includes("@")
  if (parsed === undefined || kind === undefined || parsed.hostname === "" || !isName) {
    return Either.left(
      new CliError({
        ending: "Usage",
        message: "The URL of the database is none: write it as mysql://user:password@host:3306/name, " +
          "mariadb://…, postgres://user:password@host:5432/name, or sqlite:FILE, with / and @ in a password as %2F and %40"
      })
    )
  }
  const shown = `${parsed.protocol}//${parsed.host}${parsed.pathname}`
  const href = kind === "mysql" ? parsed.href.replace(/^[^:]+/, "mysql") : parsed.href
  return Either.right({ kind, url: Redacted.make(href), shown })
}

/** The client of a database that answers. `create`: a file that is not there is made. */
export const client = (
  { database }: Pick<Target, "database">,
  options: { readonly create?: boolean } = {}
): Layer.Layer<SqlClient, CliError, FileSystem.FileSystem> =>
  Layer.unwrapScoped(Effect.gen(function*() {
    if (Option.isNone(database)) {
      return yield* new CliError({
        ending: "Usage",
        message: "Which database? Say --database URL, or set CQRS_DATABASE_URL"
      })
    }
    const address = yield* addressOf(database.value)
    const refused = (error: { readonly message: string; readonly cause?: unknown }) =>
      new CliError({
        ending: "Unreachable",
        message: `The database ${address.shown} cannot be used: ${
          sentenceOf({ message: "", cause: error.cause }) || error.message
        }. ${
          address.kind === "sqlite"
            ? "It has to be a file, in a folder that exists, which this user may read and write"
            : "Check the address, the login, and whether the server runs"
        }`
      })
    if (address.kind === "sqlite") {
      const files = yield* FileSystem.FileSystem
      if (options.create !== true && !(yield* Effect.orElseSucceed(files.exists(address.file), () => false))) {
        return yield* new CliError({
          ending: "Unreachable",
          message: `There is no file ${address.file}: check --database, or make it with \`effect-cqrs migrate apply\``
        })
      }
    }
    const layer = yield* driver(address)
    const context = yield* Layer.build(layer).pipe(
      Effect.catchAllDefect((cause) => Effect.fail({ message: "it cannot be opened", cause })),
      Effect.mapError(refused)
    )
    // MySQL's client connects with its first statement, SQLite's reads the file with it
    yield* Effect.flatMap(SqlClient, (sql) => sql`select 1`).pipe(Effect.provide(context), Effect.mapError(refused))
    return Layer.succeedContext(context)
  }))

/** Outbox and leases, for those who look at them. Nothing is written before something is changed. */
export const storage = (
  target: Target
): Layer.Layer<
  OutboxStorage.OutboxStorage | BucketOwner.BucketOwner | SqlClient,
  CliError | OutboxStorage.StorageError,
  FileSystem.FileSystem
> => {
  const { prefix } = target
  const used = Layer.effectDiscard(Effect.gen(function*() {
    const { buckets, missing, outstanding } = yield* Tables.inspect({ prefix })
    if (buckets !== undefined || missing.tables.length > 0 || outstanding.length > 0) return
    // the first to start decides on the number of buckets, and that is the application
    return yield* new CliError({
      ending: "Tables",
      message: "The tables are there, and no program has started with them yet: the outbox is empty"
    })
  }))
  return SqlBucketOwner.layer({ prefix }).pipe(
    Layer.provideMerge(SqlOutboxStorage.layer({ prefix })),
    Layer.provideMerge(used),
    Layer.provideMerge(client(target))
  )
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const kinds: Readonly<Record<string, "mysql" | "postgres">> = {
  "mysql:": "mysql",
  "mariadb:": "mysql",
  "postgres:": "postgres",
  "postgresql:": "postgres"
}

const driver = (
  address: Address
): Effect.Effect<Layer.Layer<SqlClient, ConfigError | SqlError>, CliError> => {
  switch (address.kind) {
    case "sqlite":
      return Effect.map(
        load("@effect/sql-sqlite-node", () => import("@effect/sql-sqlite-node/SqliteClient")),
        // its journal is the application's affair
        (module) => module.layer({ filename: address.file, disableWAL: true })
      )
    case "mysql":
      return Effect.map(
        load("@effect/sql-mysql2", () => import("@effect/sql-mysql2/MysqlClient")),
        (module) => module.layer({ url: address.url, maxConnections: 8 })
      )
    case "postgres":
      return Effect.map(
        load("@effect/sql-pg", () => import("@effect/sql-pg/PgClient")),
        (module) =>
          module.layer({
            url: address.url,
            maxConnections: 8,
            connectTimeout: "10 seconds",
            applicationName: "effect-cqrs"
          })
      )
  }
}
