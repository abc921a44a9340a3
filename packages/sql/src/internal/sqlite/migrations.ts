import type { Dialect } from "../dialect.ts"

export const migrations: Dialect["migrations"] = (names) => [{
  id: 1,
  name: "create_tables",
  statements: [
    `create table if not exists ${names.settings} (name text primary key not null, value text not null)`,
    `create table if not exists ${names.outbox} (
sequence integer primary key autoincrement,
bucket integer not null,
topic_hash integer not null,
key_hash integer not null,
payload_bytes integer not null,
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
    `create index if not exists ${names.outbox}_bucket ` +
    `on ${names.outbox} (bucket, sequence, topic_hash, key_hash, payload_bytes)`,
    // autoincrement: an id never comes back, and so it is the fencing token
    `create table if not exists ${names.relay} ` +
    "(id integer primary key autoincrement, expires_at integer not null, suspended text)",
    `create table if not exists ${names.lease} (bucket integer primary key not null, relay_id integer, ` +
    "deaths integer not null default 0, suspect integer, suspect_deaths integer not null default 0)",
    `create table if not exists ${names.inbox} (
consumer text not null,
handler text not null,
source text not null,
message_id text not null,
handled_at integer not null,
primary key (consumer, handler, source, message_id)
) without rowid`,
    `create index if not exists ${names.inbox}_handled_at on ${names.inbox} (handled_at)`,
    // a row is a handler at work, or one that was when its process died
    `create table if not exists ${names.inboxStart} (
consumer text not null,
source text not null,
message_id text not null,
handler text not null,
incarnation text not null,
is_alone integer not null,
deaths integer not null,
started_at integer not null,
primary key (consumer, source, message_id, handler)
) without rowid`
  ]
}, {
  id: 2,
  name: "create_idempotency",
  statements: [
    `create table if not exists ${names.idempotency} (
scope text not null,
idempotency_key text not null,
fingerprint text not null,
outcome text,
body text,
claimed_at integer not null,
primary key (scope, idempotency_key)
) without rowid`,
    `create index if not exists ${names.idempotency}_claimed_at on ${names.idempotency} (claimed_at)`
  ]
}]
