/** The database: server, settings, tables, clocks, permissions, and who works on the outbox. */
import { BucketOwner } from "@effect-cqrs/core/BucketOwner"
import { OutboxStorage, type StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { Inspection } from "@effect-cqrs/sql/Tables"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Finding, ok, problem, warning } from "../finding.ts"
import { age, count, grouped } from "../output.ts"
import { judged, valuesOf } from "./setting.ts"
import * as Settings from "./settings.ts"

export const server = ({ server: { complaint, product, version } }: Inspection): Finding =>
  complaint === undefined
    ? ok("server", `${product} ${version}`)
    : problem("server", `${product} ${version}`, `update it: ${complaint}`)

export const settings = (product: Inspection["server"]["product"]): Effect.Effect<
  ReadonlyArray<Finding>,
  never,
  SqlClient
> =>
  Effect.flatMap(SqlClient, (sql) => {
    switch (product) {
      case "MariaDB":
      case "MySQL":
        return Effect.map(
          valuesOf(
            sql,
            "select lower(variable_name) as name, variable_value as value from " +
              (product === "MariaDB" ? "information_schema" : "performance_schema") + ".global_variables where " +
              `variable_name in (${[...Settings.mysql.map(({ name }) => `'${name}'`), "'tx_isolation'"].join(", ")})`
          ),
          (values) => judged(Settings.mysql, renamed(values, "tx_isolation", "transaction_isolation"))
        )
      case "PostgreSQL":
        return Effect.map(
          valuesOf(
            sql,
            `select name, setting as value from pg_settings where name in (${
              Settings.postgres.map(({ name }) => `'${name}'`).join(", ")
            }) union all select 'is_in_recovery', pg_is_in_recovery()::text`
          ),
          (values) => judged(Settings.postgres, values)
        )
      case "SQLite":
        return Effect.map(
          valuesOf(
            sql,
            "select 'journal_mode' as name, journal_mode as value from pragma_journal_mode union all " +
              "select 'integrity', quick_check from pragma_quick_check(1)"
          ),
          (values) => [
            ...judged(Settings.sqlite, values),
            // better-sqlite3 is made with NORMAL for write-ahead mode, libsql with FULL
            ok("synchronous", "each connection's own affair: `pragma synchronous = full` where commits must survive")
          ]
        )
    }
  })

export const tables = ({ expected, missing, version }: Inspection): Finding => {
  if (version > expected) {
    return problem("tables", `version ${version}, newer than this program's ${expected}`, "update @effect-cqrs/cli")
  }
  if (version < expected) {
    return problem("tables", `version ${version} of ${expected}`, "run `effect-cqrs migrate apply`, or check --prefix")
  }
  return missing.tables.length === 0
    ? ok("tables", `version ${version}`)
    : problem("tables", `missing: ${missing.tables.join(", ")}`, "restore them: their migration is noted as applied")
}

export const indexes = ({ missing }: Inspection): Finding =>
  missing.indexes.length === 0 ? ok("indexes", "all there") : problem(
    "indexes",
    `missing: ${missing.indexes.join(", ")}`,
    "make them again, as `effect-cqrs migrate sql` has them: without them each poll reads the whole table"
  )

/** Both clocks go into what people see, and the relay's into its lease. */
export const clocks: Effect.Effect<Finding, never, SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient
  const now = sql.onDialectOrElse({
    mysql: () => "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1000 as now",
    pg: () => "select extract(epoch from clock_timestamp()) * 1000 as now",
    orElse: () => "select (julianday('now') - 2440587.5) * 86400000 as now"
  })
  const before = yield* Clock.currentTimeMillis
  const rows = yield* Effect.orElseSucceed(sql.unsafe<{ readonly now: unknown }>(now).withoutTransform, () => [])
  const after = yield* Clock.currentTimeMillis
  const skew = Math.round(Number(rows[0]?.now) - (before + after) / 2)
  const found = `the database is ${Math.abs(skew)} ms ${skew < 0 ? "behind" : "ahead of"} this machine`
  if (!Number.isFinite(skew)) return warning("clocks", "the database's is not known", "see what the user may do there")
  return Math.abs(skew) <= 1000 + (after - before) ? ok("clocks", "less than a second apart") : warning(
    "clocks",
    found,
    "set both by NTP: nothing is lost by it, but times that are shown and those of events are not the same"
  )
})

