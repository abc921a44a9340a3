import type { Dialect } from "../dialect.ts"
import { codeOf } from "../errors.ts"
import { append } from "./append.ts"
import { deadLetters } from "./deadLetters.ts"
import { idempotency } from "./idempotency.ts"
import { inbox } from "./inbox.ts"
import { lease } from "./lease.ts"
import { migrations } from "./migrations.ts"
import { outbox } from "./outbox.ts"
import { transaction } from "./transaction.ts"

export const mysql: Dialect = {
  server: { version: "version()", productOf: (version) => /mariadb/i.test(version) ? "MariaDB" : "MySQL" },
  transaction,
  migrations,
  append,
  migrationsTable: (name) =>
    `create table if not exists ${name} (
migration_id integer unsigned not null,
created_at timestamp not null default current_timestamp,
name varchar(255) not null,
primary key (migration_id)
)`,
  unquoted: (name) => name,
  outbox,
  deadLetters,
  lease,
  inbox,
  idempotency,
  writesWhole: false,
  migratesWhole: false,
  settings: {
    remember: (
      names,
      name,
      value
    ) => [`insert ignore into ${names.settings} (name, value) values (?, ?)`, [name, value]],
    read: (names, name) => [`select value from ${names.settings} where name = ?`, [name]],
    increment: (names, name) => [
      `update ${names.settings} set value = cast(cast(value as signed) + 1 as char) where name = ?`,
      [name]
    ]
  },
  existing: (tables) => [
    "select t.table_name as name from information_schema.tables t " +
    `where t.table_schema = database() and t.table_name in (${tables.map(() => "?").join(", ")})`,
    tables
  ],
  indexes: (tables) => [
    "select distinct s.index_name as name from information_schema.statistics s " +
    `where s.table_schema = database() and s.table_name in (${tables.map(() => "?").join(", ")})`,
    tables
  ],
  affected: (raw) => {
    const header: unknown = Array.isArray(raw) ? raw.at(-1) : raw
    return (header as { readonly affectedRows: number }).affectedRows
  },
  isMissingTable: (error) => ["ER_NO_SUCH_TABLE", "ER_BAD_FIELD_ERROR"].includes(codeOf(error)),
  isDenied: (error) =>
    ["ER_ACCESS_DENIED_ERROR", "ER_DBACCESS_DENIED_ERROR", "ER_TABLEACCESS_DENIED_ERROR", "ER_BAD_DB_ERROR"]
      .includes(codeOf(error)),
  isTooLong: (error) =>
    ["ER_DATA_TOO_LONG", "ER_TRUNCATED_WRONG_VALUE_FOR_FIELD", "ER_NET_PACKET_TOO_LARGE"].includes(codeOf(error))
}
