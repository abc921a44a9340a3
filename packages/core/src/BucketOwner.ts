/**
 * The port that says which buckets of the outbox a relay may work on.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { OutboxStorage, type StorageError } from "./OutboxStorage.ts"

/**
 * What a relay holds right now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Holding {
  /** Fences the relay's writes: storage refuses a token that was superseded. 0 where nobody else could write. */
  readonly token: bigint
  readonly buckets: ReadonlyArray<number>
  /** Until when the relay may start a publish, in nanoseconds of its own clock (`Clock.currentTimeNanos`). */
  readonly trustedUntil: bigint
}

/**
 * Hands out buckets, each to one relay at a time.
 *
 * @since 0.1.0
 * @category tags
 */
export class BucketOwner extends Context.Tag("@effect-cqrs/core/BucketOwner")<BucketOwner, {
  /** Registers a relay. Closing the scope gives its buckets back, at once, for others to take. */
  readonly join: Effect.Effect<Membership, StorageError, Scope.Scope>
}>() {}

/**
 * A registered relay.
 *
 * @since 0.1.0
 * @category models
 */
export interface Membership {
  /**
   * What the relay holds now. Called before each read, when nothing of the relay is in flight: so this is where surplus
   * buckets are given up.
   */
  readonly holding: Effect.Effect<Holding, StorageError>
}

/**
 * All buckets, for ever: for a relay that is the only one of its database. Two relays with this owner on one database
 * would both publish everything.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSingle: Layer.Layer<BucketOwner, never, OutboxStorage> = Layer.effect(
  BucketOwner,
  Effect.map(OutboxStorage, (storage) => ({
    join: Effect.succeed({
      holding: Effect.succeed({
        token: 0n,
        buckets: Array.from({ length: storage.buckets }, (_, bucket) => bucket),
        trustedUntil: forever
      })
    })
  }))
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const forever = 2n ** 63n
