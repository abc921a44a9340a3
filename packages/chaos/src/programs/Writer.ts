/** Transactions one after the other: some with two accounts, which meet in deadlocks, some nested, some given up. */
import { Transaction } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { Data, Effect, Random, Schedule } from "effect"
import { accounts } from "../Domain.ts"
import * as Truth from "../Truth.ts"
import { say } from "./Parts.ts"

/** A transaction that is rolled back on purpose. */
class Abandoned extends Data.TaggedError("Abandoned") {}

/** How many of a hundred transactions are of this kind. */
const share = { two: 50, nested: 20, savepoint: 10, abandoned: 15 }

/** How many are under way at a time. */
const concurrency = 2

/** Between two transactions, in milliseconds. */
const pause = { least: 40, most: 160 }

const happens = (percent: number) => Effect.map(Random.nextIntBetween(0, 100), (n) => n < percent)

const raiseAny = Effect.flatMap(
  Random.nextIntBetween(0, accounts.length),
  (n) => Truth.raise(accounts[n]!, "plain")
)

/** A part of a transaction that is given up, and the rest goes on. */
const inVain = <E, R>(part: Effect.Effect<unknown, E | Abandoned, R>) =>
  Effect.catchIf(part, (error): error is Abandoned => error instanceof Abandoned, () => Effect.void)

const change = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* raiseAny
  if (yield* happens(share.nested)) yield* inVain(Transaction.run(Effect.zipRight(raiseAny, new Abandoned())))
  if (yield* happens(share.savepoint)) yield* inVain(sql.withTransaction(Effect.zipRight(raiseAny, new Abandoned())))
  if (yield* happens(share.two)) yield* raiseAny
  if (yield* happens(share.abandoned)) return yield* new Abandoned()
})

export const writer = (isStopped: () => boolean) =>
  Effect.gen(function*() {
    const written = { committed: 0, abandoned: 0, repeated: 0, failed: 0, unknown: 0 }
    const retry = Schedule.spaced("5 millis").pipe(
      Schedule.jittered,
      Schedule.intersect(Schedule.recurs(100)),
      Schedule.tapInput((error: unknown) =>
        Effect.sync(() => {
          if (!(error instanceof Abandoned)) written.repeated++
        })
      )
    )
    const transaction = Effect.matchCauseEffect(Transaction.run(change, { retry }), {
      onSuccess: () => Effect.sync(() => written.committed++),
      onFailure: (cause) => {
        const error = cause._tag === "Fail" ? cause.error : undefined
        if (error?._tag === "Abandoned") return Effect.sync(() => written.abandoned++)
        if (error?._tag === "TransactionError" && error.reason === "OutcomeUnknown") written.unknown++
        else written.failed++
        return Effect.zipRight(Effect.logWarning("A transaction failed", cause), Effect.sleep("200 millis"))
      }
    })
    const pausing = Effect.flatMap(Random.nextIntBetween(pause.least, pause.most), (millis) => Effect.sleep(millis))
    const one = Effect.repeat(Effect.zipLeft(transaction, pausing), { until: isStopped })
    const telling = Effect.repeat(Effect.sync(() => say({ _tag: "Written", ...written })), Schedule.spaced("1 second"))
    yield* Effect.raceFirst(
      Effect.all(Array.from({ length: concurrency }, () => one), { concurrency: "unbounded", discard: true }),
      telling
    )
    say({ _tag: "Written", ...written })
  })
