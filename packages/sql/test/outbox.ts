import { type Message, OutboxStorage } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"

const withSql = <A, E>(use: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
  Effect.flatMap(SqlClient.SqlClient, use)

/** What a hand at the tables of the outbox can do. */
export const tables = {
  move: (sequence: bigint, bucket: number) =>
    withSql((sql) => sql.unsafe(`update cqrs_outbox set bucket = ${bucket} where sequence = ${sequence}`)),
  age: (minutes: number) =>
    withSql((sql) => sql.unsafe(`update cqrs_outbox set bucket = bucket + ${minutes} where bucket <= -1000000`)),
  /** Many rows like one message, in one statement. */
  bulk: (message: Message.Message, count: number) =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { append, buckets } = yield* OutboxStorage.OutboxStorage
      yield* append([message])
      const columns =
        "bucket, topic_hash, key_hash, payload_bytes, id, name, topic, partition_key, attributes, headers, " +
        "content_encoding, correlation_id, payload, created_at"
      const bucket = OutboxStorage.bucketOf(message, buckets)
      const series = sql.onDialectOrElse({
        mysql: () => `(select 1 from ${digits} limit ${count - 1}) n`,
        pg: () => `generate_series(1, ${count - 1}) n`,
        orElse: () =>
          `(with recursive n (i) as (select 1 union all select i + 1 from n where i < ${count - 1}) select i from n) n`
      })
      yield* sql.unsafe(
        `insert into cqrs_outbox (${columns}) select ${columns} from ` +
          `(select * from cqrs_outbox where bucket = ${bucket} order by sequence desc limit 1) one, ${series}`
      )
    })
}

/** A million rows, from six digits each. */
const digits = Array.from(
  "abcdef",
  (name) => `(${Array.from({ length: 10 }, (_, digit) => `select ${digit} as d`).join(" union all ")}) ${name}`
).join(", ")
