import { TransactionConnection } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { CommitFailure, Dialect } from "./dialect.ts"
import { codeOf, isDisconnected, run } from "./errors.ts"
import { isolations } from "./isolation.ts"

/** Microseconds since 1970 by the database's clock; unlike unix_timestamp(now(6)), sure of itself when clocks go back. */
const now = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"

/** A row that keeps those behind it of its topic and key from being read; only waiting rows are looked at. */
const blocks = (row: string): string =>
  `${row}.waiting = 1 and ((${row}.dead_at is null and ${row}.available_at > ${now}) ` +
  `or (${row}.dead_at is not null and ${row}.exhausted = 'halt'))`

/** As bytes: collations take texts for equal that differ in the spaces at their end. */
const same = (column: string): string => `cast(b.${column} as binary) = cast(o.${column} as binary)`

const columns = "cast(sequence as char) as sequence, bucket, id, name, topic, partition_key, attributes, headers, " +
  "content_encoding, correlation_id, causation_id, payload, attempts, last_error, exhausted"

const table = "engine = InnoDB default charset = utf8mb4 collate = utf8mb4_bin"

/** Rows are inserted in statements of few sizes: a prepared statement per size would stay on the connection. */
const sizes = [100, 10, 1]

// A prepared IN list would be one statement per length as well: numbers of our own go in as text. Of one statement as
// text @effect/sql throws away what the server answers, of two it does not: hence `do 0`.
const list = (sequences: ReadonlyArray<bigint>): string => `(${sequences.join(", ")})`

/**
 * Statements that commit what came before them (MySQL 8.4 manual, 15.3.3). Temporary tables do not.
 */
const implicit = new RegExp(
  "^(alter|create(?!\\s+temporary\\s+table)|drop(?!\\s+temporary\\s+table)|rename|truncate|grant|revoke|" +
    "lock\\s+tables|unlock\\s+tables|analyze|optimize|repair|check\\s+table|cache\\s+index|load\\s+index|flush|reset|" +
    "install|uninstall|set\\s+password)\\b",
  "i"
)

const commitFailure = (error: SqlError): CommitFailure => ({
  at: codeOf(error) === "ER_SP_DOES_NOT_EXIST" ? "implicit" : isDisconnected(error) ? "unknown" : "refused",
  error
})

