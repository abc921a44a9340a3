import { SqlStorage } from "@effect-cqrs/sql"
import { OutboxStorageSuite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { tables } from "./outbox.ts"
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
})
