/** Where a run of the demonstration takes place: a database and a broker of its own, on servers that others may use, too. */
import { SqlClient, type SqlError } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Config, type ConfigError, Effect, Layer, Redacted, Schema } from "effect"

export const databases = ["sqlite", "mysql", "postgres"] as const
export const brokers = ["memory", "rabbitmq", "kafka"] as const

export interface Setting {
  /** The name of the run: its database and its topics carry it. */
  readonly run: string
  readonly database: typeof databases[number]
  readonly broker: typeof brokers[number]
  /** SQLite's file. */
  readonly file: string
}

export class SettingError extends Schema.TaggedError<SettingError>()("SettingError", { message: Schema.String }) {}

/** The servers that the integration tests use, or those of this machine. */
const addresses = {
  mysql: Config.withDefault(
    Config.redacted("EFFECT_CQRS_MARIADB_URL"),
    Redacted.make("mysql://root@127.0.0.1:3306/test")
  ),
  postgres: Config.withDefault(
    Config.redacted("EFFECT_CQRS_POSTGRES_URL"),
    Redacted.make("postgres://postgres@127.0.0.1:5432/test")
  )
}

const nameOf = (run: string) => `effect_cqrs_test_${run}`

const clientOf = (database: "mysql" | "postgres", url: Redacted.Redacted) =>
  database === "mysql"
    ? MysqlClient.layer({ url, maxConnections: 10 })
    : PgClient.layer({ url, maxConnections: 10 })

/** The client of the run's database, which {@link prepared} has made. */
export const Database = (
  { database, file, run }: Setting
): Layer.Layer<SqlClient.SqlClient, ConfigError.ConfigError | SqlError.SqlError> =>
  database === "sqlite"
    ? Layer.effectDiscard(
      Effect.flatMap(SqlClient.SqlClient, (sql) =>
        Effect.zipRight(
          // survives a crash of the process, not of the machine: enough for a demonstration, and without a disk sync per commit
          sql`pragma synchronous = normal`,
          // a statement outside of a transaction waits for the other processes, too
          sql`pragma busy_timeout = 5000`
        ))
    ).pipe(Layer.provideMerge(SqliteClient.layer({ filename: file })))
    : Layer.unwrapEffect(Effect.map(addresses[database], (address) => {
      const url = new URL(Redacted.value(address))
      url.pathname = `/${nameOf(run)}`
      return clientOf(database, Redacted.make(url.href))
    }))

/** Makes the run's database, and drops it with the scope. */
export const prepared = ({ database, run }: Setting) =>
  database === "sqlite" ? Effect.void : Effect.gen(function*() {
    const address = yield* addresses[database]
    const execute = (statement: string) =>
      Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
        Effect.provide(Layer.fresh(clientOf(database, address)))
      )
    const collation = database === "mysql" ? " character set utf8mb4 collate utf8mb4_bin" : ""
    const force = database === "postgres" ? " with (force)" : ""
    yield* Effect.acquireRelease(
      Effect.mapError(
        execute(`create database ${nameOf(run)}${collation}`),
        (error) =>
          new SettingError({
            message: `No database can be made on ${new URL(Redacted.value(address)).host} (${reasonOf(error)}): ` +
              `start a server with \`npm run services -- up ${database === "mysql" ? "mariadb" : database}\`, or set ` +
              `EFFECT_CQRS_${database === "mysql" ? "MARIADB" : "POSTGRES"}_URL`
          })
      ),
      () => Effect.ignore(execute(`drop database if exists ${nameOf(run)}${force}`))
    )
  })

const reasonOf = (error: unknown): string => {
  let cause = error
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown }
  return String(code ?? message ?? cause)
}
