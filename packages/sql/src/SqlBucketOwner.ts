/**
 * Buckets shared among relays through leases in the database.
 *
 * @since 0.1.0
 */
import { BucketOwner, type Holding } from "@effect-cqrs/core/BucketOwner"
import { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import { queries } from "./internal/queries.ts"
import { share } from "./internal/share.ts"
import { type Options as TableOptions, verify } from "./internal/tables.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Pick<TableOptions, "prefix"> {
  /**
   * How long a relay owns its buckets without a sign of life. It renews three times in this time. After a crash others
   * take over within it, and one more third. Default 10 seconds.
   */
  readonly lease?: Duration.DurationInput | undefined
}

/**
 * Relays on one database, in one process or many, each own a fair share of the buckets.
 *
 * Each relay has a row with an id that is never used again: its fencing token. While it lives it renews the row; when it
 * ends well it removes the row, and others take its buckets at their next turn; when it dies the row runs out, one of the
 * others removes it, and from then on no write of the dead one takes effect. A relay trusts its lease for less time than
 * the database does, by its own clock, counted from the moment it asked for the renewal. All other times are the
 * database's.
 *
 * A relay that comes, goes or dies changes everybody's share; surplus is given back between two batches.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<BucketOwner, StorageError, SqlClient | OutboxStorage> => Layer.effect(BucketOwner, make(options ?? {}))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const make = (options: Options) =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    const dialect = yield* dialectOf(sql)
    const names = yield* namesOf(options.prefix ?? "cqrs_")
    const { buckets } = yield* OutboxStorage
    yield* verify(sql, dialect, names)
    const statements = dialect.lease
    const { query, write } = queries(
      sql,
      dialect,
      (cause: SqlError) =>
        new StorageError({ reason: "Unavailable", message: "The database of the relay's leases did not answer", cause })
    )
    const term = Duration.decode(options.lease ?? Duration.seconds(10))
    if (!(Duration.toMillis(term) >= 100)) {
      return yield* new StorageError({
        reason: "Configuration",
        message: "The relay's lease must last at least 100 milliseconds, and should last some seconds"
      })
    }
    const termMicros = Math.round(Duration.toMillis(term) * 1000)
    // the relay's own clock may run slower than the database's, and a renewal may be answered late
    const trust = BigInt(termMicros) * 1000n * 4n / 5n
    yield* write(statements.create(names, buckets))

    const join = Effect.gen(function*() {
      let me = 0n
      let owned: ReadonlyArray<number> = []
      let surplus: ReadonlyArray<number> = []
      let trustedUntil = 0n
      const turn = yield* Effect.makeSemaphore(1)

      const register = Effect.gen(function*() {
        const asked = yield* Clock.currentTimeNanos
        me = statements.registered(yield* write(statements.register(names, termMicros)))
        owned = []
        surplus = []
        trustedUntil = asked + trust
      })

      const renew = Effect.gen(function*() {
        const asked = yield* Clock.currentTimeNanos
        if (dialect.affected(yield* write(statements.renew(names, me, termMicros))) === 1) {
          trustedUntil = asked + trust
        } else {
          yield* Effect.logWarning("The relay's lease has run out, and others may have its buckets: it begins anew")
          yield* register
        }
      })

      const balance = Effect.gen(function*() {
        const relays = yield* query<{ readonly id: string; readonly alive: number | string }>(statements.relays(names))
        const expired = relays.filter(({ alive }) => Number(alive) === 0).map(({ id }) => BigInt(id))
        if (expired.length > 0) yield* write(statements.reap(names, expired))
        // what is still there although it had run out has been renewed in the meantime
        const left = expired.length === 0 ? relays : yield* query<{ readonly id: string }>(statements.relays(names))
        const living = left.map(({ id }) => BigInt(id))
        const owners =
          (yield* query<{ readonly bucket: number; readonly relay: string | null }>(statements.owners(names)))
            .map(({ bucket, relay }) => ({ bucket, relay: relay === null ? undefined : BigInt(relay) }))
        const { claim, give } = share(me, living, owners)
        const gone = [
          ...new Set(owners.flatMap(({ relay }) => relay === undefined || living.includes(relay) ? [] : [relay]))
        ]
        if (claim.length > 0) yield* write(statements.claim(names, me, claim, gone))
        owned = (yield* query<{ readonly bucket: number; readonly relay: string | null }>(statements.owners(names)))
          .flatMap(({ bucket, relay }) => relay !== null && BigInt(relay) === me ? [bucket] : [])
        surplus = give
      })

      const beat = turn.withPermits(1)(Effect.zipRight(renew, balance))

      yield* register
      yield* Effect.addFinalizer(() =>
        Effect.ignoreLogged(
          turn.withPermits(1)(
            Effect.zipRight(
              owned.length === 0 ? Effect.void : write(statements.release(names, me, owned)),
              write(statements.leave(names, me))
            )
          )
        )
      )
      yield* turn.withPermits(1)(balance)
      yield* Effect.forkScoped(
        Effect.withTracerEnabled(
          Effect.schedule(
            Effect.catchAllCause(beat, (cause) => Effect.logWarning("The relay's lease could not be renewed", cause)),
            Schedule.spaced(Duration.times(term, 1 / 3))
          ),
          false
        )
      )

      const holding: Effect.Effect<Holding, StorageError> = turn.withPermits(1)(Effect.gen(function*() {
        if (surplus.length > 0) {
          const given = new Set(surplus)
          yield* write(statements.release(names, me, surplus))
          owned = owned.filter((bucket) => !given.has(bucket))
          surplus = []
        }
        const trusted = (yield* Clock.currentTimeNanos) < trustedUntil
        return { token: me, buckets: trusted ? owned : [], trustedUntil }
      }))

      return { holding }
    })

    return BucketOwner.of({ join })
  })