export const mysql: Dialect = {
  transaction: {
    // With autocommit off nothing is ever committed by a statement of its own: when the server has rolled the transaction
    // back (a deadlock's victim), what follows belongs to a new one, which has no guard.
    begin: ({ connection, isolation, sql }) =>
      Effect.map(
        connection.executeUnprepared(
          (isolation === undefined ? "" : `SET TRANSACTION ISOLATION LEVEL ${isolations[isolation]}; `) +
            "SET autocommit = 0; SAVEPOINT cqrs_guard; SELECT CONNECTION_ID() AS id",
          [],
          undefined
        ),
        (results) => {
          const [{ id }] = results.at(-1) as unknown as readonly [{ readonly id: number }]
          const outside = (statement: string) =>
            Effect.mapInputContext(
              Effect.ignore(sql.unsafe(statement).unprepared),
              (context: Context.Context<never>) =>
                Context.omit(TransactionConnection)(context) as Context.Context<never>
            )
          return { cancel: outside(`KILL QUERY ${id}`), destroy: outside(`KILL ${id}`) }
        }
      ),
    seal: (connection) => Effect.mapError(run(connection, "RELEASE SAVEPOINT cqrs_guard"), commitFailure),
    commit: (connection, { isSealed }) =>
      Effect.mapError(
        run(connection, (isSealed ? "" : "RELEASE SAVEPOINT cqrs_guard; ") + "COMMIT; SET autocommit = 1"),
        commitFailure
      ),
    // ROLLBACK first: switching autocommit on would commit what is left
    rollback: (connection) =>
      Effect.retry(run(connection, "ROLLBACK; SET autocommit = 1"), {
        // a KILL QUERY that came too late for its statement is meant for none
        while: (error) => codeOf(error) === "ER_QUERY_INTERRUPTED",
        times: 3
      }),
    isLost: (_connection, error) => Effect.succeed(codeOf(error) === "ER_LOCK_DEADLOCK" || isDisconnected(error)),
    isAborted: () => false,
    commitsImplicitly: (statement) => implicit.test(statement),
    isConflict: (error) => ["ER_LOCK_DEADLOCK", "ER_LOCK_WAIT_TIMEOUT", "ER_CHECKREAD"].includes(codeOf(error))
  },
  writesWhole: false,
  migratesWhole: false,
  migrations: (names) => [{
    id: 1,
    name: "create_tables",
    statements: [
      `create table if not exists ${names.settings} (name varchar(64) not null primary key, value text not null) ${table}`,
      `create table if not exists ${names.outbox} (
  sequence bigint not null auto_increment primary key,
  bucket int not null,
  id varchar(255) not null,
  name varchar(255) not null,
  topic varchar(255) not null,
  partition_key varchar(512),
  attributes mediumtext not null,
  headers mediumtext not null,
  content_encoding varchar(255) not null,
  correlation_id varchar(255) not null,
  causation_id varchar(255),
  payload longblob not null,
  attempts int not null default 0,
  available_at bigint not null default 0,
  last_error text,
  dead_at bigint,
  exhausted varchar(8),
  created_at bigint not null,
  waiting tinyint generated always as (case when available_at > 0 or dead_at is not null then 1 end) virtual,
  index ${names.outbox}_bucket (bucket, sequence),
  index ${names.outbox}_waiting (waiting, sequence)
) ${table}`,
      // an id never comes back, and so it is the fencing token
      `create table if not exists ${names.relay} ` +
      `(id bigint not null auto_increment primary key, expires_at bigint not null) ${table}`,
      `create table if not exists ${names.lease} (bucket int not null primary key, relay_id bigint) ${table}`,
      // bytes: a collation would take one id for another
      `create table if not exists ${names.inbox} (
  consumer varbinary(255) not null,
  handler varbinary(255) not null,
  source varbinary(1024) not null,
  message_id varbinary(255) not null,
  handled_at bigint not null,
  primary key (consumer, handler, source, message_id)
) ${table}`
    ]
  }],
  outbox: {
    append: (names, rows) => {
      const queries: Array<readonly [string, ReadonlyArray<unknown>]> = []
      let at = 0
      for (const size of sizes) {
        for (; rows.length - at >= size; at += size) {
          const values = Array.from({ length: size }, () => `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${now})`)
          queries.push([
            `insert into ${names.outbox} (id, name, topic, partition_key, bucket, attributes, headers, ` +
            `content_encoding, correlation_id, causation_id, payload, created_at) values ${values.join(", ")}`,
            rows.slice(at, at + size).flatMap((row) => [
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
            ])
          ])
        }
      }
      return queries
    },
    // LIMIT takes no parameter of a prepared statement in MySQL 8.0.22 and later. The indexes are forced: a wrong guess
    // of the optimizer sorts the whole backlog.
    heads: (names, { buckets, except, limit }) => {
      const of = (bucket: number | undefined) =>
        `select o.sequence, length(o.payload) as size from ${names.outbox} o ` +
        (bucket === undefined
          ? "force index (primary) where "
          : `force index (${names.outbox}_bucket) where o.bucket = ${bucket} and `) +
        `o.dead_at is null and o.available_at <= ${now} and json_contains(@except, json_quote(o.topic)) = 0 ` +
        `and not exists (select 1 from ${names.outbox} b force index (${names.outbox}_waiting) ` +
        `where ${blocks("b")} and b.sequence < o.sequence and ${same("topic")} and ${same("partition_key")}) ` +
        `order by o.sequence limit ${limit}`
      const all = buckets === undefined ? of(undefined) : buckets.map((bucket) => `(${of(bucket)})`).join(" union all ")
      return [
        `select cast(h.sequence as char) as sequence, h.size from (${all.replaceAll("@except", "?")}) h ` +
        `order by h.sequence limit ${limit}`,
        Array.from({ length: buckets?.length ?? 1 }, () => JSON.stringify(except)),
        "text"
      ]
    },
    rows: (names, chosen) => [
      `select ${columns} from ${names.outbox} where sequence in ${list(chosen)} order by ${names.outbox}.sequence`,
      [],
      "text"
    ],
    remove: (names, delivered) => [
      `do 0; delete from ${names.outbox} where sequence in ${list(delivered)} and dead_at is null`,
      [],
      "text"
    ],
    // READ COMMITTED, for this statement: it locks rows by their primary keys and no gaps between them, where an
    // application's inserts would have to wait. The row of the relay is locked: a statement that only looked could still
    // remove after a takeover has committed.
    removeFenced: (names, delivered, token) => [
      "set transaction isolation level read committed; " +
      `delete from ${names.outbox} where sequence in ${list(delivered)} and dead_at is null` +
      (token === 0n
        ? ""
        : ` and exists (select 1 from ${names.relay} where id = ${token} lock in share mode)`),
      [],
      "text"
    ],
    defer: (names, { attempts, delayMicros, reason, sequence }) => [
      `update ${names.outbox} set attempts = ?, available_at = ${now} + ?, last_error = ? ` +
      "where sequence = ? and dead_at is null",
      [attempts, delayMicros, reason, String(sequence)]
    ],
    bury: (names, { attempts, policy, reason, sequence }) => [
      `update ${names.outbox} set attempts = ?, exhausted = ?, last_error = ?, dead_at = ${now} ` +
      "where sequence = ? and dead_at is null",
      [attempts, policy, reason, String(sequence)]
    ],
    statistics: (names) => [
      "select sum(case when dead_at is null then 1 else 0 end) as pending, " +
      "sum(case when dead_at is null then 0 else 1 end) as dead, " +
      `coalesce(${now} - min(case when dead_at is null then created_at end), 0) as age from ${names.outbox}`,
      []
    ],
    dead: (names, { limit, topic }) => [
      `select ${columns} from ${names.outbox} where waiting = 1 and dead_at is not null ` +
      (topic === undefined ? "" : "and cast(topic as binary) = cast(? as binary) ") +
      `order by ${names.outbox}.sequence limit ${limit}`,
      topic === undefined ? [] : [topic]
    ],
    redrive: (names, dead) => [
      `do 0; update ${names.outbox} set dead_at = null, exhausted = null, attempts = 0, available_at = 0 ` +
      `where sequence in ${list(dead)} and dead_at is not null`,
      [],
      "text"
    ],
    discard: (names, dead) => [
      `do 0; delete from ${names.outbox} where sequence in ${list(dead)} and dead_at is not null`,
      [],
      "text"
    ]
  },
  lease: {
    create: (names, buckets) => [
      `insert ignore into ${names.lease} (bucket) values ` +
      Array.from({ length: buckets }, (_, bucket) => `(${bucket})`).join(", "),
      []
    ],
    register: (names, termMicros) => [`insert into ${names.relay} (expires_at) values (${now} + ?)`, [termMicros]],
    registered: (raw) => BigInt((raw as { readonly insertId: number | string }).insertId),
    renew: (names, relay, termMicros) => [
      `update ${names.relay} set expires_at = ${now} + ? where id = ? and expires_at > ${now}`,
      [termMicros, String(relay)]
    ],
    relays: (names) => [`select cast(id as char) as id, expires_at > ${now} as alive from ${names.relay}`, []],
    owners: (names) => [`select bucket, cast(relay_id as char) as relay from ${names.lease}`, []],
    reap: (names, relays) => [
      `do 0; delete from ${names.relay} where id in ${list(relays)} and expires_at <= ${now}`,
      [],
      "text"
    ],
    claim: (names, relay, buckets, gone) => [
      `do 0; update ${names.lease} set relay_id = ${relay} where bucket in (${buckets.join(", ")}) ` +
      `and (relay_id is null or relay_id in (${gone.length === 0 ? "null" : gone.join(", ")}))`,
      [],
      "text"
    ],
    release: (names, relay, buckets) => [
      `do 0; update ${names.lease} set relay_id = null where relay_id = ${relay} and bucket in (${buckets.join(", ")})`,
      [],
      "text"
    ],
    leave: (names, relay) => [`delete from ${names.relay} where id = ?`, [String(relay)]],
    hold: (names, relay) => [`select 1 as held from ${names.relay} where id = ? lock in share mode`, [String(relay)]]
  },
  settings: {
    remember: (
      names,
      name,
      value
    ) => [`insert ignore into ${names.settings} (name, value) values (?, ?)`, [name, value]]
  },
  inbox: {
    // neither INSERT IGNORE, which would cut what is too long, nor ON DUPLICATE KEY, which counts alike
    register: (names, { consumer, handler, messageId, source }) => [
      `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values (?, ?, ?, ?, ${now})`,
      [consumer, handler, source, messageId]
    ],
    isDuplicate: (error) => codeOf(error) === "ER_DUP_ENTRY"
  },
  affected: (raw) => {
    const header: unknown = Array.isArray(raw) ? raw.at(-1) : raw
    return (header as { readonly affectedRows: number }).affectedRows
  },
  isMissingTable: (error) => ["ER_NO_SUCH_TABLE", "ER_BAD_FIELD_ERROR"].includes(codeOf(error)),
  isTooLong: (error) =>
    ["ER_DATA_TOO_LONG", "ER_TRUNCATED_WRONG_VALUE_FOR_FIELD", "ER_NET_PACKET_TOO_LARGE"].includes(codeOf(error)),
  existing: (tables) => [
    "select t.table_name as name from information_schema.tables t " +
    `where t.table_schema = database() and t.table_name in (${tables.map(() => "?").join(", ")})`,
    tables
  ]
}
