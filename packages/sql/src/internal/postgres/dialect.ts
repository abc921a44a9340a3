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

export const postgres: Dialect = {
  server: { version: "current_setting('server_version')", productOf: () => "PostgreSQL" },
  transaction,
  migrations,
  append,
  migrationsTable: (name) =>
    `create table if not exists ${name} (
migration_id integer primary key,
created_at timestamp with time zone not null default now(),
name text not null
)`,
  unquoted: (name) => name.toLowerCase(),
  outbox,
  deadLetters,
  lease,
  inbox,
  idempotency,
  writesWhole: false,
  migratesWhole: false,
  settings: {
    remember: (names, name, value) => [
      `insert into ${names.settings} (name, value) values ($1, $2) on conflict (name) do nothing`,
      [name, value]
    ],
    read: (names, name) => [`select value from ${names.settings} where name = $1`, [name]],
    increment: (names, name) => [
      `update ${names.settings} set value = (value::bigint + 1)::text where name = $1`,
      [name]
    ]
  },
  existing: (tables) => [
    "select name from unnest($1::text[]) name where to_regclass(name) is not null",
    [tables]
  ],
  indexes: (tables) => [
    "select i.indexrelid::regclass::text as name from pg_index i " +
    "where i.indrelid in (select to_regclass(name) from unnest($1::text[]) name)",
    [tables]
  ],
  affected: (raw) => (raw as { readonly rowCount: number | null }).rowCount ?? 0,
  isMissingTable: (error) => ["42P01", "42703"].includes(codeOf(error)),
  isDenied: (error) => ["42501", "28000", "28P01", "3D000"].includes(codeOf(error)),
  isTooLong: (error) => ["22001", "22021", "22P05", "54000"].includes(codeOf(error))
}
