/**
 * The promises of transactions, as a suite that every transactor runs: domain writes and events, together or not at all.
 *
 * @since 0.1.0
 */
import type { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import type * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { conflictCases } from "./internal/transaction/conflicts.ts"
import { databaseCases } from "./internal/transaction/databases.ts"
import { hookCases } from "./internal/transaction/hooks.ts"
import { nestedCases } from "./internal/transaction/nested.ts"
import { outlivingCases } from "./internal/transaction/outliving.ts"
import { togetherCases } from "./internal/transaction/together.ts"
import { topicOf } from "./internal/transaction/topic.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of a transactor: how to build it, and how a program writes to its database. `R` is what
 * these statements need, as a SQL client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** A database of this name that did not exist before, ready to be used, with nothing in it. */
  readonly layer: (name: string) => Layer.Layer<Transactor | OutboxStorage | R, unknown>
  /** Stores a key, as the domain writes of a program would. Each key is written once. */
  readonly write: (key: string) => Effect.Effect<unknown, unknown, R | Transaction.Transaction>
  /** The keys that are stored. Called outside of transactions. */
  readonly read: Effect.Effect<ReadonlyArray<string>, unknown, R>
  /** Makes the outbox refuse whatever is appended from now on, as when its table is gone. Called outside of transactions. */
  readonly breakOutbox: Effect.Effect<unknown, unknown, R>
  /** A statement that the database refuses, whatever this does to the transaction. */
  readonly failing: Feature<Effect.Effect<unknown, unknown, R>>
  /** A statement that fails, and with which the database gives up the whole transaction by itself. */
  readonly losing: Feature<Effect.Effect<unknown, unknown, R>>
  /** A statement that succeeds, and after which COMMIT fails, as with a deferred constraint. */
  readonly uncommittable: Feature<Effect.Effect<unknown, unknown, R>>
  /** A statement that commits by itself what came before it. */
  readonly implicitCommit: Feature<Effect.Effect<unknown, unknown, R>>
  /** Fails as a statement does in a transaction that the database has chosen as the victim of a conflict. */
  readonly conflict: Feature<Effect.Effect<unknown, unknown, R>>
  /** The transactions of the client that the program has anyway: `sql.withTransaction`. */
  readonly withTransaction: Feature<
    <A, E, R2>(effect: Effect.Effect<A, E, R2>) => Effect.Effect<A, unknown, R | R2>
  >
  /** Runs a statement as it is: `SAVEPOINT a`, `COMMIT`. */
  readonly statement: Feature<(text: string) => Effect.Effect<unknown, unknown, R>>
  /** How long a case may take, in milliseconds. Default: 30,000. */
  readonly timeout?: number | undefined
}

/**
 * Runs the suite: each case on a database of its own.
 *
 * @example
 * ```ts
 * import { OutboxStorage, Transaction, Transactor } from "@effect-cqrs/core"
 * import { type Suite, TransactionSuite } from "@effect-cqrs/testing"
 * import { Context, Effect, Layer } from "effect"
 *
 * class Keys extends Context.Tag("Keys")<Keys, Set<string>>() {}
 *
 * export const memory = (runner: Suite.Runner, facts: Omit<TransactionSuite.Facts<Keys>, keyof Suite.Runner>) =>
 *   TransactionSuite.suite("memory", {
 *     ...runner,
 *     ...facts,
 *     layer: () =>
 *       Transactor.layerMemory.pipe(
 *         Layer.provideMerge(OutboxStorage.layerMemory()),
 *         Layer.merge(Layer.sync(Keys, () => new Set()))
 *       ),
 *     write: (key) =>
 *       Effect.flatMap(Keys, (keys) => {
 *         keys.add(key)
 *         return Transaction.afterRollback(Effect.sync(() => keys.delete(key)))
 *       }),
 *     read: Effect.map(Keys, (keys) => [...keys])
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const topic = topicOf(facts)
  facts.describe(`${name}: transactions`, () => {
    togetherCases(topic)
    nestedCases(topic)
    outlivingCases(topic)
    hookCases(topic)
    conflictCases(topic)
    databaseCases(topic)
  })
}
