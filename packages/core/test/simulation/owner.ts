import { type BucketOwner, type OutboxStorage, Wake } from "@effect-cqrs/core"
import { Clock, Effect, type Scope } from "effect"
import type { Database, Lease, Statement } from "./database.ts"

/** What a process knows of its leases. */
export interface Hand {
  token: bigint
  trustedUntil: number
  /** When it was last renewed after it had run out. */
  regainedAt: number | undefined
  leases: ReadonlyArray<Lease>
  surplus: ReadonlyArray<number>
}

/** Sends a statement about the leases. */
type Send = <A>(statement: Statement<A>) => Effect.Effect<A, OutboxStorage.StorageError>

/**
 * Leases as `SqlBucketOwner` has them, statement by statement: each may be delayed, fail, or be the last one of its process.
 */
export const makeOwner = (options: {
  readonly database: Database
  readonly process: number
  readonly send: Send
  readonly hand: Hand
  readonly lease: number
  readonly beat: number
}): BucketOwner.BucketOwner["Type"] => {
  const { beat, database, hand, lease, process, send } = options
  const trust = lease * 4 / 5

  const join: Effect.Effect<BucketOwner.Membership, OutboxStorage.StorageError, Scope.Scope> = Effect.gen(function*() {
    const changes = yield* Wake.make
    const moves = yield* Wake.make
    const alone = (yield* Effect.makeSemaphore(1)).withPermits(1)

    const become = (leases: ReadonlyArray<Lease>, surplus: ReadonlyArray<number>) =>
      Effect.suspend(() => {
        const isSame =
          JSON.stringify([hand.leases.map(seen), hand.surplus]) === JSON.stringify([leases.map(seen), surplus])
        hand.leases = leases
        hand.surplus = surplus
        return isSame ? Effect.void : changes.signal
      })

    const register = Effect.gen(function*() {
      const asked = yield* Clock.currentTimeMillis
      hand.token = yield* send(database.register(process, lease))
      hand.trustedUntil = asked + trust
      hand.leases = []
      hand.surplus = []
      yield* changes.signal
      yield* moves.signal
    })

    const renew = Effect.gen(function*() {
      const asked = yield* Clock.currentTimeMillis
      if (yield* send(database.renew(hand.token, lease))) {
        const now = yield* Clock.currentTimeMillis
        const hadRunOut = hand.trustedUntil <= now
        hand.trustedUntil = asked + trust
        if (hadRunOut) {
          hand.regainedAt = now
          yield* changes.signal
        }
        return
      }
      const before = hand.token
      const held = hand.leases.map(({ bucket }) => bucket)
      yield* register
      yield* send(database.leave(before))
      if (held.length > 0) yield* send(database.release(before, held))
    })

    const living = Effect.gen(function*() {
      const found = yield* send(database.living)
      const expired = found.filter(({ isAlive }) => !isAlive).map(({ id }) => id)
      if (expired.length > 0) yield* send(database.reap(expired))
      return (expired.length === 0 ? found : yield* send(database.living)).map(({ id }) => id)
    })

    const balance = Effect.gen(function*() {
      for (;;) {
        const leases = yield* send(database.owners)
        const relays = yield* living
        const { claim, give } = share(hand.token, relays, leases)
        if (claim.length === 0) return yield* become(leases.filter(({ relay }) => relay === hand.token), give)
        const gone = leases.flatMap(({ relay }) => relay === undefined || relays.includes(relay) ? [] : [relay])
        yield* send(database.claim(hand.token, claim, gone))
      }
    })

    yield* register
    yield* Effect.addFinalizer(() =>
      Effect.ignore(alone(Effect.suspend(() => {
        const owned = hand.leases.map(({ bucket }) => bucket)
        return Effect.zipRight(
          owned.length === 0 ? Effect.void : send(database.release(hand.token, owned)),
          send(database.leave(hand.token))
        )
      })))
    )
    const seen0 = yield* moves.version
    yield* alone(balance)
    let version = seen0
    yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
      yield* Effect.race(Effect.sleep(beat), moves.waitPast(version))
      version = yield* moves.version
      yield* Effect.ignore(alone(Effect.zipRight(renew, balance)))
    })))

    return {
      holding: Effect.sync(() => ({
        token: hand.token,
        buckets: hand.leases.map(({ bucket }) => bucket),
        surplus: hand.surplus,
        suspicions: new Map(
          hand.leases.flatMap(({ bucket, deaths, suspect, suspectDeaths }) =>
            deaths === 0 ? [] : [[bucket, {
              deaths,
              suspect: suspect === undefined || suspectDeaths === 0
                ? undefined
                : { sequence: suspect, deaths: suspectDeaths }
            }]]
          )
        ),
        trustedUntil: BigInt(hand.trustedUntil) * 1_000_000n
      })),
      changes,
      release: (given) =>
        given.length === 0 ? Effect.void : alone(Effect.gen(function*() {
          yield* send(database.release(hand.token, given))
          yield* become(
            hand.leases.filter(({ bucket }) => !given.includes(bucket)),
            hand.surplus.filter((bucket) => !given.includes(bucket))
          )
          yield* moves.signal
        })),
      suspect: (bucket, sequence) =>
        alone(Effect.gen(function*() {
          if (!(yield* send(database.suspect(hand.token, bucket, sequence)))) return false
          hand.leases = hand.leases.map((one) =>
            one.bucket !== bucket || one.suspect === sequence ? one : { ...one, suspect: sequence, suspectDeaths: 0 }
          )
          return true
        })),
      acquit: (some) =>
        alone(Effect.gen(function*() {
          const blamed = hand.leases.filter(({ bucket, deaths, suspect }) =>
            some.includes(bucket) && (deaths > 0 || suspect !== undefined)
          ).map(({ bucket }) => bucket)
          if (blamed.length === 0) return
          yield* send(database.acquit(hand.token, blamed))
          yield* become(
            hand.leases.map((one) =>
              blamed.includes(one.bucket) ? { ...one, deaths: 0, suspect: undefined, suspectDeaths: 0 } : one
            ),
            hand.surplus
          )
        })),
      report: () => Effect.void
    }
  })

  return { join, ownership: Effect.die("nobody asks") }
}

/** What of a lease a relay would see a difference in. */
const seen = ({ bucket, deaths }: Lease) => [bucket, deaths]

/** A fair part: the first relays, by id, have one bucket more than the others. */
const share = (me: bigint, living: ReadonlyArray<bigint>, leases: ReadonlyArray<Lease>) => {
  const relays = [...living].sort((a, b) => a < b ? -1 : 1)
  const place = relays.indexOf(me)
  if (place < 0) return { claim: [], give: [] }
  const size = Math.floor(leases.length / relays.length) + (place < leases.length % relays.length ? 1 : 0)
  const mine = leases.flatMap(({ bucket, relay }) => relay === me ? [bucket] : [])
  const free = leases.flatMap(({ bucket, relay }) => relay === undefined || !relays.includes(relay) ? [bucket] : [])
  return { claim: free.slice(0, Math.max(0, size - mine.length)), give: mine.slice(size) }
}
