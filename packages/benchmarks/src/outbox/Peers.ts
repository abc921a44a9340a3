/**
 * Libraries that do the same job: a backlog on PostgreSQL goes to a handler that returns at once.
 */
import * as PersistedQueue from "@effect/experimental/PersistedQueue"
import { SqlClient } from "@effect/sql/SqlClient"
import * as SqlPersistedQueue from "@effect/sql/SqlPersistedQueue"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import PgBoss from "pg-boss"
import { type Database, postgres } from "../Database.ts"
import { Run, WrongResult } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Ledger from "./Ledger.ts"
import { note } from "./Noted.ts"
import * as Program from "./Program.ts"

export const peers: Measurement = {
  name: "peers",
  needs: [postgres.variable],
  rounds: { full: 3, quick: 2 },
  rows: [
    {
      id: "pg-boss/postgres",
      title: "drain of 50,000, against 4 workers of pg-boss",
      unit: "rows/s",
      subject: { contender: "relay", figure: "rate" },
      twin: { contender: "pg-boss", figure: "rate" },
      target: { atLeast: 3 }
    },
    {
      id: "pg-boss-1/postgres",
      title: "  against one worker of pg-boss",
      unit: "rows/s",
      subject: { contender: "relay", figure: "rate" },
      twin: { contender: "pg-boss, one worker", figure: "rate" }
    },
    {
      id: "persisted-queue/postgres",
      title: "  against @effect/sql's SqlPersistedQueue",
      unit: "rows/s",
      subject: { contender: "relay", figure: "rate" },
      twin: { contender: "SqlPersistedQueue", figure: "rate" },
      target: { atLeast: 3 }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count, fault } = yield* Run
    const jobs = count(50_000)
    const { context, database } = yield* Program.make(postgres, 10)
    const provide = Effect.provide(context)
    const backlog = yield* provide(Backlog.make(postgres, "bench_peers", { count: jobs, keys: 1000 }))

    const relay: Round = Effect.gen(function*() {
      yield* Backlog.clear(postgres)
      const total = yield* Backlog.fill(postgres, backlog, 1)
      const ledger = Ledger.make({ versions: backlog.versions, fault })
      const relay = yield* Program.relay(ledger)
      const [millis] = yield* Program.timed(relay.drain)
      yield* ledger.check(total)
      return { rate: total / millis * 1000 }
    }).pipe(Effect.scoped, provide)

    const boss = yield* pgBoss(database)
    return {
      relay,
      "pg-boss": provide(bossRound(boss, jobs, workers)),
      "pg-boss, one worker": provide(bossRound(boss, jobs, 1)),
      "SqlPersistedQueue": provide(queueRound(jobs))
    }
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const queue = "bench"

/** As many at a time as the relay takes. */
const batchSize = 500

/** More of them were no quicker. */
const workers = 4

const pgBoss = (database: Database) =>
  Effect.acquireRelease(
    Effect.tryPromise(async () => {
      const boss = new PgBoss({
        connectionString: Redacted.value(database.url),
        max: workers,
        supervise: false,
        schedule: false
      })
      boss.on("error", () => {})
      await boss.start()
      await boss.createQueue(queue)
      return boss
    }),
    (boss) => Effect.promise(() => boss.stop({ graceful: false, wait: true }))
  )

/** Jobs in batches, each completed as a whole: what its documentation recommends for throughput. */
const bossRound = (boss: PgBoss, jobs: number, workers: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* sql.unsafe("truncate table pgboss.job")
    for (let at = 0; at < jobs; at += batchSize) {
      yield* Effect.tryPromise(() =>
        boss.insert(Array.from({ length: Math.min(batchSize, jobs - at) }, (_, index) => {
          const { key, text, version } = note("key", at + index)
          return { name: queue, data: { key, text, version } }
        }))
      )
    }
    yield* sql.unsafe("vacuum analyze pgboss.job")
    let done = 0
    const worker = async () => {
      for (;;) {
        const fetched = await boss.fetch(queue, { batchSize })
        if (fetched.length === 0) return
        await boss.complete(queue, fetched.map(({ id }) => id))
        done += fetched.length
      }
    }
    const [millis] = yield* Program.timed(
      Effect.tryPromise(() => Promise.all(Array.from({ length: workers }, worker)))
    )
    if (done !== jobs) return yield* new WrongResult({ message: `pg-boss has completed ${done} jobs of ${jobs}` })
    return { rate: jobs / millis * 1000 }
  })

const Job = Schema.Struct({ version: Schema.Number, key: Schema.String, text: Schema.String })

/** More of them were no quicker. */
const takers = 200

const queueRound = (jobs: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* sql.unsafe("truncate table effect_queue")
    // what `offer` writes, without a round trip for each
    for (let at = 0; at < jobs; at += batchSize) {
      const rows = Array.from({ length: Math.min(batchSize, jobs - at) }, (_, index) => {
        const { key, text, version } = note("key", at + index)
        return JSON.stringify({ version, key, text })
      })
      yield* sql.unsafe(
        "insert into effect_queue (id, queue_name, element, completed, attempts, created_at, updated_at) " +
          "select gen_random_uuid()::text, $1, element, false, 0, now(), now() from unnest($2::text[]) element",
        [queue, rows]
      )
    }
    yield* sql.unsafe("vacuum analyze effect_queue")
    const jobsQueue = yield* PersistedQueue.make({ name: queue, schema: Job })
    const finished = yield* Deferred.make<void>()
    let done = 0
    const take = jobsQueue.take(() =>
      Effect.suspend(() => ++done === jobs ? Deferred.succeed(finished, undefined) : Effect.void)
    )
    const [millis] = yield* Program.timed(Effect.gen(function*() {
      yield* Effect.forEach(
        Array.from({ length: takers }),
        () => Effect.forkScoped(Effect.forever(take)),
        { discard: true }
      )
      yield* Deferred.await(finished)
    }))
    return { rate: jobs / millis * 1000 }
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.fresh(Layer.provide(PersistedQueue.layer, SqlPersistedQueue.layerStore())))
  )
