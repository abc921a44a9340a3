/**
 * Buckets shared among relays through leases in the database.
 *
 * @since 0.1.0
 */
import { BucketOwner, type Membership, type Ownership, type Suspended } from "@effect-cqrs/core/BucketOwner"
import { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Wake from "@effect-cqrs/core/Wake"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { dialectOf, namesOf } from "./internal/dialect.ts"
import {
  emptyHand,
  type Hand,
  handOf,
  holdingOf,
  isSameHand,
  type Lease,
  suspicionsOf,
  without
} from "./internal/hand.ts"
import { queries } from "./internal/queries.ts"
import { isLease, type Options as TableOptions, verify } from "./internal/tables.ts"

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
 * ends well it removes the row, and others take its buckets: those in its process at once, those elsewhere at their next
 * turn, which is after a third of the lease. When it dies the row runs out, one of the others removes it, and from then on
 * no write of the dead one takes effect; that its owner died is noted with each bucket, and for the entry that was
 * suspected. A relay trusts its lease for less time than the database does, by its own clock, counted from the moment it
 * asked for the renewal. All other times are the database's.
 *
 * A relay that comes, goes or dies changes everybody's share. What is too much for one's own is `surplus`, until it is
 * released.
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
    if (!isLease(term)) {
      return yield* new StorageError({
        reason: "Configuration",
        message: "The relay's lease must last at least 100 milliseconds, and should last some seconds"
      })
    }
    const termMicros = Math.round(Duration.toMillis(term) * 1000)
    // the relay's own clock may run slower than the database's, and a renewal may be answered late
    const trust = BigInt(termMicros) * 1000n * 4n / 5n
    /** Raised when one of this process's relays comes, goes, or gives something back. */
    const moves = yield* Wake.make

    const owners: Effect.Effect<ReadonlyArray<Lease>, StorageError> = Effect.map(
      query<LeaseRow>(statements.owners(names)),
      (rows) =>
        rows.map(({ bucket, deaths, relay, suspect, suspectDeaths }) => ({
          bucket: Number(bucket),
          relay: relay === null ? undefined : BigInt(relay),
          deaths: Number(deaths),
          suspect: suspect === null ? undefined : { sequence: BigInt(suspect), deaths: Number(suspectDeaths) }
        })).sort((a, b) => a.bucket - b.bucket)
    )

    /** The relays whose leases run, after those whose have run out were removed. */
    const living: Effect.Effect<ReadonlyArray<bigint>, StorageError> = Effect.gen(function*() {
      const relays = query<{ readonly id: string; readonly alive: number | string }>(statements.relays(names))
      const found = yield* relays
      const expired = found.filter(({ alive }) => Number(alive) === 0).map(({ id }) => BigInt(id))
      if (expired.length > 0) yield* write(statements.reap(names, expired))
      // what is still there although it had run out has been renewed in the meantime
      return (expired.length === 0 ? found : yield* relays).map(({ id }) => BigInt(id))
    })

    /** A client may count an update that changes nothing as none. */
    const isNoted = (
      relay: bigint,
      bucket: number,
      sequence: bigint | undefined
    ): Effect.Effect<boolean, StorageError> =>
      Effect.gen(function*() {
        const held = yield* query(statements.hold(names, relay))
        const lease = (yield* owners).find((one) => one.bucket === bucket)
        return held.length > 0 && lease?.relay === relay && lease.suspect?.sequence === sequence
      })

    const ownership: Effect.Effect<Ownership, StorageError> = Effect.gen(function*() {
      // in this order: an owner that has come since is not taken for one that is gone
      const leases = yield* owners
      const found = yield* query<MemberRow>(statements.relays(names))
      const owned = new Map(found.map(({ id }) => [BigInt(id), new Array<number>()]))
      const bucketsOf = Array.from({ length: buckets }, (_, bucket) => bucket)
      const taken = new Map(leases.map(({ bucket, relay }) => [bucket, relay]))
      for (const bucket of bucketsOf) owned.get(taken.get(bucket) ?? 0n)?.push(bucket)
      return {
        members: found.map(({ expiresIn, id, suspended }) => ({
          token: BigInt(id),
          expiresIn: Duration.micros(BigInt(Math.max(0, Number(expiresIn)))),
          buckets: owned.get(BigInt(id))!,
          suspended: suspendedIn(suspended)
        })).sort((a, b) => a.token < b.token ? -1 : 1),
        free: bucketsOf.filter((bucket) => !owned.has(taken.get(bucket) ?? 0n)),
        suspicions: suspicionsOf(leases)
      }
    })

    const join: Effect.Effect<Membership, StorageError, Scope.Scope> = Effect.gen(function*() {
      yield* write(statements.create(names, buckets))
      const scope = yield* Effect.scope
      let reported: ReadonlyArray<Suspended> = []
      let me = 0n
      let trustedUntil = 0n
      let hand = emptyHand
      const changes = yield* Wake.make
      /** One at a time: what is known here is what the database has answered last. */
      const alone = (yield* Effect.makeSemaphore(1)).withPermits(1)

      const become = (next: Hand) =>
        Effect.suspend(() => {
          const isSame = isSameHand(hand, next)
          hand = next
          return isSame ? Effect.void : changes.signal
        })

      const register = Effect.gen(function*() {
        const asked = yield* Clock.currentTimeNanos
        me = statements.registered(yield* write(statements.register(names, termMicros)))
        trustedUntil = asked + trust
        hand = emptyHand
        yield* changes.signal
        yield* moves.signal
        // for those who watch: the lease is there without it
        if (reported.length > 0) {
          yield* Effect.forkIn(Effect.ignoreLogged(write(statements.report(names, me, textOf(reported)))), scope)
        }
      })

      const renew = Effect.gen(function*() {
        const asked = yield* Clock.currentTimeNanos
        if (dialect.affected(yield* write(statements.renew(names, me, termMicros))) === 1) {
          const hadRunOut = trustedUntil <= (yield* Clock.currentTimeNanos)
          trustedUntil = asked + trust
          // what was not published then can be now
          if (hadRunOut) yield* changes.signal
          return
        }
        yield* Effect.logWarning("The relay's lease has run out, and others may have its buckets: it begins anew")
        const before = me
        const held = hand.leases.map(({ bucket }) => bucket)
        yield* register
        // what was decided under the old token has no effect once others may have the buckets
        yield* write(statements.leave(names, before))
        // it did not die: what nobody has taken yet is free, and nothing speaks against it
        if (held.length > 0) yield* write(statements.release(names, before, held))
      })

      const balance = Effect.gen(function*() {
        for (;;) {
          // in this order: an owner that has come since is not taken for one that is gone
          const leases = yield* owners
          const relays = yield* living
          const { claim, hand } = handOf(me, relays, leases)
          if (claim.length === 0) return yield* become(hand)
          const gone = new Set(
            leases.flatMap(({ relay }) => relay === undefined || relays.includes(relay) ? [] : [relay])
          )
          // others may have been quicker, who want the same ones: then it looks for what is left
          yield* write(statements.claim(names, me, claim, [...gone]))
        }
      })

      yield* register
      yield* Effect.addFinalizer(() =>
        Effect.ignoreLogged(
          alone(Effect.suspend(() => {
            const owned = hand.leases.map(({ bucket }) => bucket)
            return Effect.zipRight(
              owned.length === 0 ? Effect.void : write(statements.release(names, me, owned)),
              Effect.zipRight(write(statements.leave(names, me)), moves.signal)
            )
          }))
        )
      )
      const seen = yield* moves.version
      yield* alone(balance)
      yield* Effect.forkScoped(
        Effect.withTracerEnabled(beats(alone(Effect.zipRight(renew, balance)), moves, seen, term), false)
      )

      return {
        holding: Effect.sync(() => holdingOf(hand, { token: me, trustedUntil })),
        changes,
        release: (given) =>
          given.length === 0 ? Effect.void : alone(Effect.gen(function*() {
            yield* write(statements.release(names, me, given))
            yield* become(without(hand, given))
            yield* moves.signal
          })),
        suspect: (bucket, sequence) =>
          alone(Effect.gen(function*() {
            const changed = dialect.affected(yield* write(statements.suspect(names, me, bucket, sequence)))
            if (changed === 0 && !(yield* isNoted(me, bucket, sequence))) return false
            hand = {
              ...hand,
              leases: hand.leases.map((one) =>
                one.bucket !== bucket || one.suspect?.sequence === sequence
                  ? one
                  : { ...one, suspect: sequence === undefined ? undefined : { sequence, deaths: 0 } }
              )
            }
            return true
          })),
        acquit: (some) =>
          alone(Effect.gen(function*() {
            const asked = new Set(some)
            const blamed = hand.leases.flatMap(({ bucket, deaths, suspect }) =>
              asked.has(bucket) && (deaths > 0 || suspect !== undefined) ? [bucket] : []
            )
            if (blamed.length === 0) return
            yield* write(statements.acquit(names, me, blamed))
            const cleared = new Set(blamed)
            yield* become({
              ...hand,
              leases: hand.leases.map((one) =>
                cleared.has(one.bucket) ? { ...one, deaths: 0, suspect: undefined } : one
              )
            })
          })),
        // in nobody's way: a renewal that waited for it could come too late, and a new token takes along what is reported
        report: (suspended) =>
          Effect.suspend(() => {
            reported = suspended
            return Effect.asVoid(write(statements.report(names, me, textOf(suspended))))
          })
      }
    })

    return BucketOwner.of({ join, ownership })
  })

