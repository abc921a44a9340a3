/**
 * The promises of the inbox, as a suite that every inbox storage runs.
 *
 * @since 0.1.0
 */
import type * as Inbox from "@effect-cqrs/core/Inbox"
import type * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { deathCases } from "./internal/inbox/deaths.ts"
import { onceCases } from "./internal/inbox/once.ts"
import { restartCases } from "./internal/inbox/restart.ts"
import { retentionCases } from "./internal/inbox/retention.ts"
import { topicOf } from "./internal/inbox/topic.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of an inbox: how to build it, and how a program writes to its database. `R` is what these
 * statements need, as a SQL client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** An empty database of this name, and the transactor and the inbox on it. */
  readonly layer: (name: string) => Layer.Layer<Transactor | Inbox.InboxStorage | R, unknown>
  /** Stores a key, as the domain writes of a handler would. Each key is written once. */
  readonly write: (key: string) => Effect.Effect<unknown, unknown, R | Transaction.Transaction>
  /** The keys that are stored. Called outside of transactions. */
  readonly read: Effect.Effect<ReadonlyArray<string>, unknown, R>
  /** Makes everything that the inbox remembers older by so much, as if it had been done that long before. */
  readonly age: (by: Duration.Duration) => Effect.Effect<unknown, unknown, R>
  /** How long the inbox of `layer` keeps a key. Default 7 days. */
  readonly retention?: Duration.Duration | undefined
  /**
   * What was stored is there when another layer is built for the same name within the scope: it survives the process.
   */
  readonly reopen: Feature<
    (name: string) => Effect.Effect<
      Layer.Layer<Transactor | Inbox.InboxStorage | R, unknown>,
      unknown,
      Scope.Scope
    >
  >
  /** How long a case may take, in milliseconds. Default: 30,000. */
  readonly timeout?: number | undefined
}

/**
 * Runs the suite: each case on a database of its own.
 *
 * @example
 * ```ts
 * import { Bootstrap, Transaction } from "@effect-cqrs/core"
 * import { InboxSuite, Suite } from "@effect-cqrs/testing"
 * import { Clock, Context, Duration, Effect, Layer } from "effect"
 *
 * class Keys extends Context.Tag("Keys")<Keys, Set<string>>() {}
 *
 * let ahead = 0
 * const clock: Clock.Clock = Object.assign(Clock.make(), {
 *   currentTimeMillis: Effect.sync(() => Date.now() + ahead)
 * })
 *
 * export const memory = (runner: Suite.Runner) =>
 *   InboxSuite.suite<Keys>("memory", {
 *     ...runner,
 *     layer: () =>
 *       Layer.mergeAll(Bootstrap.layerStorageMemory, Layer.sync(Keys, () => new Set()), Layer.setClock(clock)),
 *     age: (by) => Effect.sync(() => void (ahead += Duration.toMillis(by))),
 *     write: (key) =>
 *       Effect.flatMap(Keys, (keys) => {
 *         keys.add(key)
 *         return Transaction.afterRollback(Effect.sync(() => keys.delete(key)))
 *       }),
 *     read: Effect.map(Keys, (keys) => [...keys]),
 *     reopen: Suite.unsupported("it forgets everything with the process")
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const topic = topicOf(facts)
  facts.describe(`${name}: inbox`, () => {
    onceCases(topic)
    retentionCases(topic)
    deathCases(topic)
    restartCases(topic)
  })
}
