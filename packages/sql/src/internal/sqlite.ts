import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Dialect } from "./dialect.ts"
import { begun, codeOf, run, textOf } from "./errors.ts"

/** Microseconds since 1970 by the database's clock, which SQLite knows to the millisecond. */
const now = "cast((julianday('now') - 2440587.5) * 86400000000 as integer)"

const isBusy = (error: unknown): boolean => codeOf(error).startsWith("SQLITE_BUSY")

/** Another process writes: SQLite's own busy timeout would wait for it with the whole of this process. */
const patience = Schedule.spaced("5 millis").pipe(
  Schedule.intersect(Schedule.recurUpTo("5 seconds")),
  Schedule.whileInput(isBusy)
)

const list = (chosen: ReadonlyArray<bigint>): string => `[${chosen.join(",")}]`

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
    begin: ({ connection }) =>
      Effect.retry(connection.execute("BEGIN IMMEDIATE", [], undefined), patience).pipe(
        Effect.zipRight(run(connection, "SAVEPOINT cqrs_guard")),
        Effect.as(begun)
      ),
    seal: (connection) =>
      Effect.mapError(run(connection, "RELEASE cqrs_guard"), (error) => ({ at: "rolledBack" as const, error })),
    commit: (connection, { isSealed }) =>
      Effect.zipRight(
        isSealed ? Effect.void : sqlite.transaction.seal(connection),
        // where there is no WAL, a reader holds it up
        Effect.mapError(
          Effect.retry(connection.execute("COMMIT", [], undefined), patience),
          (error) => ({ at: "refused" as const, error })
        )
      ),
    rollback: (connection) => run(connection, "ROLLBACK"),
    // a transaction cannot begin inside another: if it can, the other is gone
    isLost: (connection) =>
      Effect.matchEffect(run(connection, "BEGIN"), {
        onFailure: () => Effect.succeed(false),
        onSuccess: () => Effect.as(Effect.ignore(run(connection, "ROLLBACK")), true)
      }),
    isAborted: () => false,
    commitsImplicitly: () => false,
    isConflict: isBusy
  },
  writesWhole: true,
  migratesWhole: true,
  migrations: (names) => [{
    id: 1,
    name: "create_tables",
    statements: [
      `create table if not exists ${names.settings} (name text primary key not null, value text not null)`,
      `create table if not exists ${names.outbox} (
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
      `create index if not exists ${names.outbox}_bucket on ${names.outbox} (bucket, sequence)`,
      `create index if not exists ${names.outbox}_waiting on ${names.outbox} (topic, partition_key, sequence) ` +
      "where available_at > 0 or dead_at is not null",
      // autoincrement: an id never comes back, and so it is the fencing token
      `create table if not exists ${names.relay} (id integer primary key autoincrement, expires_at integer not null)`,
      `create table if not exists ${names.lease} (bucket integer primary key not null, relay_id integer)`,
      `create table if not exists ${names.inbox} (
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
    append: (names, rows) =>
      rows.map((row) => [
        `insert into ${names.outbox} (id, name, topic, partition_key, bucket, attributes, headers, content_encoding, ` +
        `correlation_id, causation_id, payload, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${now})`,
        [
          row.id,
          row.name,
          row.topic,
          row.partitionKey,
          row.bucket,
          row.attributes,
          row.headers,
          row.contentEncoding,
          row.correlationId,
          row.causationId,
          row.payload
        ]
      ]),
    heads: (names, { buckets, except, limit }) => {
      const of = (bucket: number | undefined) =>
        `select o.sequence, length(o.payload) as size from ${names.outbox} o ` +
        `where ${
          bucket === undefined ? "" : `o.bucket = ${bucket} and `
        }o.dead_at is null and o.available_at <= ${now} ` +
        "and o.topic not in (select value from json_each(?1)) " +
        `and not exists (select 1 from ${names.outbox} b where b.topic = o.topic and b.partition_key = o.partition_key ` +
        `and b.sequence < o.sequence and ${blocks("b")}) order by o.sequence limit ?2`
      const all = buckets === undefined
        ? of(undefined)
        : buckets.map((bucket) => `select * from (${of(bucket)})`).join(" union all ")
      return [
        `select cast(sequence as text) as sequence, size from (${all}) h order by h.sequence limit ?2`,
        [JSON.stringify(except), limit]
      ]
    },
    rows: (names, chosen) => [
      `select ${columns} from ${names.outbox} where sequence in ${sequences} order by ${names.outbox}.sequence`,
      [list(chosen)]
    ],
    remove: (names, delivered) => sqlite.outbox.removeFenced(names, delivered, 0n),
    removeFenced: (names, delivered, token) => [
      `delete from ${names.outbox} where sequence in ${sequences} and dead_at is null` +
      (token === 0n ? "" : ` and exists (select 1 from ${names.relay} where id = ${token})`),
      [list(delivered)]
    ],
    defer: (names, { attempts, delayMicros, reason, sequence }) => [
      `update ${names.outbox} set attempts = ?, available_at = ${now} + ?, last_error = ? ` +
      "where sequence = cast(? as integer) and dead_at is null",
      [attempts, delayMicros, reason, String(sequence)]
    ],
    bury: (names, { attempts, policy, reason, sequence }) => [
      `update ${names.outbox} set attempts = ?, exhausted = ?, last_error = ?, dead_at = ${now} ` +
      "where sequence = cast(? as integer) and dead_at is null",
      [attempts, policy, reason, String(sequence)]
    ],
    statistics: (names) => [
      "select count(*) filter (where dead_at is null) as pending, count(*) filter (where dead_at is not null) as dead, " +
      `coalesce(${now} - min(created_at) filter (where dead_at is null), 0) as age from ${names.outbox}`,
      []
    ],
    dead: (names, { limit, topic }) => [
      `select ${columns} from ${names.outbox} where (available_at > 0 or dead_at is not null) and dead_at is not null ` +
      `and (? is null or topic = ?) order by ${names.outbox}.sequence limit ?`,
      [topic ?? null, topic ?? null, limit]
    ],
    redrive: (names, dead) => [
      `update ${names.outbox} set dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
      `where sequence in ${sequences} and dead_at is not null`,
      [list(dead)]
    ],
    discard: (names, dead) => [
      `delete from ${names.outbox} where sequence in ${sequences} and dead_at is not null`,
      [list(dead)]
    ]
  },
  lease: {
    create: (names, buckets) => [
      "with recursive n (bucket) as (select 0 union all select bucket + 1 from n where bucket + 1 < ?) " +
      `insert or ignore into ${names.lease} (bucket) select bucket from n`,
      [buckets]
    ],
    register: (names, termMicros) => [`insert into ${names.relay} (expires_at) values (${now} + ?)`, [termMicros]],
    registered: (raw) => BigInt((raw as { readonly lastInsertRowid: number | bigint }).lastInsertRowid),
    renew: (names, relay, termMicros) => [
      `update ${names.relay} set expires_at = ${now} + ? where id = ${relay} and expires_at > ${now}`,
      [termMicros]
    ],
    relays: (names) => [`select cast(id as text) as id, expires_at > ${now} as alive from ${names.relay}`, []],
    owners: (names) => [`select bucket, cast(relay_id as text) as relay from ${names.lease}`, []],
    reap: (names, relays) => [
      `delete from ${names.relay} where id in (${relays.join(", ")}) and expires_at <= ${now}`,
      []
    ],
    claim: (names, relay, buckets, gone) => [
      `update ${names.lease} set relay_id = ${relay} where bucket in (${buckets.join(", ")}) ` +
      `and (relay_id is null or relay_id in (${gone.length === 0 ? "null" : gone.join(", ")}))`,
      []
    ],
    release: (names, relay, buckets) => [
      `update ${names.lease} set relay_id = null where relay_id = ${relay} and bucket in (${buckets.join(", ")})`,
      []
    ],
    leave: (names, relay) => [`delete from ${names.relay} where id = ${relay}`, []],
    hold: (names, relay) => [`select 1 as held from ${names.relay} where id = ${relay}`, []]
  },
  settings: {
    remember: (names, name, value) => [
      `insert into ${names.settings} (name, value) values (?, ?) on conflict (name) do nothing`,
      [name, value]
    ]
  },
  inbox: {
    register: (names, { consumer, handler, messageId, source }) => [
      `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values (?, ?, ?, ?, ${now}) ` +
      "on conflict do nothing",
      [consumer, handler, source, messageId]
    ],
    isDuplicate: () => false
  },
  existing: (tables) => [
    "select value as name from json_each(?) where lower(value) in " +
    "(select lower(name) from sqlite_schema where type = 'table')",
    [JSON.stringify(tables)]
  ],
  affected: (raw) => (raw as { readonly changes: number }).changes,
  isMissingTable: (error) => /no such (table|column)/i.test(textOf(error)),
  isTooLong: () => false
}
