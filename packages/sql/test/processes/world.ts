import { OutboxStorage, type Transactor } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import * as Database from "./database.ts"
import { type Child, eventually, heard, start } from "./harness.ts"
import { type History, judge, type Violation } from "./history.ts"
import { Changed, type Relay, type Target, type Writer } from "./protocol.ts"
import { follow, type Recorded } from "./recording.ts"

/** How many buckets there are. */
export const buckets = 16

/** An account for each bucket: relays with as many buckets have as much to do. */
export const accounts: ReadonlyArray<string> = Array.from({ length: buckets }, (_, bucket) => {
  for (let n = 0;; n++) if (bucketOf(`account ${n}`) === bucket) return `account ${n}`
})

export function bucketOf(key: string): number {
  return OutboxStorage.bucketOf({ topic: Changed.topic, key, id: "" }, buckets)
}

type Services = SqlClient.SqlClient | OutboxStorage.OutboxStorage | Transactor.Transactor

/** A database, the processes on it, and what they have done to it. */
export interface World {
  /** The database, as this process sees it. */
  readonly services: Context.Context<Services>
  readonly writer: (name: string, options?: Partial<Writer>) => Effect.Effect<Child, never, Scope.Scope>
  readonly relay: (name: string, options?: Partial<Relay>) => Effect.Effect<Child, never, Scope.Scope>
  /** What the brokers have taken so far. */
  readonly deliveries: Effect.Effect<ReadonlyArray<Recorded>>
  readonly statistics: Effect.Effect<OutboxStorage.Statistics>
  /** Waits until nothing is pending, and fails with a sentence about the first promise that is broken. */
  readonly judged: (what: Pick<History, "disturbed" | "discarded" | "shared">) => Effect.Effect<History, unknown>
}

/** A new world on a new database. */
export const create = (program: string, target: Target, name: string): Effect.Effect<World, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const services = yield* Layer.build(
      SqlStorage.layer({ migrate: true, buckets }).pipe(Layer.provideMerge(Database.layerClient(target, 3)))
    )
    const sql = Context.get(services, SqlClient.SqlClient)
    const storage = Context.get(services, OutboxStorage.OutboxStorage)
    yield* Database.createLedger(sql, accounts)
    const deliveries = Effect.sync(follow(target.deliveries))
    const statistics = Effect.orDie(storage.statistics)

    const judged: World["judged"] = (what) =>
      Effect.gen(function*() {
        const stuck = yield* Effect.flip(Effect.zipRight(
          eventually("nothing is pending", Effect.map(statistics, ({ pending }) => pending === 0 ? true : undefined)),
          Effect.fail(undefined)
        ))
        const history: History = {
          ledger: yield* Database.ledger(sql),
          deliveries: yield* deliveries,
          deadLetters: (yield* storage.deadLetters({ limit: 100 })).map(({ message: { id }, reason }) => ({
            id,
            reason
          })),
          ...what
        }
        const faults = [
          ...(stuck === undefined ? [] : [`stuck: ${stuck.message}, ${(yield* statistics).pending} are`]),
          ...summary(judge(history))
        ]
        if (faults.length > 0) assert.fail([...faults, `The history is in ${kept(name, history)}`].join("\n"))
        return history
      })

    return {
      services,
      writer: (name, options) => start(program, target, { _tag: "Writer", name, accounts, pauseMillis: 5, ...options }),
      relay: (name, options) =>
        start(program, target, {
          _tag: "Relay",
          name,
          leaseMillis: 10_000,
          pollMillis: 200,
          batchSize: 50,
          keeps: false,
          ...options
        }),
      deliveries,
      statistics,
      judged
    }
  })

/** Relays that have their fair shares, all different. */
export const shared = (relays: ReadonlyArray<Child>) =>
  Effect.gen(function*() {
    const holdings = yield* Effect.forEach(
      relays,
      (relay) => heard(relay, "Holding", (holding) => holding.buckets.length === buckets / relays.length),
      { concurrency: "unbounded" }
    )
    assert.strictEqual(new Set(holdings.flatMap((holding) => holding.buckets)).size, buckets)
    return holdings
  })

/** A few faults of each kind, and how many there are of it. */
const summary = (violations: ReadonlyArray<Violation>): ReadonlyArray<string> =>
  [...new Set(violations.map(({ rule }) => rule))].flatMap((rule) => {
    const some = violations.filter((one) => one.rule === rule)
    return [
      ...some.slice(0, 3).map(({ message }) => `${rule}: ${message}`),
      ...(some.length > 3 ? [`${rule}: and ${some.length - 3} more`] : [])
    ]
  })

/** Writes a history down, for somebody to look at. */
const kept = (name: string, history: History): string => {
  const folder = path.join(tmpdir(), "effect-cqrs-histories")
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, `${name.replace(/\W+/g, "-")}-${process.pid}.json`)
  writeFileSync(file, JSON.stringify(history, undefined, 1))
  return file
}
