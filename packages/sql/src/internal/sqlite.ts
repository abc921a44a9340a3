import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Dialect } from "./dialect.ts"

const run = (connection: Connection, statement: string): Effect.Effect<void, SqlError> =>
  // preparing throws in the driver itself
  Effect.catchAllDefect(
    Effect.suspend(() => Effect.asVoid(connection.executeUnprepared(statement, [], undefined))),
    (cause) => Effect.fail(new SqlError({ cause, message: "Failed to execute statement" }))
  )

/** Microseconds since 1970 by the database's clock, which SQLite knows to the millisecond. */
const now = "cast((julianday('now') - 2440587.5) * 86400000000 as integer)"

const codeOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return ""
  if ("code" in error && typeof error.code === "string") return error.code
  return "cause" in error ? codeOf(error.cause) : ""
}

const textOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return ""
  return ("message" in error ? `${error.message} ` : "") + ("cause" in error ? textOf(error.cause) : "")
}

const isBusy = (error: unknown): boolean => codeOf(error).startsWith("SQLITE_BUSY")

/** Another process writes: SQLite's own busy timeout would wait for it with the whole of this process. */
const patience = Schedule.spaced("5 millis").pipe(
  Schedule.intersect(Schedule.recurUpTo("5 seconds")),
  Schedule.whileInput(isBusy)
)

const changes = (raw: unknown): number => (raw as { readonly changes: number }).changes

const sequences = "(select cast(value as integer) from json_each(?))"

/** A row that keeps those behind it of its topic and key from being read. */
const blocks = (row: string): string =>
  `(${row}.available_at > 0 or ${row}.dead_at is not null) and ` +
  `((${row}.dead_at is null and ${row}.available_at > ${now}) or (${row}.dead_at is not null and ${row}.exhausted = 'halt'))`

const columns = "cast(sequence as text) as sequence, bucket, id, name, topic, partition_key, attributes, headers, " +
  "content_encoding, correlation_id, causation_id, payload, attempts, last_error, exhausted"

export const sqlite: Dialect = {
  transaction: {
    // IMMEDIATE: a transaction that reads first and then writes would otherwise fail at once when another one writes.
    // Prepared once: libsql counts a statement that was refused for a lock as running until the same one runs again, and
    // sets no savepoint meanwhile ("SQL statements in progress")
    begin: (connection) =>
      Effect.zipRight(
        Effect.retry(connection.execute("BEGIN IMMEDIATE", [], undefined), patience),
        run(connection, "SAVEPOINT cqrs_guard")
      ),
    commit: (connection) =>
      Effect.zipRight(
        Effect.mapError(run(connection, "RELEASE cqrs_guard"), (error) => ({ at: "guard" as const, error })),
        // where there is no WAL, a reader holds it up
        Effect.mapError(
          Effect.retry(connection.execute("COMMIT", [], undefined), patience),
          (error) => ({ at: "commit" as const, error })
        )
      ),
    rollback: (connection) => run(connection, "ROLLBACK"),
    // a transaction cannot begin inside another: if it can, the other is gone
    isLost: (connection) =>
      Effect.matchEffect(run(connection, "BEGIN"), {
        onFailure: () => Effect.succeed(false),
        onSuccess: () => Effect.as(Effect.ignore(run(connection, "ROLLBACK")), true)
      }),
    isConflict: isBusy
  },
  migrations: (names) => [{
    id: 1,
    name: "create_tables",
    statements: [
      `create table ${names.settings} (name text primary key not null, value text not null)`,
      `create table ${names.outbox} (
  sequence integer primary key autoincrement,
  bucket integer not null,
  id text not null,
  name text not null,
  topic text not null,
  partition_key text,
  attributes text not null,
  headers text not null,
  content_encoding text not null,
  correlation_id text not null,
  causation_id text,
  payload blob not null,
  attempts integer not null default 0,
  available_at integer not null default 0,
  last_error text,
  dead_at integer,
  exhausted text,
  created_at integer not null
)`,
      `create index ${names.outbox}_bucket on ${names.outbox} (bucket, sequence)`,
      `create index ${names.outbox}_waiting on ${names.outbox} (topic, partition_key, sequence) ` +
      "where available_at > 0 or dead_at is not null",
      `create table ${names.inbox} (
  consumer text not null,
  handler text not null,
  source text not null,
  message_id text not null,
  handled_at integer not null,
  primary key (consumer, handler, source, message_id)
) without rowid`
    ]
  }],
  outbox: {
    insert: (names) =>
      `insert into ${names.outbox} (id, name, topic, partition_key, bucket, attributes, headers, content_encoding, ` +
      `correlation_id, causation_id, payload, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${now})`,
    heads: (names) =>
      `select cast(o.sequence as text) as sequence, length(o.payload) as size from ${names.outbox} o ` +
      `where o.dead_at is null and o.available_at <= ${now} ` +
      "and o.bucket in (select value from json_each(?)) and o.topic not in (select value from json_each(?)) " +
      `and not exists (select 1 from ${names.outbox} b where b.topic = o.topic and b.partition_key = o.partition_key ` +
      `and b.sequence < o.sequence and ${blocks("b")}) order by o.sequence limit ?`,
    rows: (names) =>
      `select ${columns} from ${names.outbox} where sequence in ${sequences} order by ${names.outbox}.sequence`,
    remove: (names) => `delete from ${names.outbox} where sequence in ${sequences} and dead_at is null`,
    defer: (names) =>
      `update ${names.outbox} set attempts = ?, available_at = ${now} + ?, last_error = ? ` +
      "where sequence = cast(? as integer) and dead_at is null",
    bury: (names) =>
      `update ${names.outbox} set attempts = ?, exhausted = ?, last_error = ?, dead_at = ${now} ` +
      "where sequence = cast(? as integer) and dead_at is null",
    statistics: (names) =>
      "select count(*) filter (where dead_at is null) as pending, count(*) filter (where dead_at is not null) as dead, " +
      `coalesce(${now} - min(created_at) filter (where dead_at is null), 0) as age from ${names.outbox}`,
    dead: (names) =>
      `select ${columns} from ${names.outbox} where (available_at > 0 or dead_at is not null) and dead_at is not null ` +
      `and (? is null or topic = ?) order by ${names.outbox}.sequence limit ?`,
    redrive: (names) =>
      `update ${names.outbox} set dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
      `where sequence in ${sequences} and dead_at is not null`,
    discard: (names) => `delete from ${names.outbox} where sequence in ${sequences} and dead_at is not null`,
    remember: (names) => `insert into ${names.settings} (name, value) values (?, ?) on conflict (name) do nothing`,
    affected: changes
  },
  inbox: {
    register: (names) =>
      `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values (?, ?, ?, ?, ${now}) ` +
      "on conflict do nothing",
    written: changes
  },
  existing:
    "select value as name from json_each(?) where lower(value) in (select lower(name) from sqlite_schema where type = 'table')",
  isMissingTable: (error) => /no such (table|column)/i.test(textOf(error))
}
