import { SqlStorage } from "@effect-cqrs/sql"
import { OutboxStorageSuite, Suite } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { manyBuckets, tables } from "./outbox.ts"
import { folder, layerFile, layerInMemory } from "./sqlite.ts"

const layer = SqlStorage.layer({ migrate: true })

const facts = {
  describe,
  it,
  concurrentWriters: Suite.unsupported("SQLite has one writer at a time"),
  refuseChange: (sequence: bigint) =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      sql.unsafe(
        `create trigger refuse before update on cqrs_outbox when old.sequence = ${sequence} ` +
          "begin select raise(abort, 'refused'); end"
      )),
  ...tables,
  bulk: { count: 200_000, insert: tables.bulk },
  largestPayload: 8 * 1024 * 1024
}

OutboxStorageSuite.suite("SQLite in a file", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerFile),
  reopen: (name) =>
    Effect.map(
      folder,
      (path) => Layer.provide(layer, Layer.suspend(() => SqliteClient.layer({ filename: `${path}/${name}.db` })))
    )
})

OutboxStorageSuite.suite("SQLite in memory", {
  ...facts,
  layer: () => Layer.provideMerge(layer, layerInMemory),
  reopen: Suite.unsupported("a database in memory goes with its connection")
})

it.scopedLive(
  "SQLite: 4096 buckets are read and listed in order, in several statements",
  () =>
    Effect.provide(manyBuckets, Layer.provideMerge(SqlStorage.layer({ migrate: true, buckets: 4096 }), layerInMemory)),
  30_000
)
