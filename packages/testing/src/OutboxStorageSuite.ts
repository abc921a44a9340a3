/**
 * The promises of the outbox storage, as a suite that every storage runs.
 *
 * @since 0.1.0
 */
import type { Message } from "@effect-cqrs/core/Message"
import type { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { arrivalCases } from "./internal/outboxStorage/arrivals.ts"
import { deadLetterCases } from "./internal/outboxStorage/deadLetters.ts"
import { keyLockCases } from "./internal/outboxStorage/keyLocks.ts"
import { readCases } from "./internal/outboxStorage/read.ts"
import { settleCases } from "./internal/outboxStorage/settle.ts"
import { statisticsCases } from "./internal/outboxStorage/statistics.ts"
import { storedCases } from "./internal/outboxStorage/stored.ts"
import { topicOf } from "./internal/outboxStorage/topic.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of a storage. `R` is what the features need, as a SQL client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** An empty storage of this name, and the transactor that writes to it. */
  readonly layer: (name: string) => Layer.Layer<Transactor | OutboxStorage | R, unknown>
  /**
   * What was stored is there when another layer is built for the same name within the scope: it survives the process.
   */
  readonly reopen: Feature<
    (name: string) => Effect.Effect<Layer.Layer<Transactor | OutboxStorage, unknown>, unknown, Scope.Scope>
  >
  /** Two transactions can store messages at the same time, so that the one with the smaller sequences may commit later. */
  readonly concurrentWriters: Feature<true>
  /** Makes the storage refuse any change of one entry, so that a settlement fails half-way. */
  readonly refuseChange: Feature<(sequence: bigint) => Effect.Effect<unknown, unknown, R>>
  /** Writes another bucket into an entry's row, as somebody might do by hand. */
  readonly move: Feature<(sequence: bigint, bucket: number) => Effect.Effect<unknown, unknown, R>>
  /** Makes what was delivered and kept so many minutes older. */
  readonly age: Feature<(minutes: number) => Effect.Effect<unknown, unknown, R>>
  /** Stores a mass of entries like one message, in a time that suits a test, and how many there are to be. */
  readonly bulk: Feature<{
    readonly count: number
    readonly insert: (message: Message, count: number) => Effect.Effect<unknown, unknown, OutboxStorage | R>
  }>
  /** The largest payload to try, in bytes. */
  readonly largestPayload: number
  /** How long a case may take, in milliseconds. Default: 60,000. */
  readonly timeout?: number | undefined
}

/**
 * Runs the suite: each case on a storage of its own.
 *
 * @example
 * ```ts
 * import { OutboxStorage, Transactor } from "@effect-cqrs/core"
 * import { OutboxStorageSuite, Suite } from "@effect-cqrs/testing"
 * import { Layer } from "effect"
 *
 * export const memory = (runner: Suite.Runner) =>
 *   OutboxStorageSuite.suite("memory", {
 *     ...runner,
 *     layer: () => Layer.provideMerge(Transactor.layerMemory, OutboxStorage.layerMemory()),
 *     reopen: Suite.unsupported("it forgets everything with the process"),
 *     concurrentWriters: Suite.unsupported("sequences are given out by the commit itself"),
 *     refuseChange: Suite.unsupported("a change in memory cannot fail"),
 *     move: Suite.unsupported("nobody gets at its entries"),
 *     age: Suite.unsupported("its clock is that of the process"),
 *     bulk: Suite.unsupported("it looks at all that it has"),
 *     largestPayload: 1024 * 1024
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const topic = topicOf(facts)
  facts.describe(`${name}: outbox storage`, () => {
    readCases(topic)
    storedCases(topic)
    keyLockCases(topic)
    settleCases(topic)
    deadLetterCases(topic)
    statisticsCases(topic)
    arrivalCases(topic)
  })
}
