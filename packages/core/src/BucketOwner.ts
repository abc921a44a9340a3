/**
 * The port that says which buckets of the outbox a relay may work on.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
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
 * What a relay publishes nothing to for now, since it took nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Suspended {
  /** `undefined`: the broker as a whole. */
  readonly topic: string | undefined
  /** What the broker said. */
  readonly reason: string
  /** Since when, by the relay's clock. */
  readonly since: DateTime.Utc
}

/**
 * A relay, as others see it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  readonly token: bigint
  /** For how long it owns its buckets unless it is heard of again; zero if its lease has run out. */
  readonly expiresIn: Duration.Duration
  readonly buckets: ReadonlyArray<number>
  /** What it has reported last. */
  readonly suspended: ReadonlyArray<Suspended>
}

/**
 * Who owns which buckets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ownership {
  /** By their tokens, so that the one that came first is first. */
  readonly members: ReadonlyArray<Member>
  /** Buckets that no member owns: nothing of them is published. */
  readonly free: ReadonlyArray<number>
  /** Buckets whose owners have died, whoever owns them now. */
  readonly suspicions: ReadonlyMap<number, Suspicion>
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
  /** For those who watch: the relays that there are and what they own, read without changing anything. */
  readonly ownership: Effect.Effect<Ownership, StorageError>
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
  /** Says what is suspended now, in place of what was said before, for those who watch. */
  readonly report: (suspended: ReadonlyArray<Suspended>) => Effect.Effect<void, StorageError>
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
  Effect.map(OutboxStorage, (storage) => {
    const buckets = Array.from({ length: storage.buckets }, (_, bucket) => bucket)
    let members = 0
    let suspended: ReadonlyArray<Suspended> = []
    return BucketOwner.of({
      join: Effect.as(
        Effect.acquireRelease(Effect.sync(() => members += 1), () => Effect.sync(() => members -= 1)),
        {
          holding: Effect.succeed({
            token: 0n,
            buckets,
            surplus: [],
            suspicions: new Map<number, Suspicion>(),
            trustedUntil: forever
          }),
          changes: { version: Effect.succeed(0), waitPast: () => Effect.never },
          release: () => Effect.void,
          suspect: () => Effect.succeed(true),
          acquit: () => Effect.void,
          report: (now) =>
            Effect.sync(() => {
              suspended = now
            })
        }
      ),
      ownership: Effect.sync(() => ({
        members: members === 0 ? [] : [{ token: 0n, expiresIn: Duration.infinity, buckets, suspended }],
        free: members === 0 ? buckets : [],
        suspicions: new Map()
      }))
    })
  })
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const forever = 2n ** 63n
