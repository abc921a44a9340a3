import { Event, type Message, Outbox, OutboxStorage, Transaction } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"

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

export class Noted extends Event.notification<Noted>()("noted", {
  topic: "notes",
  payload: { n: Schema.Number },
  key: (event) => String(event.n)
}) {}

/** On a storage of 4096 buckets: more than one statement can read from. */
export const manyBuckets = Effect.gen(function*() {
  const storage = yield* OutboxStorage.OutboxStorage
  yield* Transaction.run(
    Effect.forEach(Array.from({ length: 600 }, (_, n) => n), (n) => Outbox.add(new Noted({ n })))
  )
  const from = Array.from({ length: 4096 }, (_, bucket) => ({ bucket }))
  const entries = yield* storage.read({ from, exceptTopics: [], limit: 500, maxBytes: 1e9 })
  const sequences = entries.map(({ sequence }) => sequence)
  assert.strictEqual(sequences.length, 500)
  assert.isAbove(new Set(entries.map(({ bucket }) => bucket)).size, 300)
  assert.deepStrictEqual(sequences, [...sequences].sort((a, b) => a < b ? -1 : 1))
  assert.strictEqual(sequences.at(-1)! - sequences[0]!, 499n)
  const size = entries[0]!.message.payload.length
  const few = yield* storage.read({ from, exceptTopics: [], limit: 500, maxBytes: size * 3 })
  assert.deepStrictEqual(few.map(({ sequence }) => sequence), sequences.slice(0, 3))
  const { Dead } = OutboxStorage.Settlement
  yield* storage.settle(
    0n,
    sequences.map((sequence) => Dead({ sequence, attempts: 1, policy: "halt", reason: "no" }))
  )
  const letters = yield* storage.deadLetters({ limit: 100, after: sequences[9]! })
  assert.deepStrictEqual(letters.map(({ sequence }) => sequence), sequences.slice(10, 110))
  assert.strictEqual((yield* storage.waiting(from.map(({ bucket }) => bucket))).length, 500)
  assert.strictEqual((yield* storage.statistics).dead, 500)
})
