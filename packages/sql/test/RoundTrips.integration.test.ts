import { Inbox } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import type { Connection } from "@effect/sql/SqlConnection"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { layerStatements, onEachServer } from "./servers.ts"

/** What goes over the connections of transactions, a round trip each. */
class Sent extends Context.Tag("test/Sent")<Sent, Array<string>>() {}

const layerWatched = Layer.effectContext(Effect.gen(function*() {
  const client = yield* SqlClient.SqlClient
  const sent: Array<string> = []
  const note = (text: string) => Effect.sync(() => sent.push(text))
  const watched = (connection: Connection): Connection =>
    Object.assign(
      Object.create(connection) as Connection,
      {
        execute: (...args) => Effect.zipRight(note(args[0]), connection.execute(...args)),
        executeRaw: (...args) => Effect.zipRight(note(args[0]), connection.executeRaw(...args)),
        executeUnprepared: (...args) => Effect.zipRight(note(args[0]), connection.executeUnprepared(...args))
      } satisfies Partial<Connection>
    )
  const sql = Object.assign((...args: [any]) => client(...args), client, {
    reserve: Effect.map(client.reserve, watched)
  })
  return Context.make(SqlClient.SqlClient, sql as SqlClient.SqlClient).pipe(Context.add(Sent, sent))
}))

onEachServer((server, url) => {
  const layer = SqlStorage.layer({ migrate: true }).pipe(
    Layer.merge(layerStatements(["create table facts (id varchar(255) primary key)"])),
    Layer.provideMerge(layerWatched),
    Layer.provide(server.layerNew(url))
  )
  const handle = (messageId: string, options?: Inbox.Options & { readonly careful?: undefined }) =>
    Inbox.process(
      { consumer: "c", handler: "h", source: "/s", messageId },
      Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into facts values (${messageId})`),
      options
    )
  const begin = "SET autocommit = 0; SAVEPOINT cqrs_guard"
  const end = "RELEASE SAVEPOINT cqrs_guard; COMMIT; SET autocommit = 1"
  const insert = "insert into facts values (?)"
  const marks = (text: string) => text.replace(/insert into cqrs_inbox .*/, "(mark)")

  if (server.name === "PostgreSQL") {
    it.live("a message is marked between its transaction's beginning and its handler", () =>
      Effect.gen(function*() {
        const sent = yield* Sent
        sent.length = 0
        yield* handle("1")
        assert.deepStrictEqual(sent.map(marks), ["BEGIN", "(mark)", "insert into facts values ($1)", "COMMIT"])
      }).pipe(Effect.provide(layer)), 60_000)
    return
  }

  it.live("a message is marked in the round trip that begins its transaction", () =>
    Effect.gen(function*() {
      const sent = yield* Sent
      // its connection is asked for its id
      yield* handle("1")
      sent.length = 0
      yield* handle("2")
      assert.deepStrictEqual(sent.map(marks), [`${begin}; (mark)`, insert, end])
    }).pipe(Effect.provide(layer)), 60_000)

  it.live("one that is a duplicate, too, and its connection goes back as it came", () =>
    Effect.gen(function*() {
      const sent = yield* Sent
      yield* handle("1")
      sent.length = 0
      assert.deepStrictEqual(yield* handle("1"), { _tag: "Duplicate" })
      assert.deepStrictEqual(sent.map(marks), [`${begin}; (mark)`, `${begin}; ${end}`])
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql<{ readonly autocommit: number }>`select @@autocommit as autocommit`
      assert.strictEqual(row!.autocommit, 1)
    }).pipe(Effect.provide(layer)), 60_000)

  it.live(
    "at an isolation level of its own the transaction begins before, as that cannot be set in it",
    () =>
      Effect.gen(function*() {
        const sent = yield* Sent
        yield* handle("1")
        sent.length = 0
        yield* handle("2", { isolation: "Serializable" })
        assert.deepStrictEqual(sent.map(marks), [
          `SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; ${begin}`,
          "(mark)",
          insert,
          end
        ])
        assert.deepStrictEqual(yield* handle("2", { isolation: "Serializable" }), { _tag: "Duplicate" })
      }).pipe(Effect.provide(layer)),
    60_000
  )
})
