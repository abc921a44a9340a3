import { Inbox, Transaction } from "@effect-cqrs/core"
import { SqlInboxStorage, SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer } from "effect"
import { onEachServer, Other } from "./servers.ts"

const keyOf = (messageId: string): Inbox.Key => ({ consumer: "c", handler: "h", source: "/s", messageId })

const registerAll = (prefix: string, count: number) =>
  Effect.flatMap(Inbox.InboxStorage, (storage) =>
    Transaction.run(Effect.forEach(
      Array.from({ length: count }, (_, n) => `${prefix}${n}`),
      (id) => storage.register(keyOf(id)),
      { discard: true }
    )))

const makeOld = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`update cqrs_inbox set handled_at = handled_at - 1e12`)

const keys = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ readonly n: number | string }>`select count(*) as n from cqrs_inbox`,
    ([row]) => Number(row!.n)
  ))

const purge = Effect.flatMap(Inbox.InboxStorage, (storage) => storage.purge({ limit: 1000 }))

const soon = Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => "it waits for another" as const })

onEachServer((server, url) => {
  const database = Layer.provideMerge(
    SqlStorage.layer({ migrate: true, inboxRetention: "1 day" }),
    server.layerNew(url)
  )
  const ground = Layer.provideMerge(server.layerOther(url), database)

  describe(`${server.name}: the purge of the inbox`, () => {
    for (const isolation of ["ReadCommitted", "RepeatableRead"] as const) {
      it.scopedLive(`neither waits for a transaction at ${isolation} that registers, nor holds up one`, () =>
        Effect.gen(function*() {
          yield* registerAll("old", 10)
          yield* makeOld
          const begun = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const open = yield* Effect.fork(Inbox.process(
            keyOf("open"),
            Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(go)),
            { isolation }
          ))
          yield* Deferred.await(begun)
          assert.strictEqual(yield* soon(purge), 10)
          for (const id of ["a", "old5", "zzz"]) {
            assert.strictEqual((yield* soon(Inbox.process(keyOf(id), Effect.void, { isolation })))._tag, "Handled")
          }
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(open)
          assert.strictEqual(yield* keys, 4)
        }).pipe(Effect.provide(ground)))

      it.scopedLive(`that is itself held up in the middle lets others at ${isolation} register`, () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* registerAll("old", 10)
          yield* makeOld
          const hold = (id: string) =>
            Effect.gen(function*() {
              const begun = yield* Deferred.make<void>()
              const go = yield* Deferred.make<void>()
              const fiber = yield* Effect.fork(Transaction.run(
                sql`select 1 from cqrs_inbox where ${here(id)} for update`.pipe(
                  Effect.zipRight(Deferred.succeed(begun, undefined)),
                  Effect.zipRight(Deferred.await(go))
                ),
                { isolation: "ReadCommitted" }
              ))
              yield* Deferred.await(begun)
              return Effect.zipRight(Deferred.succeed(go, undefined), Fiber.join(fiber))
            })
          const here = (id: string) => sql`consumer = 'c' and handler = 'h' and source = '/s' and message_id = ${id}`
          const release = [yield* hold("old0"), yield* hold("old9")]
          const purging = yield* Effect.fork(purge)
          yield* Effect.sleep("100 millis")
          // one of those it wants to remove is gone when it comes to it
          yield* sql`delete from cqrs_inbox where ${here("old5")}`
          yield* release[0]!
          yield* Effect.sleep("100 millis")
          for (const id of ["a", "old45", "old55", "old95", "zzz"]) {
            assert.strictEqual((yield* soon(Inbox.process(keyOf(id), Effect.void, { isolation })))._tag, "Handled", id)
          }
          yield* release[1]!
          yield* Fiber.join(purging)
          yield* purge
          assert.strictEqual(yield* keys, 5)
        }).pipe(Effect.provide(ground)))
    }

    it.scopedLive("from two processes at once removes each key once, while others register", () =>
      Effect.gen(function*() {
        const other = Context.get(
          yield* Layer.build(
            Layer.fresh(SqlInboxStorage.layer({ inboxRetention: "1 day" })).pipe(
              Layer.provide(Layer.effect(SqlClient.SqlClient, Other))
            )
          ),
          Inbox.InboxStorage
        )
        const own = yield* Inbox.InboxStorage
        yield* registerAll("old", 3000)
        yield* makeOld
        let purged = 0
        const toTheEnd = (storage: typeof own) =>
          Effect.repeat(
            Effect.tap(storage.purge({ limit: 100 }), (count) => Effect.sync(() => void (purged += count))),
            { while: (count) => count > 0 }
          )
        yield* Effect.all([
          toTheEnd(own),
          toTheEnd(other),
          toTheEnd(own),
          toTheEnd(other),
          Effect.forEach(
            Array.from({ length: 50 }, (_, n) => `young${n}`),
            (id) => Inbox.process(keyOf(id), Effect.void)
          )
        ], { concurrency: "unbounded" })
        yield* toTheEnd(own)
        assert.strictEqual(yield* keys, 50)
        assert.strictEqual(purged, 3000)
      }).pipe(Effect.provide(ground)))
  })
})
