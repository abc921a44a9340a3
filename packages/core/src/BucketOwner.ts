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
import type { Level } from "./Wake.ts"

/**
 * What speaks against a bucket: its owners died.
 *
 * @since 0.1.0
 * @category models
 */
export interface Suspicion {
  /** How many of its owners have died, one after the other, without an outcome of one of its entries in between. */
  readonly deaths: number
  /** The entry that was alone in flight when the last of them died, and in how many deaths in a row. */
  readonly suspect: { readonly sequence: bigint; readonly deaths: number } | undefined
}

/**
 * What a relay holds right now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Holding {
  /**
   * Fences the relay's writes: storage refuses a token that was superseded. 0 where nobody else could write. With another
   * token than before, nothing of what was held before is held any more.
   */
  readonly token: bigint
  readonly buckets: ReadonlyArray<number>
  /** Those of `buckets` that others have a claim to: to be released once nothing of them is in flight. */
  readonly surplus: ReadonlyArray<number>
  /** Those of `buckets` whose earlier owners have died. */
  readonly suspicions: ReadonlyMap<number, Suspicion>
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
  /** What the relay holds now, as far as it knows. A bucket is lost only by `release`, or together with the token. */
  readonly holding: Effect.Effect<Holding>
  /** Changes when the holding does; where it is only trusted for longer, if the trust had run out meanwhile. */
  readonly changes: Level
  /** Gives buckets up, for others to take. Nothing of them may be in flight. */
  readonly release: (buckets: ReadonlyArray<number>) => Effect.Effect<void, StorageError>
  /**
   * Remembers that an entry of a bucket is about to be published with nothing else in flight, so that a death counts
   * against it; `undefined`: that it had an outcome, and a death counts against no entry. `false`: the token was
   * superseded, and nothing must be published.
   */
  readonly suspect: (bucket: number, sequence: bigint | undefined) => Effect.Effect<boolean, StorageError>
  /** Forgets what was held against buckets: their entries had outcomes. */
  readonly acquit: (buckets: ReadonlyArray<number>) => Effect.Effect<void, StorageError>
}

/**
 * All buckets, for ever: for a relay that is the only one of its database. Two relays with this owner on one database
 * would both publish everything. It remembers no deaths.
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
        surplus: [],
        suspicions: new Map(),
        trustedUntil: forever
      }),
      changes: { version: Effect.succeed(0), waitPast: () => Effect.never },
      release: () => Effect.void,
      suspect: () => Effect.succeed(true),
      acquit: () => Effect.void
    })
  }))
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const forever = 2n ** 63n
