import type { Dialect } from "../dialect.ts"
import { textOf } from "../errors.ts"
import { append } from "./append.ts"
import { deadLetters } from "./deadLetters.ts"
import { idempotency } from "./idempotency.ts"
import { inbox } from "./inbox.ts"
import { lease } from "./lease.ts"
import { migrations } from "./migrations.ts"
import { outbox } from "./outbox.ts"
import { transaction } from "./transaction.ts"

export const sqlite: Dialect = {
  server: { version: "sqlite_version()", productOf: () => "SQLite" },
  transaction,
  migrations,
  append,
  migrationsTable: (name) =>
    `create table if not exists ${name} (
migration_id integer primary key not null,
created_at datetime not null default current_timestamp,
name varchar(255) not null
)`,
  unquoted: (name) => name,
  outbox,
  deadLetters,
  lease,
  inbox,
  idempotency,
  writesWhole: true,
  migratesWhole: true,
  settings: {
    remember: (names, name, value) => [
      `insert into ${names.settings} (name, value) values (?, ?) on conflict (name) do nothing`,
      [name, value]
    ],
    read: (names, name) => [`select value from ${names.settings} where name = ?`, [name]],
    increment: (names, name) => [
      `update ${names.settings} set value = cast(cast(value as integer) + 1 as text) where name = ?`,
      [name]
    ]
  },
  existing: (tables) => [
    "select value as name from json_each(?) where lower(value) in " +
    "(select lower(name) from sqlite_schema where type = 'table')",
    [JSON.stringify(tables)]
  ],
  indexes: (tables) => [
    "select name from sqlite_schema where type = 'index' and lower(tbl_name) in (select lower(value) from json_each(?))",
    [JSON.stringify(tables)]
  ],
  affected: (raw) => (raw as { readonly changes: number }).changes,
  isMissingTable: (error) => /no such (table|column)/i.test(textOf(error)),
  isDenied: (error) => /readonly database|unable to open/i.test(textOf(error)),
  isTooLong: () => false
}
