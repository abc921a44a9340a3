import { Broker, BucketOwner, Event, Outbox, OutboxStorage, Relay, Transaction } from "@effect-cqrs/core"
import { SqlBucketOwner, SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Ref,
  Schema,
  Scope
} from "effect"

class Changed extends Event.ecst<Changed>()("changed", {
  topic: "leases",
  payload: { room: Schema.String, version: Schema.Number },
  key: (event) => event.room
}) {}

const lease = Duration.millis(1500)

/** A relay's membership, and how it ends. It has nothing in flight, and gives back at once what is too much for it. */
const member = (owner: BucketOwner.BucketOwner["Type"]) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const membership = yield* Scope.extend(owner.join, scope)
    const giving = Effect.gen(function*() {
      for (;;) {
        const version = yield* membership.changes.version
        const { surplus } = yield* membership.holding
        yield* membership.release(surplus)
        yield* membership.changes.waitPast(version)
      }
    })
    yield* Scope.extend(Effect.forkScoped(giving), scope)
    return { ...membership, leave: Scope.close(scope, Exit.void) }
  })

const eventually = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  holds: (value: A) => boolean,
  within: Duration.DurationInput = "10 seconds"
): Effect.Effect<A, E | Cause.TimeoutException, R> => {
  const attempt: Effect.Effect<A, E, R> = Effect.flatMap(
    effect,
    (value) =>
      holds(value) ? Effect.succeed(value) : Effect.zipRight(Effect.sleep("50 millis"), Effect.suspend(() => attempt))
  )
  return Effect.timeoutFail(attempt, {
    duration: within,
    onTimeout: () => new Cause.TimeoutException(`it did not happen within ${Duration.format(Duration.decode(within))}`)
  })
}

/** A client, and what happens before each of its statements. */
const watched = (sql: SqlClient.SqlClient, before: (statement: string) => Effect.Effect<void>): SqlClient.SqlClient =>
  new Proxy(sql, {
    get: (client, name) => {
      if (name === "withoutTransforms") return () => watched(client.withoutTransforms(), before)
      if (name !== "unsafe") return Reflect.get(client, name)
      return (text: string, params?: ReadonlyArray<unknown>) =>
        new Proxy(client.unsafe(text, params), {
          get: (statement, way) => {
            const found: unknown = Reflect.get(statement, way)
            return Effect.isEffect(found) ? Effect.zipRight(before(text), found) : found
          }
        })
    }
  })

/** The owner of buckets on this database, and what happens before each of its statements. */
const watchedOwner = (before: (statement: string) => Effect.Effect<void>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.provide(
      BucketOwner.BucketOwner,
      Layer.provide(SqlBucketOwner.layer({ lease }), Layer.succeed(SqlClient.SqlClient, watched(sql, before)))
    ))

/** Writes to a broker that keeps what it is given, in order. */
class Recorded extends Context.Tag("test/Recorded")<
  Recorded,
  Ref.Ref<ReadonlyArray<{ readonly room: string; readonly version: number }>>
>() {}

const layerRecording = Layer.effect(
  Broker.Broker,
  Effect.map(Recorded, (recorded) =>
    Broker.Broker.of({
      publish: (batch) =>
        Effect.sleep("2 millis").pipe(
          Effect.zipRight(Ref.update(recorded, (all) => [
            ...all,
            ...batch.map((message) => JSON.parse(new TextDecoder().decode(message.payload)))
          ])),
          Effect.as(batch.map(() => Broker.Outcome.Delivered()))
        ),
      consume: () => Effect.dieMessage("nobody consumes here"),
      sift: () => Effect.dieMessage("nobody consumes here")
    }))
).pipe(Layer.provideMerge(Layer.effect(Recorded, Ref.make<ReadonlyArray<{ room: string; version: number }>>([]))))

/**
 * What relays on one database promise each other, on a database of each kind. `layerNew` is a client on a new database;
 * `concurrent`: several transactions can write at once.
 */