/** Tries each right on each table, on no row. */
export const permissions = ({ tables }: Inspection): Effect.Effect<Finding, never, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const denied: Array<string> = []
    for (const table of tables) {
      const column = columns.find(([end]) => table.endsWith(end))?.[1] ?? "migration_id"
      const tries = [
        ["read", `select ${column} from ${table} where 1 = 0`],
        ["insert", `insert into ${table} select * from ${table} where 1 = 0`],
        ["update", `update ${table} set ${column} = ${column} where 1 = 0`],
        ["delete", `delete from ${table} where 1 = 0`]
      ] as const
      for (const [right, statement] of tries) {
        // the application reads its migrations, and no more
        if (column === "migration_id" && right !== "read") continue
        const answer = yield* Effect.either(sql.unsafe(statement).withoutTransform)
        if (answer._tag === "Left") denied.push(`${right} ${table}`)
      }
    }
    return denied.length === 0 ? ok("permissions", "all tables can be read and written") : problem(
      "permissions",
      `may not ${denied.slice(0, 5).join(", ")}${denied.length > 5 ? ` and ${denied.length - 5} more` : ""}`,
      "grant SELECT, INSERT, UPDATE and DELETE on the tables to this user"
    )
  })

/** The last part of the tables' names, longer ones first, and a column of each. */
const columns = [
  ["inbox_start", "handler"],
  ["outbox", "sequence"],
  ["inbox", "handler"],
  ["idempotency", "claimed_at"],
  ["settings", "name"],
  ["relay", "id"],
  ["lease", "bucket"],
  ["key_lock", "slot"]
] as const

export const work: Effect.Effect<ReadonlyArray<Finding>, StorageError, OutboxStorage | BucketOwner> = Effect.gen(
  function*() {
    const { dead, oldestAge, pending } = yield* Effect.flatMap(OutboxStorage, ({ statistics }) => statistics)
    const { free, members, suspicions } = yield* Effect.flatMap(BucketOwner, ({ ownership }) => ownership)
    const alive = members.filter(({ expiresIn }) => Duration.greaterThan(expiresIn, Duration.zero))
    const suspended = alive.flatMap((one) => one.suspended)
    const isOld = Duration.greaterThan(oldestAge, Duration.minutes(1))
    return [
      alive.length === 0
        ? (pending > 0 ? problem : warning)("relays", "none", "start one: the application's, or `effect-cqrs relay`")
        : free.length === 0
        ? ok("relays", `${count(alive.length, "relay")}, all buckets are owned`)
        : warning(
          "relays",
          `${free.length} buckets are owned by none`,
          "look again in some seconds: they are taken over"
        ),
      pending === 0 || !isOld
        ? ok("pending", grouped(pending))
        : warning(
          "pending",
          `${grouped(pending)}, the oldest for ${age(oldestAge)}`,
          "see `effect-cqrs outbox status`: no relay, a destination that is out, or more events than the relays deliver"
        ),
      dead === 0 ? ok("dead letters", "none") : warning(
        "dead letters",
        grouped(dead),
        "see `effect-cqrs outbox list --dead`, mend the cause, then `outbox redrive` or `outbox discard`"
      ),
      suspended.length === 0 ? ok("destinations", "none is suspended") : problem(
        "destinations",
        suspended.map(({ reason, topic }) => `${topic ?? "the broker"} is out: ${reason}`).join("; "),
        "mend what the broker says; events wait meanwhile, and go on by themselves"
      ),
      ...suspicions.size === 0 ? [] : [warning(
        "deaths",
        `owners of ${count(suspicions.size, "bucket")} have died`,
        "look into the relays' logs: an event that kills its process becomes a dead letter after some deaths"
      )]
    ]
  }
)

const renamed = (values: ReadonlyMap<string, string>, from: string, to: string): ReadonlyMap<string, string> => {
  const value = values.get(from)
  return value === undefined || values.has(to) ? values : new Map([...values, [to, value]])
}
