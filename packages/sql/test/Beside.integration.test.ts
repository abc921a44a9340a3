import { BucketOwner, Event, Outbox, OutboxStorage, Transaction } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Duration, Effect, Fiber, Layer, Random, Schema } from "effect"
import { layerStatements, onEachServer } from "./servers.ts"

class Noted extends Event.notification<Noted>()("noted", {
  topic: "notes",
  payload: { key: Schema.String, n: Schema.Number },
  key: (event) => event.key
}) {}

const { Dead, Deferred: Put, Delivered } = OutboxStorage.Settlement

const rest = { attempts: 1, reason: "test" }

/** An application's transaction, at the isolation that InnoDB has unless told otherwise. */
const business = <A, E, R>(effect: Effect.Effect<A, E, R>) => Transaction.run(effect, { isolation: "RepeatableRead" })

const note = (key: string, n = 0) => Outbox.add(new Noted({ key, n }))

const read = (limit: number) =>
  Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
    storage.read({
      from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
      exceptTopics: [],
      limit,
      maxBytes: Number.MAX_SAFE_INTEGER
    }))

/** Somebody who waits for a lock waits longer. */
class Waits extends Data.TaggedError("Waits")<{ readonly message: string }> {}

const atOnce = (what: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutFail(effect, {
    duration: "3 seconds",
    onTimeout: () => new Waits({ message: `${what} waits for a lock` })
  })

const storage = SqlStorage.layer({ migrate: true, buckets: 4 })

onEachServer((server, url) => {
  describe("the relay beside an application's transactions at REPEATABLE READ", () => {
    const layer = Layer.provideMerge(
      Layer.provideMerge(
        storage,
        layerStatements(["create table facts (id int primary key, n int not null)", "insert into facts values (1, 0)"])
      ),
      server.layerNew(url)
    )

    it.scopedLive(
      "waits for none that has stored events and is still open, whatever it does",
      () =>
        Effect.gen(function*() {
          const outbox = yield* OutboxStorage.OutboxStorage
          const owner = yield* BucketOwner.BucketOwner
          yield* business(Effect.forEach(Array.from({ length: 12 }, (_, n) => n), (n) => note(`key ${n}`)))
          const all = (yield* read(100)).map(({ sequence }) => sequence)
          const placed = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const open = yield* Effect.fork(business(Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            yield* sql`update facts set n = n + 1 where id = 1`
            // its snapshot has seen all rows, and new ones are at the end of each bucket and of the table
            yield* sql`select count(*) from cqrs_outbox`
            for (let n = 0; n < 12; n++) {
              yield* outbox.append([message(`open ${n}`)])
            }
            yield* Deferred.succeed(placed, undefined)
            yield* Deferred.await(go)
          })))
          yield* Deferred.await(placed)
          const relay = yield* atOnce("joining")(owner.join)
          const { token } = yield* relay.holding
          const settle = (settlements: ReadonlyArray<OutboxStorage.Settlement>, keep = false) =>
            atOnce("a settlement")(outbox.settle(token, settlements, { keep }))
          assert.strictEqual((yield* atOnce("reading")(read(100))).length, 12)
          const last = all.at(-1)!
          // more than there are rows, so that a scan of all of them would look cheaper, and stop at those of others
          const absent = Array.from({ length: 1200 }, (_, n) => last + 100_000n + BigInt(n))
          const gone = absent.map((sequence) => Delivered({ sequence }))
          assert.isTrue(yield* settle([Delivered({ sequence: all[0]! }), Delivered({ sequence: last }), ...gone]))
          // twice, so that what it looks for is missing, at the end of the index
          assert.isTrue(yield* settle([Delivered({ sequence: all[0]! }), Delivered({ sequence: last })]))
          yield* settle([Delivered({ sequence: all[1]! }), ...gone], true)
          yield* settle([
            Delivered({ sequence: last }),
            Put({ sequence: all[2]!, delay: Duration.hours(1), ...rest }),
            Dead({ sequence: all[3]!, policy: "halt", ...rest }),
            Dead({ sequence: all[4]!, policy: "skip", ...rest }),
            Dead({ sequence: all[5]!, policy: "skip", ...rest }),
            Dead({ sequence: last, policy: "halt", ...rest }),
            ...absent.map((sequence) => Dead({ sequence, policy: "skip", ...rest })),
            ...absent.map((sequence) => Put({ sequence, delay: Duration.hours(1), ...rest }))
          ])
          yield* atOnce("looking")(outbox.pending(absent))
          yield* atOnce("waiting")(outbox.waiting([0, 1, 2, 3]))
          yield* atOnce("statistics")(outbox.statistics)
          assert.strictEqual(yield* atOnce("redriving")(outbox.redrive([all[3]!, last, ...absent])), 1)
          assert.strictEqual(yield* atOnce("discarding")(outbox.discard([all[4]!, last, ...absent])), 1)
          assert.strictEqual((yield* atOnce("listing")(outbox.deadLetters({ limit: 10 }))).length, 1)
          yield* atOnce("purging")(outbox.purge({ olderThan: Duration.zero, limit: 100 }))
          yield* atOnce("suspecting")(relay.suspect(1, 5n))
          yield* atOnce("releasing")(relay.release([1, 2]))
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(open)
          assert.strictEqual((yield* read(100)).length, 6 + 12)
        }).pipe(Effect.scoped, Effect.provide(layer)),
      60_000
    )

    it.scopedLive(
      "lets them store events while it is at work, even if what it looks for at the end of the index is not there",
      () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const outbox = yield* OutboxStorage.OutboxStorage
          const owner = yield* BucketOwner.BucketOwner
          const relay = yield* owner.join
          const { token } = yield* relay.holding
          yield* business(Effect.forEach(Array.from({ length: 8 }, (_, n) => n), (n) => note(`key ${n}`)))
          const all = (yield* read(100)).map(({ sequence }) => sequence)
          const [first, second, third, fourth] = all
          /** At REPEATABLE READ, who looks for it locks the end of the index, where inserts go. */
          const beyond = all.at(-1)! + 100_000n
          yield* outbox.settle(token, [
            Dead({ sequence: first!, policy: "halt", ...rest }),
            Dead({ sequence: second!, policy: "halt", ...rest })
          ])
          /** Runs a statement of the relay's that is held up by a lock half-way, and an application's beside it. */
          const beside = (what: string, lock: string, effect: Effect.Effect<unknown, unknown>) =>
            Effect.scoped(Effect.gen(function*() {
              const held = yield* Deferred.make<void>()
              const go = yield* Deferred.make<void>()
              const holding = yield* Effect.fork(sql.withTransaction(
                Effect.zipRight(
                  sql.unsafe(lock),
                  Effect.zipRight(Deferred.succeed(held, undefined), Deferred.await(go))
                )
              ))
              yield* Deferred.await(held)
              const relaying = yield* Effect.fork(effect)
              yield* Effect.sleep("100 millis")
              assert.isNull(relaying.unsafePoll(), `${what} is held up`)
              yield* atOnce(`an application beside ${what}`)(
                business(Effect.forEach(Array.from({ length: 8 }, (_, n) => n), (n) => note(`beside ${what} ${n}`)))
              )
              yield* Deferred.succeed(go, undefined)
              yield* Fiber.join(holding)
              yield* Fiber.join(relaying)
            }))
          const setting = "select * from cqrs_settings where name = 'revision' for update"
          yield* beside("redriving", setting, outbox.redrive([first!, beyond]))
          yield* beside("discarding", setting, outbox.discard([second!, beyond]))
          yield* beside(
            "a settlement",
            `select * from cqrs_outbox where sequence = ${third} for update`,
            outbox.settle(token, [Delivered({ sequence: beyond }), Dead({ sequence: third!, policy: "halt", ...rest })])
          )
          yield* beside(
            "a settlement of what is delivered",
            `select * from cqrs_outbox where sequence = ${fourth} for update`,
            outbox.settle(token, [Delivered({ sequence: fourth! }), Delivered({ sequence: beyond })])
          )
        }).pipe(Effect.scoped, Effect.provide(layer)),
      60_000
    )

    it.scopedLive(
      "makes none of them a victim, and is none, while both are at work",
      () =>
        Effect.gen(function*() {
          const outbox = yield* OutboxStorage.OutboxStorage
          const owner = yield* BucketOwner.BucketOwner
          const relay = yield* owner.join
          const { token } = yield* relay.holding
          const seen = new Set<bigint>()
          let stored = 0
          const writer = (key: number) =>
            Effect.forEach(Array.from({ length: 40 }, (_, n) => n), (n) =>
              // without a retry: a victim fails
              business(Effect.gen(function*() {
                const sql = yield* SqlClient.SqlClient
                yield* sql`select * from cqrs_outbox order by sequence desc limit 5`
                yield* sql`insert into facts values (${key * 1000 + n}, ${n})`
                yield* note(`key ${key}`, n)
                yield* note(`key ${key + 1}`, n)
              })).pipe(Effect.tap(() => Effect.sync(() => stored += 2))))
          const working = Effect.gen(function*() {
            const entries = yield* read(30)
            const settlements: Array<OutboxStorage.Settlement> = []
            for (const { sequence } of entries) {
              const dice = yield* Random.nextIntBetween(0, 10)
              if (dice < 7) {
                settlements.push(Delivered({ sequence }))
                seen.add(sequence)
              } else if (dice < 8) settlements.push(Put({ sequence, delay: Duration.zero, ...rest }))
              else settlements.push(Dead({ sequence, policy: "halt", ...rest }))
            }
            const keep = yield* Random.nextBoolean
            assert.isTrue(yield* outbox.settle(token, settlements, { keep }))
            // once more: what it looks for is gone
            yield* outbox.settle(token, settlements.slice(0, 10), { keep })
            const due = (yield* outbox.waiting([0, 1, 2, 3])).filter((one) => one.due !== undefined)
            // before: it may be interrupted once they are settled
            for (const { sequence } of due) seen.add(sequence)
            yield* outbox.settle(token, due.map(({ sequence }) => Delivered({ sequence })))
            const letters = (yield* outbox.deadLetters({ limit: 20 })).map(({ sequence }) => sequence)
            yield* outbox.redrive(letters)
            yield* outbox.discard([1n, 2n, 999_999n])
            yield* outbox.purge({ olderThan: Duration.zero, limit: 10 })
            yield* outbox.statistics
          })
          const relaying = yield* Effect.fork(Effect.forever(working))
          yield* Effect.forEach([1, 3, 5, 7, 9, 11], writer, { concurrency: "unbounded", discard: true })
          const failed = relaying.unsafePoll()
          assert.isNull(failed, `the relay has failed: ${failed}`)
          yield* Fiber.interrupt(relaying)
          assert.strictEqual(stored, 480)
          yield* Effect.repeat(working, {
            until: () => Effect.map(outbox.statistics, ({ dead, pending }) => dead + pending === 0)
          })
          assert.strictEqual(seen.size, 480)
        }).pipe(Effect.scoped, Effect.provide(layer)),
      60_000
    )
  })
})

let count = 0

const message = (key: string) => ({
  id: `beside-${++count}`,
  name: "noted",
  kind: "notification" as const,
  version: 1,
  topic: "notes",
  key,
  source: "",
  time: 0,
  correlationId: "c",
  causationId: undefined,
  traceparent: undefined,
  sequence: undefined,
  contentType: "application/json",
  contentEncoding: "identity",
  headers: {},
  payload: new Uint8Array(3)
})
