import type { Dialect } from "../dialect.ts"

const table = "engine = InnoDB default charset = utf8mb4 collate = utf8mb4_bin"

export const migrations: Dialect["migrations"] = (names) => [{
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
}]
