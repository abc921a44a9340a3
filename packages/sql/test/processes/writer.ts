import { Outbox, Transaction } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { Data, Deferred, Effect, Layer, Random, Schedule } from "effect"
import * as Database from "./database.ts"
import { listen, say } from "./parent.ts"
import { Changed, type Target, type Writer } from "./protocol.ts"

/** A transaction that is rolled back on purpose. */
class Abandoned extends Data.TaggedError("Abandoned") {}

/** How many of a hundred transactions are of this kind. */
const share = { two: 60, nested: 25, abandoned: 15 }

const happens = (percent: number) => Effect.map(Random.nextIntBetween(0, 100), (n) => n < percent)

const raise = (accounts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const key = accounts[yield* Random.nextIntBetween(0, accounts.length)]!
    yield* Database.raise(sql, key, yield* Random.nextIntBetween(1, 4), (version) =>
      Outbox.add(new Changed({ key, version, isDeadly: false })))
  })

/** One or two accounts, in any order, with a nested run that fails in between, and sometimes all for nothing. */
const change = (accounts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    yield* raise(accounts)
    if (yield* happens(share.nested)) {
      yield* Effect.catchTag(
        Transaction.run(Effect.zipRight(raise(accounts), new Abandoned())),
        "Abandoned",
        () => Effect.void
      )
    }
    if (yield* happens(share.two)) yield* raise(accounts)
    if (yield* happens(share.abandoned)) return yield* new Abandoned()
  })

export const writer = (target: Target, role: Writer) =>
  Effect.gen(function*() {
    const go = yield* Deferred.make<void>()
    let isStopped = false
    const done = { committed: 0, abandoned: 0, repeated: 0 }
    const failures: Array<string> = []
    yield* listen(({ _tag }) => {
      if (_tag === "Go") Deferred.unsafeDone(go, Effect.void)
      if (_tag === "Stop") isStopped = true
    })
    say({ _tag: "Ready" })
    yield* Deferred.await(go)
    const retry = Schedule.spaced("5 millis").pipe(
      Schedule.jittered,
      Schedule.intersect(Schedule.recurs(100)),
      Schedule.tapInput((error: unknown) =>
        Effect.sync(() => {
          if (!(error instanceof Abandoned)) done.repeated++
        })
      )
    )
    const transaction = Effect.matchEffect(Transaction.run(change(role.accounts), { retry }), {
      onSuccess: () => Effect.sync(() => done.committed++),
      onFailure: (error) =>
        Effect.sync(() => {
          if (error._tag === "Abandoned") done.abandoned++
          else failures.push(String(error))
        })
    })
    yield* Effect.repeat(Effect.zipLeft(transaction, Effect.sleep(role.pauseMillis)), { until: () => isStopped })
    say({ _tag: "Done", ...done, failures: failures.slice(0, 5) })
  }).pipe(
    Effect.provide(Layer.provideMerge(SqlStorage.layer(), Database.layerClient(target, 2)))
  )