interface LeaseRow {
  readonly bucket: number | bigint
  readonly relay: string | null
  readonly deaths: number | bigint
  readonly suspect: string | null
  readonly suspectDeaths: number | bigint
}

interface MemberRow {
  readonly id: string
  readonly expiresIn: number | string
  readonly suspended: string | null
}

/** What a relay says of itself, as its row holds it: no text without end. */
const Report = Schema.parseJson(Schema.Array(Schema.Struct({
  topic: Schema.optional(Schema.String),
  reason: Schema.String,
  since: Schema.DateTimeUtcFromNumber
})))

const textOf = (suspended: ReadonlyArray<Suspended>): string =>
  Schema.encodeSync(Report)(
    suspended.slice(0, 100).map(({ reason, since, topic }) => ({ topic, since, reason: reason.slice(0, 500) }))
  )

/** One that was written by hand is none. */
const suspendedIn = (text: string | null): ReadonlyArray<Suspended> =>
  text === null
    ? []
    : Option.getOrElse(Schema.decodeOption(Report)(text), () => []).map((one) => ({ ...one, topic: one.topic }))

/** A beat after each third of the term, and whenever another relay of this process moves. */
const beats = (
  beat: Effect.Effect<void, StorageError>,
  moves: Wake.Level,
  seen: number,
  term: Duration.Duration
): Effect.Effect<never> =>
  Effect.gen(function*() {
    let version = seen
    for (;;) {
      yield* Effect.race(Effect.sleep(Duration.times(term, 1 / 3)), moves.waitPast(version))
      version = yield* moves.version
      yield* Effect.catchAllCause(beat, (cause) => Effect.logWarning("The relay's lease could not be renewed", cause))
    }
  })
