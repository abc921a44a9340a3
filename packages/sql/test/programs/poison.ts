import { Broker, Consumer, Event, Message, Subscribers } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Either, Layer, Logger, Schema } from "effect"

class Noted extends Event.notification<Noted>()("noted", { topic: "notes", payload: { n: Schema.Number } }) {}

const [filename, poison, concurrency] = process.argv.slice(2) as [string, string, string]

const messageOf = (n: number): Message.Message =>
  Either.getOrThrow(Message.fromAttributes({ id: `${n}`, type: "noted", source: "/tests" }, {
    topic: "notes",
    headers: {},
    payload: new TextEncoder().encode(JSON.stringify({ n }))
  }))

const Handlers = Subscribers.layer(
  Noted,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    write: (event: Noted) =>
      Effect.zipRight(
        sql`insert into facts (n) values (${event.n})`,
        Effect.sync(() => {
          if (`${event.n}` === poison) process.kill(process.pid, "SIGKILL")
        })
      )
  }))
)

const Main = Consumer.layer({
  subscription: { group: "g" },
  events: [Noted],
  inbox: true,
  concurrency: Number(concurrency)
}).pipe(
  Layer.provide(Handlers),
  Layer.provide(SqlStorage.layer({ migrate: true })),
  Layer.provideMerge(Broker.layerMemory()),
  Layer.provideMerge(
    Layer.effectDiscard(
      Effect.flatMap(SqlClient.SqlClient, (sql) => sql`create table if not exists facts (n integer primary key)`)
    )
  ),
  Layer.provideMerge(SqliteClient.layer({ filename })),
  Layer.provide(Logger.remove(Logger.defaultLogger))
)

/** Handles four messages as a broker hands them out after each crash, prints what became a dead letter, and ends. */
await Effect.runPromise(Effect.scoped(
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const broker = yield* Broker.Broker
    const letters = yield* broker.consume({ topics: ["g.dead-letters"], group: "letters" })
    yield* broker.publish([1, 2, 3, 4].map(messageOf))
    let dead = 0
    yield* Effect.forkScoped(Effect.forever(Effect.flatMap(letters.take, ({ message }) => {
      dead += 1
      return Console.log(`${message.id} ${message.headers[Consumer.deadLetterHeaders.reason]}`)
    })))
    yield* Effect.repeat(Effect.zipRight(Effect.sleep("10 millis"), sql`select n from facts`), {
      until: (rows) => rows.length + dead >= 4
    })
  }).pipe(Effect.provide(Main))
))
