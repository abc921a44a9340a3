import type { SqlClient } from "@effect/sql"
import { type SqlError } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { SqliteClient } from "@effect/sql-sqlite-node"
import type { Layer } from "effect"
import { Effect, Redacted } from "effect"
import type { Announced } from "./history.ts"
import type { Target } from "./protocol.ts"

type Sql = SqlClient.SqlClient

/** A client on the database. */
export const layerClient = (
  { kind, location }: Target,
  maxConnections: number
): Layer.Layer<SqlClient.SqlClient, unknown> => {
  const url = Redacted.make(location)
  switch (kind) {
    case "mysql":
      return MysqlClient.layer({ url, maxConnections })
    case "pg":
      return PgClient.layer({ url, maxConnections })
    case "sqlite":
      return SqliteClient.layer({ filename: location })
  }
}

/** The application's tables: accounts with their versions, and what was announced about them. */
export const createLedger = (sql: Sql, accounts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    yield* sql.unsafe("create table account (account_key varchar(64) not null primary key, version int not null)")
    yield* sql.unsafe(
      "create table ledger (event_id varchar(64) not null primary key, account_key varchar(64) not null, " +
        "version int not null)"
    )
    yield* sql`insert into account ${sql.insert(accounts.map((key) => ({ account_key: key, version: 0 })))}`
    // deadlocks are looked for at once, in this database alone
    yield* sql.onDialectOrElse({
      pg: () =>
        Effect.flatMap(
          sql<{ readonly name: string }>`select current_database() as name`,
          ([row]) => sql.unsafe(`alter database ${row!.name} set deadlock_timeout = '20ms'`)
        ),
      orElse: () => Effect.void
    })
  })

export const ledger = (sql: Sql): Effect.Effect<ReadonlyArray<Announced>, SqlError.SqlError> =>
  Effect.map(sql<Row>`select * from ledger`, (rows) => rows.map(announced))

/** Raises the version of an account on its row, which stays locked, and writes what is to be announced into the ledger. */
export const raise = <E, R>(
  sql: Sql,
  key: string,
  by: number,
  announce: (version: number) => Effect.Effect<string, E, R>
): Effect.Effect<void, E | SqlError.SqlError, R> =>
  Effect.gen(function*() {
    const lock = sql.onDialectOrElse({ sqlite: () => sql``, orElse: () => sql` for update` })
    const [row] = yield* sql<{ readonly version: number }>`
      select version from account where account_key = ${key}${lock}`
    const first = row!.version + 1
    const events = yield* Effect.forEach(
      Array.from({ length: by }, (_, n) => first + n),
      (version) => Effect.map(announce(version), (id) => ({ event_id: id, account_key: key, version }))
    )
    yield* sql`insert into ledger ${sql.insert(events)}`
    yield* sql`update account set version = ${row!.version + by} where account_key = ${key}`
  })

interface Row {
  readonly event_id: string
  readonly account_key: string
  readonly version: number
}

const announced = (row: Row): Announced => ({ id: row.event_id, key: row.account_key, version: row.version })