export const leaseTests = (
  layerNew: () => Layer.Layer<SqlClient.SqlClient, unknown>,
  options: { readonly concurrent: boolean }
) => {
  type Services = Layer.Layer.Success<ReturnType<typeof SqlStorage.layer>> | SqlClient.SqlClient
  const provide = (effect: Effect.Effect<void, unknown, Services | Scope.Scope>) =>
    Effect.scoped(effect).pipe(
      Effect.provide(Layer.provideMerge(SqlStorage.layer({ migrate: true, buckets: 16, lease }), layerNew()))
    )

  it.live(
    "one relay owns everything; those that come get their shares; those that go give theirs back",
    () =>
      provide(Effect.gen(function*() {
        const owner = yield* BucketOwner.BucketOwner
        const first = yield* member(owner)
        assert.strictEqual((yield* first.holding).buckets.length, 16)
        const second = yield* member(owner)
        const sizes = Effect.all([first.holding, second.holding]).pipe(
          Effect.map((holdings) => holdings.map(({ buckets }) => buckets.length))
        )
        yield* eventually(sizes, ([a, b]) => a === 8 && b === 8)
        const third = yield* member(owner)
        const all = Effect.all([first.holding, second.holding, third.holding])
        const holdings = yield* eventually(all, (all) => all.every(({ buckets }) => buckets.length >= 5))
        assert.deepStrictEqual(
          holdings.flatMap(({ buckets }) => buckets).sort((a, b) => a - b),
          Array.from({ length: 16 }, (_, bucket) => bucket)
        )
        assert.strictEqual(new Set(holdings.map(({ token }) => token)).size, 3)
        yield* second.leave
        yield* third.leave
        yield* eventually(first.holding, ({ buckets }) => buckets.length === 16)
      })),
    30_000
  )

  it.live(
    "takes over from a relay that died, when its lease has run out and not before",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const owner = yield* BucketOwner.BucketOwner
        const dead = yield* member(owner)
        const { token } = yield* dead.holding
        yield* dead.leave
        // as after a kill: its row and its leases are there, and nobody renews
        const [row] = yield* sql.unsafe<{ readonly later: number | string }>(
          sql.onDialectOrElse({
            mysql: () => "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) + 1500000 as later",
            pg: () => "select (extract(epoch from clock_timestamp()) * 1000000)::bigint + 1500000 as later",
            orElse: () => "select cast((julianday('now') - 2440587.5) * 86400000000 as integer) + 1500000 as later"
          })
        )
        yield* sql.unsafe(`insert into cqrs_relay (id, expires_at) values (${token + 1000n}, ${row!.later})`)
        yield* sql.unsafe(`update cqrs_lease set relay_id = ${token + 1000n}`)
        const heir = yield* member(owner)
        assert.deepStrictEqual((yield* heir.holding).buckets, [])
        yield* eventually(heir.holding, ({ buckets }) => buckets.length === 16, "5 seconds")
        assert.isFalse(yield* settleOne(token + 1000n))
        assert.isTrue(yield* settleOne((yield* heir.holding).token))
      })),
    30_000
  )

  it.live(
    "a relay that was suspended settles nothing, and begins anew under another token",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const owner = yield* BucketOwner.BucketOwner
        const relay = yield* member(owner)
        const before = yield* relay.holding
        // somebody declares it dead
        yield* sql.unsafe(`delete from cqrs_relay where id = ${before.token}`)
        assert.isFalse(yield* settleOne(before.token))
        const after = yield* eventually(
          relay.holding,
          ({ buckets, token }) => token !== before.token && buckets.length === 16
        )
        assert.isTrue(after.token > before.token)
        assert.isTrue(yield* settleOne(after.token))
      })),
    30_000
  )

  if (options.concurrent) {
    const { Dead, Deferred: Put, Delivered } = OutboxStorage.Settlement
    const rest = { attempts: 1, reason: "test" }
    const settlements: ReadonlyArray<
      readonly [what: string, keep: boolean, of: (sequence: bigint) => OutboxStorage.Settlement]
    > = [
      ["what is delivered", false, (sequence) => Delivered({ sequence })],
      ["what is delivered and kept", true, (sequence) => Delivered({ sequence })],
      ["what is deferred", false, (sequence) => Put({ sequence, delay: Duration.hours(1), ...rest })],
      ["what is dead", false, (sequence) => Dead({ sequence, policy: "halt", ...rest })]
    ]
    for (const [what, keep, settlement] of settlements) {
      it.live(
        `a settlement of ${what} that waits for a takeover to commit changes nothing`,
        () =>
          provide(Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            const storage = yield* OutboxStorage.OutboxStorage
            const owner = yield* BucketOwner.BucketOwner
            const relay = yield* member(owner)
            const { token } = yield* relay.holding
            yield* announce("blue", 1)
            const before = yield* readAll
            const reaped = yield* Deferred.make<void>()
            const go = yield* Deferred.make<void>()
            const stale = token + 5000n
            yield* sql.unsafe(`insert into cqrs_relay (id, expires_at) values (${stale}, 0)`)
            const takeover = yield* Effect.fork(sql.withTransaction(
              sql.unsafe(`delete from cqrs_relay where id = ${stale}`).pipe(
                Effect.zipRight(Deferred.succeed(reaped, undefined)),
                Effect.zipRight(Deferred.await(go))
              )
            ))
            yield* Deferred.await(reaped)
            const settling = yield* Effect.fork(storage.settle(stale, [settlement(before[0]!.sequence)], { keep }))
            yield* Effect.sleep("200 millis")
            assert.isNull(settling.unsafePoll())
            yield* Deferred.succeed(go, undefined)
            yield* Fiber.join(takeover)
            assert.isFalse(yield* Fiber.join(settling))
            assert.deepStrictEqual(yield* readAll, before)
            assert.isTrue(yield* storage.settle(token, [settlement(before[0]!.sequence)], { keep }))
            assert.deepStrictEqual(yield* readAll, [])
          })),
        30_000
      )
    }
  }

  it.live(
    "a relay that comes while another one looks who is there keeps what it has claimed",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        let looks = 0
        const come = Effect.orDie(
          Effect.zipRight(
            sql.unsafe("insert into cqrs_relay (id, expires_at) values (1000, 9000000000000000)"),
            sql.unsafe("update cqrs_lease set relay_id = 1000 where bucket < 8")
          )
        )
        const owner = yield* watchedOwner((statement) =>
          Effect.suspend(() =>
            /^select .* from .?cqrs_(relay|lease)/s.test(statement) && ++looks === 2 ? come : Effect.void
          )
        )
        yield* owner.join
        assert.isAbove(looks, 1)
        const claimed = yield* sql.unsafe("select bucket from cqrs_lease where relay_id = 1000")
        assert.strictEqual(claimed.length, 8)
      })),
    30_000
  )

  it.live(
    "a relay that was too late for the buckets it wanted takes others at once",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql.unsafe("insert into cqrs_relay (id, expires_at) values (1000, 9000000000000000)")
        let isFirst = true
        const quicker = Effect.orDie(sql.unsafe("update cqrs_lease set relay_id = 1000 where bucket < 8"))
        const owner = yield* watchedOwner((statement) =>
          Effect.suspend(() => {
            if (!isFirst || !/suspect_deaths = suspect_deaths \+/.test(statement)) return Effect.void
            isFirst = false
            return quicker
          })
        )
        const relay = yield* owner.join
        assert.isFalse(isFirst)
        assert.deepStrictEqual((yield* relay.holding).buckets, [8, 9, 10, 11, 12, 13, 14, 15])
      })),
    30_000
  )

  it.live(
    "a relay whose lease has run out ends its token before it gives back what it held",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        let tokens: ReadonlyArray<bigint> = []
        const look = Effect.orDie(Effect.map(
          sql.unsafe<{ readonly id: number | string }>("select id from cqrs_relay"),
          (rows) => {
            tokens = rows.map(({ id }) => BigInt(id))
          }
        ))
        const owner = yield* watchedOwner((statement) => /set relay_id = null/.test(statement) ? look : Effect.void)
        const relay = yield* owner.join
        const { token } = yield* relay.holding
        yield* sql.unsafe(`update cqrs_relay set expires_at = 0 where id = ${token}`)
        const after = yield* eventually(
          relay.holding,
          (holding) => holding.token !== token && holding.buckets.length === 16
        )
        assert.deepStrictEqual(tokens, [after.token])
      })),
    30_000
  )

  if (options.concurrent) {
    it.live(
      "a lease that is renewed after it was no longer trusted is a change: what had to wait can go on",
      () =>
        provide(Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const owner = yield* BucketOwner.BucketOwner
          const relay = yield* owner.join
          const before = yield* relay.holding
          const version = yield* relay.changes.version
          const isTrusted = Effect.zipWith(
            relay.holding,
            Clock.currentTimeNanos,
            ({ trustedUntil }, now) => now < trustedUntil
          )
          // its renewal waits for the row
          yield* sql.withTransaction(
            sql.unsafe(`update cqrs_relay set expires_at = expires_at + 60000000 where id = ${before.token}`).pipe(
              Effect.zipRight(eventually(isTrusted, (trusted) => !trusted))
            )
          )
          assert.strictEqual(yield* relay.changes.version, version)
          yield* Effect.timeout(relay.changes.waitPast(version), "5 seconds")
          assert.isTrue(yield* isTrusted)
          assert.deepInclude(yield* relay.holding, { token: before.token, buckets: before.buckets })
        })),
      30_000
    )
  }

  it.live(
    "what is held is known without the database, changes with a signal, and is lost by release or with the token only",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const owner = yield* BucketOwner.BucketOwner
        const first = yield* owner.join
        const { buckets, surplus, token, trustedUntil } = yield* first.holding
        assert.strictEqual(buckets.length, 16)
        assert.deepStrictEqual(surplus, [])
        assert.isAbove(Number(trustedUntil - (yield* Clock.currentTimeNanos)), 0)
        assert.isAtMost(Number(trustedUntil - (yield* Clock.currentTimeNanos)), Duration.toMillis(lease) * 0.8 * 1e6)
        const version = yield* first.changes.version
        const second = yield* owner.join
        yield* first.changes.waitPast(version)
        const later = yield* first.holding
        assert.strictEqual(later.buckets.length, 16)
        assert.strictEqual(later.surplus.length, 8)
        assert.deepStrictEqual((yield* second.holding).buckets, [])
        const some = later.surplus.slice(0, 3)
        const before = yield* second.changes.version
        yield* first.release(some)
        assert.deepStrictEqual((yield* first.holding).buckets, buckets.filter((bucket) => !some.includes(bucket)))
        assert.deepStrictEqual((yield* first.holding).surplus, later.surplus.slice(3))
        // the other one of this process need not wait for its next turn
        yield* second.changes.waitPast(before)
        yield* eventually(second.holding, (holding) => holding.buckets.length === 3)
        assert.deepStrictEqual((yield* second.holding).buckets, some)
        assert.deepStrictEqual((yield* second.holding).suspicions, new Map())
        yield* sql.unsafe(`delete from cqrs_relay where id = ${token}`)
        const renewed = yield* eventually(first.holding, (holding) => holding.token !== token)
        assert.isAtMost(renewed.buckets.length, 13)
        const both = yield* eventually(
          Effect.all([first.holding, second.holding]),
          (all) => all[0].buckets.length + all[1].buckets.length === 16
        )
        // it had not died, and said so
        assert.deepStrictEqual(both[0].suspicions, new Map())
      })),
    30_000
  )

  it.live(
    "who watches sees the relays, how long they own what, and what they suspend, and changes nothing",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const owner = yield* BucketOwner.BucketOwner
        const everything = Array.from({ length: 16 }, (_, bucket) => bucket)
        const before = yield* owner.ownership
        assert.deepStrictEqual(before, { members: [], free: everything, suspicions: new Map() })
        assert.strictEqual((yield* sql`select bucket from cqrs_lease`).length, 0)

        const first = yield* member(owner)
        const second = yield* member(owner)
        const shares = eventually(
          Effect.all([first.holding, second.holding]),
          (holdings) => holdings.every(({ buckets }) => buckets.length === 8)
        )
        const holdings = yield* shares
        const since = DateTime.unsafeMake(1_700_000_000_000)
        const suspended = [
          { topic: undefined, reason: "no answer", since },
          { topic: "räume", reason: "it's \"missing\"", since }
        ]
        yield* second.report(suspended)
        const { free, members } = yield* owner.ownership
        assert.deepStrictEqual(free, [])
        assert.deepStrictEqual(
          members.map(({ buckets, token }) => ({ buckets, token })),
          holdings.map(({ buckets, token }) => ({ buckets: [...buckets].sort((a, b) => a - b), token }))
        )
        for (const { expiresIn } of members) {
          const millis = Duration.toMillis(expiresIn)
          assert.isTrue(millis > 0 && millis <= Duration.toMillis(lease), `it runs out in ${millis} ms`)
        }
        assert.deepStrictEqual(members.map((one) => one.suspended), [[], suspended])

        // somebody takes it for dead: it begins anew, and says again what it has said
        yield* sql.unsafe(`delete from cqrs_relay where id = ${holdings[1]!.token}`)
        const anew = yield* eventually(owner.ownership, (now) => now.members.some((one) => one.suspended.length > 0))
        assert.isTrue(anew.members.at(-1)!.token > holdings[1]!.token)
        yield* second.report([])
        yield* first.leave
        const left = yield* eventually(owner.ownership, (now) => now.members.length === 1)
        assert.deepStrictEqual(left.members[0]!.suspended, [])

        // one that was written by hand is none
        yield* sql.unsafe("update cqrs_relay set suspended = '[1'")
        assert.deepStrictEqual((yield* owner.ownership).members[0]!.suspended, [])
        yield* second.leave
        // the other one may have taken over for a moment, which counts as a death
        yield* sql.unsafe("update cqrs_lease set deaths = 0, suspect = null, suspect_deaths = 0")
        yield* sql.unsafe(
          "update cqrs_lease set relay_id = 77, deaths = 2, suspect = 5, suspect_deaths = 1 where bucket = 3"
        )
        const gone = yield* owner.ownership
        assert.deepStrictEqual(gone.free, everything)
        assert.deepStrictEqual([...gone.suspicions], [[3, { deaths: 2, suspect: { sequence: 5n, deaths: 1 } }]])
      })),
    30_000
  )

  it.live(
    "deaths are counted with the buckets and against the entry that was suspected, until there is an outcome",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const owner = yield* BucketOwner.BucketOwner
        /** A relay comes, takes over from those before it, does something, and is killed. */
        const life = (act: (membership: BucketOwner.Membership) => Effect.Effect<unknown, unknown>) =>
          Effect.scoped(Effect.gen(function*() {
            const membership = yield* owner.join
            const { suspicions, token } = yield* eventually(membership.holding, ({ buckets }) => buckets.length === 16)
            yield* act(membership)
            return { suspicions, token }
          })).pipe(
            // as after a kill: its leases are there, and it is not
            Effect.tap(({ token }) => sql.unsafe(`update cqrs_lease set relay_id = ${token}`))
          )
        const nothing = () => Effect.void
        const suspect = (sequence: bigint | undefined) => (membership: BucketOwner.Membership) =>
          Effect.map(membership.suspect(3, sequence), (noted) => assert.isTrue(noted))

        assert.deepStrictEqual((yield* life(suspect(7n))).suspicions, new Map())
        const second = yield* life(suspect(7n))
        assert.deepStrictEqual(second.suspicions.get(3), { deaths: 1, suspect: { sequence: 7n, deaths: 1 } })
        assert.deepStrictEqual(second.suspicions.get(4), { deaths: 1, suspect: undefined })
        assert.strictEqual(second.suspicions.size, 16)
        // the same suspect again keeps its count, another one begins
        const third = yield* life(suspect(7n))
        assert.deepStrictEqual(third.suspicions.get(3), { deaths: 2, suspect: { sequence: 7n, deaths: 2 } })
        const fourth = yield* life(suspect(9n))
        assert.deepStrictEqual(fourth.suspicions.get(3), { deaths: 3, suspect: { sequence: 7n, deaths: 3 } })
        const fifth = yield* life((membership) => membership.acquit([3, 4]))
        assert.deepStrictEqual(fifth.suspicions.get(3), { deaths: 4, suspect: { sequence: 9n, deaths: 1 } })
        const sixth = yield* life((membership) =>
          Effect.zipRight(suspect(9n)(membership), suspect(undefined)(membership))
        )
        assert.deepStrictEqual(sixth.suspicions.get(3), { deaths: 1, suspect: undefined })
        // it had an outcome before the death, which then speaks against no entry
        const seventh = yield* life(nothing)
        assert.deepStrictEqual(seventh.suspicions.get(3), { deaths: 2, suspect: undefined })
        assert.deepStrictEqual(seventh.suspicions.get(5), { deaths: 6, suspect: undefined })

        yield* Effect.scoped(Effect.gen(function*() {
          const last = yield* owner.join
          yield* eventually(last.holding, ({ buckets }) => buckets.length === 16)
          yield* last.suspect(3, 11n)
          yield* last.acquit(Array.from({ length: 16 }, (_, bucket) => bucket))
          assert.deepStrictEqual((yield* last.holding).suspicions, new Map())
          yield* last.suspect(3, 12n)
          // given back, not died over
          yield* last.release([3])
          yield* eventually(last.holding, ({ buckets }) => buckets.length === 16)
          assert.deepStrictEqual((yield* last.holding).suspicions, new Map())
        }))
        const leases = yield* sql.unsafe<{ readonly relay_id: unknown; readonly deaths: unknown }>(
          "select relay_id, deaths from cqrs_lease"
        )
        assert.deepStrictEqual(leases.map((one) => [one.relay_id, Number(one.deaths)]), leases.map(() => [null, 0]))
      })),
    60_000
  )

  // SQLite answers at once, or holds up everybody
  if (options.concurrent) {
    it.live(
      "a report that the database does not answer stands before no renewal, and before no new token",
      () =>
        provide(Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          let isAnswered = true
          const owner = yield* watchedOwner((statement) =>
            !isAnswered && / set suspended = /.test(statement) ? Effect.never : Effect.void
          )
          const relay = yield* owner.join
          const suspended = [{ topic: "leases", reason: "no such topic", since: DateTime.unsafeMake(0) }]
          yield* relay.report(suspended)
          isAnswered = false
          const isTrusted = Effect.zipWith(
            relay.holding,
            Clock.currentTimeNanos,
            ({ buckets, trustedUntil }, now) => buckets.length === 16 && now < trustedUntil
          )
          const { token } = yield* relay.holding
          yield* Effect.forkScoped(relay.report(suspended))
          yield* Effect.sleep(Duration.times(lease, 1.5))
          assert.isTrue(yield* isTrusted)
          assert.strictEqual((yield* relay.holding).token, token)
          yield* sql.unsafe(`delete from cqrs_relay where id = ${token}`)
          yield* eventually(relay.holding, (holding) => holding.token !== token)
          yield* eventually(isTrusted, (is) => is)
          yield* Effect.sleep(Duration.times(lease, 1.5))
          assert.isTrue(yield* isTrusted)
        })),
      30_000
    )
  }

  it.live(
    "nobody is suspected under a token that was superseded, nor in a bucket of another's",
    () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const owner = yield* BucketOwner.BucketOwner
        const relay = yield* owner.join
        const { token } = yield* relay.holding
        assert.isTrue(yield* relay.suspect(2, 5n))
        assert.isTrue(yield* relay.suspect(2, 5n))
        yield* sql.unsafe(`update cqrs_lease set relay_id = ${token + 100n} where bucket = 2`)
        assert.isFalse(yield* relay.suspect(2, 6n))
        yield* sql.unsafe(`delete from cqrs_relay where id = ${token}`)
        assert.isFalse(yield* relay.suspect(3, 6n))
        const [noted] = yield* sql.unsafe<{ readonly suspect: unknown }>(
          "select suspect from cqrs_lease where bucket = 2"
        )
        assert.strictEqual(Number(noted!.suspect), 5)
      })),
    30_000
  )

  it.live(
    "four relays share the work of many writers: nothing is lost, repeated or out of order",
    () =>
      Effect.gen(function*() {
        const rooms = 40
        const versions = 25
        const relays = yield* Effect.forEach(
          Array.from({ length: 4 }),
          () => Layer.build(Layer.fresh(Relay.layer({ batchSize: 20, pollInterval: "20 millis" })))
        )
        assert.strictEqual(relays.length, 4)
        yield* Effect.forEach(
          Array.from({ length: rooms }, (_, room) => room),
          (room) =>
            Effect.forEach(
              Array.from({ length: versions }, (_, version) => version),
              (version) =>
                Effect.ignore(Transaction.run(
                  Effect.zipRight(
                    Outbox.add(new Changed({ room: `room ${room}`, version })),
                    (room + version) % 7 === 0 ? Effect.fail("rolled back") : Effect.void
                  )
                )).pipe(
                  // SQLite's driver waits for nothing: without this no timer fires, and no lease is renewed
                  Effect.zipLeft(Effect.sleep(0))
                ),
              { discard: true }
            ),
          { concurrency: 8, discard: true }
        )
        const expected = Array.from({ length: rooms }, (_, room) =>
          Array.from({ length: versions }, (_, version) =>
            version).filter((version) => (room + version) % 7 !== 0))
        const recorded = yield* Recorded
        const count = expected.flat().length
        yield* eventually(Ref.get(recorded), (all) =>
          all.length >= count, "20 seconds")
        yield* Effect.sleep("300 millis")
        const all = yield* Ref.get(recorded)
        for (const [room, wanted] of expected.entries()) {
          assert.deepStrictEqual(
            all.filter((one) => one.room === `room ${room}`).map(({ version }) => version),
            wanted
          )
        }
        assert.strictEqual(all.length, count)
      }).pipe(
        Effect.scoped,
        Effect.provide(layerRecording.pipe(
          // long enough for a machine that has other things to do
          Layer.provideMerge(SqlStorage.layer({ migrate: true, buckets: 16, lease: "30 seconds" })),
          Layer.provideMerge(Layer.suspend(layerNew))
        ))
      ),
    60_000
  )
}

const announce = (room: string, version: number) => Transaction.run(Outbox.add(new Changed({ room, version })))

const readAll = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
  storage.read({
    from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
    limit: 10,
    maxBytes: 1e6,
    exceptTopics: []
  }))

/** Whether a settlement with this token takes effect; if it says no, nothing was changed. */
const settleOne = (token: bigint) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    yield* announce("blue", 1)
    const [entry] = yield* readAll
    const { sequence } = entry!
    const attempts = Effect.map(storage.pending([sequence]), (found) => found.map((one) => one.attempts))
    const { Deferred, Delivered } = OutboxStorage.Settlement
    const rest = { attempts: 1, delay: Duration.zero, reason: "test" }
    const changed = yield* storage.settle(token, [Deferred({ sequence, ...rest })])
    assert.deepStrictEqual(yield* attempts, changed ? [1] : [0])
    const removed = yield* storage.settle(token, [Delivered({ sequence })])
    assert.strictEqual(removed, changed)
    assert.deepStrictEqual(yield* attempts, removed ? [] : [0])
    yield* storage.settle(0n, [Delivered({ sequence })])
    return removed
  })

export const badLease = SqlBucketOwner.layer({ lease: 0 })
