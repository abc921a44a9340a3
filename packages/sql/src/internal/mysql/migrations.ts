import type { Dialect } from "../dialect.ts"
import { slots } from "../keyLock.ts"

const table = "engine = InnoDB default charset = utf8mb4 collate = utf8mb4_bin"

/** Thrice these are the slots of the key locks: 0 to 4095. */
const digits = Array.from({ length: Math.cbrt(slots) }, (_, n) => `select ${n} as n`)

export const migrations: Dialect["migrations"] = (names) => [{
  id: 1,
  name: "create_tables",
  statements: [
    `create table if not exists ${names.settings} (name varchar(64) not null primary key, value text not null) ${table}`,
    `create table if not exists ${names.outbox} (
sequence bigint not null auto_increment primary key,
bucket int not null,
topic_hash int not null,
key_hash bigint not null,
payload_bytes int not null,
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
index ${names.outbox}_bucket (bucket, sequence, topic_hash, key_hash, payload_bytes)
) ${table}`,
    // an id never comes back, and so it is the fencing token
    `create table if not exists ${names.relay} ` +
    `(id bigint not null auto_increment primary key, expires_at bigint not null, suspended mediumtext) ${table}`,
    `create table if not exists ${names.lease} (bucket int not null primary key, relay_id bigint, ` +
    `deaths int not null default 0, suspect bigint, suspect_deaths int not null default 0) ${table}`,
    `create table if not exists ${names.keyLock} (slot int not null primary key) ${table}`,
    // all there from the start: a row that is missing would be locked as a gap
    `insert ignore into ${names.keyLock} (slot) select a.n + ${digits.length} * (b.n + ${digits.length} * c.n) ` +
    `from ${["a", "b", "c"].map((name) => `(${digits.join(" union all ")}) ${name}`).join(", ")}`,
    // bytes: a collation would take one id for another
    `create table if not exists ${names.inbox} (
consumer varbinary(255) not null,
handler varbinary(255) not null,
source varbinary(1024) not null,
message_id varbinary(255) not null,
handled_at bigint not null,
primary key (consumer, handler, source, message_id),
index ${names.inbox}_handled_at (handled_at)
) ${table}`,
    // a row is a handler at work, or one that was when its process died
    `create table if not exists ${names.inboxStart} (
consumer varbinary(255) not null,
source varbinary(1024) not null,
message_id varbinary(255) not null,
handler varbinary(255) not null,
incarnation varchar(255) not null,
is_alone tinyint not null,
deaths int not null,
started_at bigint not null,
primary key (consumer, source, message_id, handler)
) ${table}`
  ]
}, {
  id: 2,
  name: "create_idempotency",
  statements: [
    // bytes: a collation would take one key for another
    `create table if not exists ${names.idempotency} (
scope varbinary(255) not null,
idempotency_key varbinary(255) not null,
fingerprint varchar(64) not null,
outcome varchar(8),
body longtext,
claimed_at bigint not null,
primary key (scope, idempotency_key),
index ${names.idempotency}_claimed_at (claimed_at)
) ${table}`
  ]
}]
