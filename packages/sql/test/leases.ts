import { Broker, BucketOwner, Event, Outbox, OutboxStorage, Relay, Transaction } from "@effect-cqrs/core"
import { SqlBucketOwner, SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, it } from "@effect/vitest"
import { Cause, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Ref, Schema, Scope } from "effect"

class Changed extends Event.ecst<Changed>()("changed", {
  topic: "leases",
  payload: { room: Schema.String, version: Schema.Number },
  key: (event) => event.room
}) {}

const lease = Duration.millis(1500)

/** A relay's membership, and how it ends. */
const member = (owner: BucketOwner.BucketOwner["Type"]) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const membership = yield* Scope.extend(owner.join, scope)
    return { holding: membership.holding, leave: Scope.close(scope, Exit.void) }
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
      consume: () => Effect.dieMessage("nobody consumes here")
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
    it.live("a settlement that waits for a takeover to commit changes nothing", () =>
      provide(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const storage = yield* OutboxStorage.OutboxStorage
        const owner = yield* BucketOwner.BucketOwner
        const relay = yield* member(owner)
        const { token } = yield* relay.holding
        for (const others of [false, true]) {
          yield* announce("blue", 1)
          const [entry] = yield* readAll
          const reaped = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const stale = token + 5000n + BigInt(others)
          yield* sql.unsafe(`insert into cqrs_relay (id, expires_at) values (${stale}, 0)`)
          const takeover = yield* Effect.fork(sql.withTransaction(
            sql.unsafe(`delete from cqrs_relay where id = ${stale}`).pipe(
              Effect.zipRight(Deferred.succeed(reaped, undefined)),
              Effect.zipRight(Deferred.await(go))
            )
          ))
          yield* Deferred.await(reaped)
          const { sequence } = entry!
          const settling = yield* Effect.fork(storage.settle(
            stale,
            others
              ? [OutboxStorage.Settlement.Dead({ sequence, attempts: 1, policy: "halt", reason: "test" })]
              : [OutboxStorage.Settlement.Delivered({ sequence })]
          ))
          yield* Effect.sleep("200 millis")
          assert.isNull(settling.unsafePoll())
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(takeover)
          assert.isFalse(yield* Fiber.join(settling))
          assert.deepStrictEqual((yield* readAll).map((one) => one.sequence), [sequence])
          yield* storage.settle(0n, [OutboxStorage.Settlement.Delivered({ sequence })])
        }
      })), 30_000)
  }

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
                )),
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
          Layer.provideMerge(SqlStorage.layer({ migrate: true, buckets: 16, lease: "6 seconds" })),
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
    const deferred = OutboxStorage.Settlement.Deferred({
      sequence,
      attempts: 1,
      delay: Duration.zero,
      reason: "test"
    })
    const changed = yield* storage.settle(token, [deferred])
    assert.strictEqual((yield* readAll)[0]!.attempts, changed ? 1 : 0)
    const removed = yield* storage.settle(token, [OutboxStorage.Settlement.Delivered({ sequence })])
    assert.strictEqual(removed, changed)
    assert.strictEqual((yield* readAll).length, removed ? 0 : 1)
    yield* storage.settle(0n, [OutboxStorage.Settlement.Delivered({ sequence })])
    return removed
  })

export const badLease = SqlBucketOwner.layer({ lease: 0 })
