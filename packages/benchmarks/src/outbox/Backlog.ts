/**
 * Outboxes full of events, as `Outbox.addAll` writes them.
 */
import * as Outbox from "@effect-cqrs/core/Outbox"
import type { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import { Run, WrongResult } from "../Run.ts"
import { note } from "./Noted.ts"

export const table = "cqrs_outbox"

/** Events that were once added and committed, kept aside to fill the outbox with. */
export interface Backlog {
  readonly name: string
  readonly count: number
  /** The ledger's option: the events of a key begin again after so many. */
  readonly versions: number
}

/** Adds events of as many keys in turn, and sets them aside. */
export const make = (
  server: Server,
  name: string,
  options: { readonly count: number; readonly keys: number; readonly bytes?: number | undefined }
): Effect.Effect<Backlog, unknown, SqlClient | OutboxStorage | Transactor | Run> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const { status } = yield* Run
    // with few of a key, nobody would notice that their order is wrong
    const keys = Math.max(1, Math.min(options.keys, Math.floor(options.count / 20)))
    const versions = Math.floor(options.count / keys)
    const count = keys * versions
    yield* clear(server)
    for (let at = 0; at < count; at += perTransaction) {
      const size = Math.min(perTransaction, count - at)
      yield* Transaction.run(Outbox.addAll(
        Array.from(
          { length: size },
          (_, index) => note(`key ${(at + index) % keys}`, Math.floor((at + index) / keys), options.bytes)
        )
      ))
      if (at % 20_000 === 0) yield* status(`${server.id}: adds ${at} of ${count} events`)
    }
    yield* sql.unsafe(`create table ${name} as select * from ${table}`)
    yield* clear(server)
    return { name, count, versions }
  })

/** Puts a backlog into the outbox, once or several times in a row; only ids and sequences are new. */
export const fill = (
  server: Server,
  backlog: Backlog,
  times: number
): Effect.Effect<number, unknown, SqlClient | Run> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const { status } = yield* Run
    const columns = (yield* sql.unsafe<{ readonly name: string }>(server.columns(table))).map(({ name }) => name)
    const values = columns.map((name) => name === "id" ? server.newId : name)
    for (let time = 0; time < times; time++) {
      yield* status(`${server.id}: fills the outbox, ${time * backlog.count} of ${times * backlog.count}`)
      yield* sql.unsafe(
        `insert into ${table} (${columns.join(", ")}) select ${
          values.join(", ")
        } from ${backlog.name} order by sequence`
      )
    }
    yield* server.rest(table)
    return times * backlog.count
  })

/** Empties the outbox. Sequences go on: they never come back. */
export const clear = (server: Server): Effect.Effect<void, unknown, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [row] = yield* sql.unsafe<{ readonly next: number | string }>(
      `select coalesce(max(sequence), 0) + 1 as next from ${table}`
    )
    yield* sql.unsafe(`truncate table ${table}`)
    if (server.id === "mariadb") yield* sql.unsafe(`alter table ${table} auto_increment = ${row!.next}`)
    yield* server.rest(table)
  })

/** Fails if there are not as many rows in the outbox. */
export const left = (count: number): Effect.Effect<void, unknown, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [row] = yield* sql.unsafe<{ readonly found: number | string }>(`select count(*) as found from ${table}`)
    if (Number(row!.found) !== count) {
      return yield* new WrongResult({ message: `${row!.found} rows are left in the outbox, where ${count} should be` })
    }
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const perTransaction = 1_000
