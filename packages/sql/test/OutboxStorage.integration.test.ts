import { Outbox, OutboxStorage, Transaction } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { OutboxStorageSuite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { manyBuckets, Noted, tables } from "./outbox.ts"
import { onEachServer, postgres } from "./servers.ts"

const layer = SqlStorage.layer({ migrate: true })

const refuse = (isPostgres: boolean, sequence: bigint) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    isPostgres
      ? sql.unsafe(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$; " +
          `create trigger refuse before update on cqrs_outbox for each row when (old.sequence = ${sequence}) ` +
          "execute function refuse()"
      )
      : sql.unsafe(
        "create trigger refuse before update on cqrs_outbox for each row " +
          `begin if old.sequence = ${sequence} then signal sqlstate '45000' set message_text = 'refused'; end if; end`
      ).unprepared)

/** Makes a victim of all but every fourth update of the outbox. What counts them is not rolled back. */
const victims = (isPostgres: boolean) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    isPostgres
      ? sql.unsafe(
        "create sequence tries; create function victim() returns trigger language plpgsql as $$ begin " +
          "if nextval('tries') % 4 <> 0 then raise exception 'deadlock' using errcode = '40P01'; end if; " +
          "return new; end $$; " +
          "create trigger victim before update on cqrs_outbox for each row execute function victim()"
      )
      : sql.unsafe(
        "create table tries (n int) engine = MyISAM; insert into tries values (0); " +
          "create trigger victim before update on cqrs_outbox for each row begin update tries set n = n + 1; " +
          "if (select n from tries) % 4 <> 0 then " +
          "signal sqlstate '40001' set mysql_errno = 1213, message_text = 'deadlock'; end if; end"
      ).unprepared)

onEachServer((server, url) => {
  OutboxStorageSuite.suite(server.name, {
    describe,
    it,
    layer: () => Layer.provideMerge(layer, server.layerNew(url)),
    reopen: () => Effect.map(server.reopen(url), (client) => Layer.provide(layer, client)),
    concurrentWriters: true,
    refuseChange: (sequence) => refuse(server === postgres, sequence),
    ...tables,
    bulk: { count: 1_000_000, insert: tables.bulk },
    largestPayload: 8 * 1024 * 1024
  })

  it.scopedLive(
    "4096 buckets are read and listed in order, in several statements if need be",
    () =>
      Effect.provide(
        manyBuckets,
        Layer.provideMerge(SqlStorage.layer({ migrate: true, buckets: 4096 }), server.layerNew(url))
      ),
    60_000
  )

  it.scopedLive("a settlement that is a deadlock's victim is repeated, and the relay does not notice", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* Transaction.run(Effect.forEach([1, 2, 3, 4], (n) => Outbox.add(new Noted({ n }))))
      const from = Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket }))
      const read = Effect.map(
        storage.read({ from, exceptTopics: [], limit: 10, maxBytes: 1e6 }),
        (entries) => entries.map(({ sequence }) => sequence)
      )
      const sequences = yield* read
      yield* victims(server === postgres)
      const { Dead, Delivered } = OutboxStorage.Settlement
      assert.isTrue(yield* storage.settle(0n, [Delivered({ sequence: sequences[0]! })], { keep: true }))
      assert.deepStrictEqual(yield* read, sequences.slice(1))
      yield* storage.settle(0n, [
        Delivered({ sequence: sequences[1]! }),
        Dead({ sequence: sequences[2]!, attempts: 1, policy: "skip", reason: "no" })
      ])
      assert.deepStrictEqual(yield* read, sequences.slice(3))
      assert.strictEqual(yield* storage.redrive([sequences[2]!]), 1)
      assert.deepStrictEqual(yield* read, sequences.slice(2))
      const sql = yield* SqlClient.SqlClient
      const [tries] = yield* sql.unsafe<{ readonly n: unknown }>(
        server === postgres ? "select last_value as n from tries" : "select n from tries"
      )
      // of each four updates three were refused
      assert.isAtLeast(Number(tries!.n), 9)
    }).pipe(Effect.provide(Layer.provideMerge(layer, server.layerNew(url)))))
})
