import type { Dialect } from "../dialect.ts"
import { codeOf } from "../errors.ts"
import { inbox } from "./inbox.ts"
import { lease } from "./lease.ts"
import { migrations } from "./migrations.ts"
import { outbox } from "./outbox.ts"
import { transaction } from "./transaction.ts"

export const postgres: Dialect = {
  transaction,
  migrations,
  outbox,
  lease,
  inbox,
  writesWhole: false,
  migratesWhole: false,
  settings: {
    remember: (names, name, value) => [
      `insert into ${names.settings} (name, value) values ($1, $2) on conflict (name) do nothing`,
      [name, value]
    ]
  },
  existing: (tables) => [
    "select name from unnest($1::text[]) name where to_regclass(name) is not null",
    [tables]
  ],
  affected: (raw) => (raw as { readonly rowCount: number | null }).rowCount ?? 0,
  isMissingTable: (error) => ["42P01", "42703"].includes(codeOf(error)),
  isTooLong: (error) => ["22001", "22021", "22P05", "54000"].includes(codeOf(error))
}
