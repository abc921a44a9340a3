import * as Event from "@effect-cqrs/core/Event"
import * as Outbox from "@effect-cqrs/core/Outbox"
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import type { Feature } from "../../Suite.ts"
import type { Facts } from "../../TransactionSuite.ts"
import { assertIds, assertOrder, casesOf } from "../cases.ts"

/** What a case may ask for. */
export type Services<R> = Transactor | OutboxStorage | R

/** What the cases of one topic are made with. */
export type Topic<R> = ReturnType<typeof topicOf<R>>

export const topicOf = <R>(facts: Facts<R>) => {
  const { read, write } = facts
  const cases = casesOf(facts, { timeout: facts.timeout ?? 30_000 })
  const provided = (id: string) => (test: Effect.Effect<void, unknown, Services<R> | Scope.Scope>) =>
    Effect.provide(test, facts.layer(id))
  /** A case on a database of its own. */
  const it = (name: string, test: Effect.Effect<void, unknown, Services<R> | Scope.Scope>) =>
    cases.it(name, (id) => provided(id)(test))
  const itWith = <A>(
    feature: Feature<A>,
    name: string,
    test: (feature: A) => Effect.Effect<void, unknown, Services<R> | Scope.Scope>
  ) => cases.itWith(feature, name, (id, feature) => provided(id)(Effect.suspend(() => test(feature))))

  /** In a transaction of the client's, or else in a nested run. */
  const inClient = <A, E, R2>(
    effect: Effect.Effect<A, E, R2>
  ): Effect.Effect<A, unknown, R | Transactor | Exclude<R2, Transaction.Transaction> | R2> =>
    typeof facts.withTransaction === "function" ? facts.withTransaction(effect) : Transaction.run(effect)

  const add = (key: string) => Outbox.add(new Announced({ key }))
  const both = (key: string) => Effect.zipRight(write(key), add(key))

  /** What is stored: as many writes as events, and these in the order of their adding. */
  const assertStored = (expected: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      assertIds("writes", yield* read, expected)
      assertOrder("events", yield* announced, expected)
    })

  /** The database's connections are as they were: another transaction commits. */
  const assertUsable = (before: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      yield* Transaction.run(both("afterwards"))
      yield* assertStored([...before, "afterwards"])
    })

  return { add, assertStored, assertUsable, both, cases, facts, inClient, it, itWith, read, write }
}

export class Announced extends Event.notification<Announced>()("transaction_suite_announced", {
  topic: "transaction_suite",
  payload: { key: Schema.String }
}) {}

export class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const decoder = new TextDecoder()

/** Of services that only an adapter knows the compiler cannot say that no Transaction is among them. */
export const afterCommit: <R>(
  effect: Effect.Effect<unknown, never, R>
) => Effect.Effect<void, Transaction.TransactionError, Transaction.Transaction | R> = Transaction.afterCommit as never

export const afterRollback: typeof afterCommit = Transaction.afterRollback as never

/** The keys of the events that are stored, by sequence. */
export const announced = Effect.flatMap(OutboxStorage, (storage) =>
  Effect.map(
    storage.read({
      from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
      limit: 100_000,
      maxBytes: Number.MAX_SAFE_INTEGER,
      exceptTopics: []
    }),
    (entries) => entries.map((entry): string => JSON.parse(decoder.decode(entry.message.payload)).key)
  ))

export const failureOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined

export const defectOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined

export const assertReason = (error: unknown, reason: Transaction.TransactionError["reason"]): void => {
  assert.ok(
    error instanceof Transaction.TransactionError,
    `a TransactionError with the reason ${reason} was expected: ${String(error)}`
  )
  assert.strictEqual(error.reason, reason, error.message)
}
