import { Broker, Consumer, Event, type Message, Subscribers } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { Fixtures } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schedule, Schema } from "effect"
import { layerStatements, onEachServer } from "./servers.ts"

class Noted extends Event.notification<Noted>()("noted", { topic: "notes", payload: { n: Schema.Number } }) {}

const messageOf = (n: number): Message.Message => ({
  id: `note-${n}`,
  name: "noted",
  kind: "notification",
  version: 1,
  topic: "notes",
  key: String(n % 3),
  source: "/tests",
  time: 0,
  correlationId: "c",
  causationId: undefined,
  traceparent: undefined,
  sequence: undefined,
  contentType: "application/json",
  contentEncoding: "identity",
  headers: {},
  payload: new TextEncoder().encode(JSON.stringify({ n }))
})

/** A few are poison: a duplicate key, which the database refuses, in the middle of a batch. */
const poison = (n: number) => n >= 100 && n % 97 === 0

const Handlers = Subscribers.layer(
  Noted,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    write: ({ n }: Noted) =>
      sql`insert into facts (n, copy) values (${n}, ${poison(n) ? 0 : n})` as Effect.Effect<unknown, unknown>
  }))
)

const layer = Layer.provideMerge(
  SqlStorage.layer({ migrate: true }),
  layerStatements(["create table if not exists facts (n integer not null, copy integer primary key)"])
)

onEachServer((server, url) => {
  describe(`batches on ${server.name}`, () => {
    it.live("what is delivered again and what fails in mid-batch: each effect once, the rest dead letters", () =>
      Effect.scoped(Effect.gen(function*() {
        const broker = yield* Broker.Broker
        const sql = yield* SqlClient.SqlClient
        const messages = Array.from({ length: 400 }, (_, n) => messageOf(n))
        yield* broker.publish(messages.flatMap((message, n) => n % 10 === 0 ? [message, message] : [message]))
        yield* Layer.build(
          Consumer.layer({
            subscription: { group: "g" },
            events: [Noted],
            inbox: true,
            batch: { size: 32 },
            retry: Schedule.stop
          }).pipe(Layer.provide(Handlers))
        )
        const good = messages.flatMap((_, n) => poison(n) ? [] : [n])
        yield* Fixtures.eventually(
          "all that is well is written",
          Effect.map(sql<{ n: number }>`select n from facts order by n`, (rows) => rows.map(({ n }) => n)),
          (found) => found.length >= good.length
        )
        const found = yield* sql<{ n: number }>`select n from facts order by n`
        assert.deepStrictEqual(found.map(({ n }) => n), good)
        const letters: Array<string> = []
        yield* Fixtures.eventually(
          "the rest is dead letters",
          Effect.zipRight(
            Effect.sync(() => letters.splice(0)),
            Effect.as(
              broker.sift({ topic: "g.dead-letters", group: "g.dead-letters" }, ({ message }) => {
                letters.push(message.id)
                return Effect.succeed("kept")
              }),
              letters
            )
          ),
          ({ length }) => length >= 3
        )
        assert.sameMembers([...new Set(letters)], ["note-194", "note-291", "note-388"])
      })).pipe(
        Effect.provide(
          Layer.mergeAll(
            Layer.provideMerge(layer, server.layerNew(url)),
            Broker.layerMemory(),
            Logger.remove(Logger.defaultLogger)
          )
        )
      ))
  })
})
