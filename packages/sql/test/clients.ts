import { Inbox, Transaction } from "@effect-cqrs/core"
import { SqlInboxStorage, SqlStorage } from "@effect-cqrs/sql"
import type { Suite } from "@effect-cqrs/testing"
import { Model, SqlClient, SqlResolver, SqlSchema, Statement } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { type Database, Second, type Services } from "./databases.ts"

class Note extends Model.Class<Note>("Note")({ id: Model.Generated(Schema.Number), text: Schema.String }) {}

/** A program of what `@effect/sql` builds on a client. */
const built = (sql: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    const notes = yield* Effect.provideService(
      Model.makeRepository(Note, { tableName: "notes", spanPrefix: "Notes", idColumn: "id" }),
      SqlClient.SqlClient,
      sql
    )
    const insert = yield* SqlResolver.void("InsertNote", {
      Request: Schema.Struct({ text: Schema.String }),
      execute: (requests) => sql`insert into notes ${sql.insert(requests)}`
    })
    const byId = yield* SqlResolver.findById("NoteById", {
      Id: Schema.Number,
      Result: Note,
      ResultId: (note) => note.id,
      execute: (ids) => sql`select * from notes where ${sql.in("id", ids)}`
    })
    const texts = Effect.map(
      SqlSchema.findAll({
        Request: Schema.Void,
        Result: Schema.Struct({ text: Schema.String }),
        execute: () => sql`select text from notes order by id`
      })(undefined),
      (rows) => rows.map(({ text }) => text)
    )
    const all = { batching: true, concurrency: "unbounded" } as const
    const act = Effect.gen(function*() {
      const { id } = yield* notes.insert(Note.insert.make({ text: "inserted" }))
      yield* notes.update(Note.update.make({ id, text: "updated" }))
      yield* Effect.forEach(["one", "two"], (text) => insert.execute({ text }), all)
      const found = yield* Effect.forEach([id, id + 1, id + 2], byId.execute, all)
      assert.deepStrictEqual(found.flatMap((note) => note._tag === "Some" ? [note.value.text] : []), acted)
      assert.deepStrictEqual(yield* texts, acted)
    })
    return { act, texts }
  })

const acted = ["updated", "one", "two"]

const ids = (rows: unknown): ReadonlyArray<unknown> => (rows as ReadonlyArray<{ id: unknown }>).map(({ id }) => id)

const read = (sql: SqlClient.SqlClient) => Effect.map(sql<{ id: string }>`select id from facts order by id`, ids)

/** Every way in which a client runs a statement. */
const ways: Record<string, (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<unknown>, unknown>> = {
  "as it is": read,
  raw: (sql) =>
    Effect.map(sql`select id from facts`.raw, (raw) => ids(Array.isArray(raw) ? raw : (raw as { rows: unknown }).rows)),
  values: (sql) => Effect.map(sql`select id from facts`.values, (rows) => rows.flat()),
  unprepared: (sql) => Effect.map(sql`select id from facts`.unprepared, ids),
  "without a transform": (sql) => Effect.map(sql`select id from facts`.withoutTransform, ids),
  "unsafe, with a parameter": (sql) =>
    Effect.map(
      sql.unsafe(`select id from facts where id <> ${sql.onDialectOrElse({ pg: () => "$1", orElse: () => "?" })}`, [
        "x"
      ]),
      ids
    ),
  "of a client without transforms": (sql) => read(sql.withoutTransforms())
}

/** Several clients in one program, and what is built on a client. */
export const clients = <R>(database: Database<R>): void => {
  const test = (name: string, effect: Effect.Effect<void, unknown, Services>) =>
    it.scopedLive(name, () => Effect.provide(effect, database.layer), 60_000)

  const both = Effect.gen(function*() {
    const first = yield* SqlClient.SqlClient
    const second = yield* Second
    return { first, second }
  })

  /** The layers of the second client's database, for runs in it. */
  const layerSecond = Layer.unwrapEffect(Effect.map(Second, (second) =>
    Layer.fresh(Layer.provideMerge(
      SqlStorage.layer({ migrate: true }),
      Layer.succeed(SqlClient.SqlClient, second)
    ))))
  const runInSecond = Effect.map(
    Layer.build(layerSecond),
    (context) => <A, E, R2>(effect: Effect.Effect<A, E, R2>) => Effect.provide(Transaction.run(effect), context)
  )

  const isRefused = (exit: Exit.Exit<unknown, unknown>): boolean =>
    Exit.isFailure(exit) && String(exit.cause).includes("of another SqlClient")

  describe(`clients on ${database.name}`, () => {
    test(
      "Model, SqlSchema and SqlResolver join in, and are undone with the transaction",
      Effect.gen(function*() {
        const { act, texts } = yield* built(yield* SqlClient.SqlClient)
        assert.strictEqual(yield* Effect.flip(Transaction.run(Effect.zipRight(act, Effect.fail("no")))), "no")
        assert.deepStrictEqual(yield* texts, [])
        yield* Transaction.run(Effect.exit(Transaction.run(Effect.zipRight(act, Effect.fail("no")))))
        assert.deepStrictEqual(yield* texts, [])
        yield* Transaction.run(act)
        assert.deepStrictEqual(yield* texts, acted)
      })
    )

    test(
      "Model, SqlSchema and SqlResolver of a second client work on its own database",
      Effect.gen(function*() {
        const { first, second } = yield* both
        const [mine, other] = [yield* built(first), yield* built(second)]
        yield* Effect.exit(Transaction.run(Effect.zipRight(other.act, Effect.fail("no"))))
        assert.deepStrictEqual([yield* mine.texts, yield* other.texts], [[], acted])
      })
    )

    for (const [name, way] of Object.entries(ways)) {
      test(
        `a statement ${name} runs on the database of its client, for the first in the transaction`,
        Effect.gen(function*() {
          const { first, second } = yield* both
          yield* second`insert into facts values ('second')`
          yield* Transaction.run(Effect.gen(function*() {
            yield* first`insert into facts values ('uncommitted')`
            assert.deepStrictEqual(yield* way(first), ["uncommitted"])
            assert.deepStrictEqual(yield* way(second), ["second"])
          }))
        })
      )
    }

    const streaming = "a stream runs on the database of its client, for the first in the transaction"
    const streams: Suite.Feature<true> = database.streams
    if (streams !== true) it.skip(`${streaming} (${streams.reason})`, () => {})
    else {
      test(
        streaming,
        Effect.gen(function*() {
          const { first, second } = yield* both
          const stream = (sql: SqlClient.SqlClient) =>
            Effect.map(Stream.runCollect(sql`select id from facts`.stream), (rows) => ids([...rows]))
          yield* second`insert into facts values ('second')`
          yield* Transaction.run(Effect.gen(function*() {
            yield* first`insert into facts values ('uncommitted')`
            assert.deepStrictEqual(yield* stream(first), ["uncommitted"])
            assert.deepStrictEqual(yield* stream(second), ["second"])
          }))
        })
      )
    }

    test(
      "what a second client does is no part of the transaction: neither undone with it, nor beside its savepoints",
      Effect.gen(function*() {
        const { first, second } = yield* both
        yield* Effect.exit(Transaction.run(Effect.zipRight(second`insert into facts values ('a')`, Effect.fail("no"))))
        yield* Transaction.run(Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const nested = yield* Effect.fork(Effect.exit(Transaction.run(
            Deferred.succeed(begun, undefined).pipe(
              Effect.zipRight(Deferred.await(go)),
              Effect.zipRight(Effect.fail("no"))
            )
          )))
          yield* Deferred.await(begun)
          yield* second`insert into facts values ('b')`
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(nested)
          yield* first`insert into facts values ('c')`
        }))
        assert.deepStrictEqual([yield* read(first), yield* read(second)], [["c"], ["a", "b"]])
      })
    )

    test(
      "the first statement of a second client inside is mentioned, once",
      Effect.gen(function*() {
        const { first, second } = yield* both
        const lines: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => {
          if (logLevel._tag === "Warning") lines.push(String(message))
        })
        yield* Transaction.run(Effect.gen(function*() {
          yield* read(first)
          yield* read(second)
          yield* read(second)
        })).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0], "another SqlClient")
      })
    )

    test(
      "a second client goes on in a fiber that outlives the transaction",
      Effect.gen(function*() {
        const { second } = yield* both
        const go = yield* Deferred.make<void>()
        const late = yield* Transaction.run(
          Effect.forkDaemon(Effect.zipRight(Deferred.await(go), second`insert into facts values ('late')`))
        )
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(late)
        assert.deepStrictEqual(yield* read(second), ["late"])
      })
    )

    test(
      "an error of a second client's statement is the program's, and the transaction goes on",
      Effect.gen(function*() {
        const { first, second } = yield* both
        yield* Transaction.run(Effect.gen(function*() {
          const error = yield* Effect.flip(second`insert into facts values (null)`)
          assert.strictEqual(error._tag, "SqlError")
          yield* first`insert into facts values ('a')`
        }))
        assert.deepStrictEqual(yield* read(first), ["a"])
      })
    )

    test(
      "a second client's withTransaction inside is refused, and stores nothing of its own",
      Effect.gen(function*() {
        const { first, second } = yield* both
        const insert = second`insert into facts values ('no')`
        yield* Transaction.run(Effect.gen(function*() {
          yield* first`insert into facts values ('a')`
          assert.isTrue(isRefused(yield* Effect.exit(second.withTransaction(insert))))
          assert.isTrue(isRefused(yield* Effect.exit(second.withTransaction(Transaction.run(insert)))))
          assert.isTrue(isRefused(yield* Effect.exit(first.withTransaction(insert))))
          yield* first.withTransaction(first`insert into facts values ('b')`)
          yield* first`insert into facts values ('c')`
        }))
        assert.deepStrictEqual([yield* read(first), yield* read(second)], [["a", "b", "c"], []])
      })
    )

    test(
      "of a transaction inside another's, each statement joins the one of its client, and shares its fate",
      Effect.scoped(Effect.gen(function*() {
        const { first, second } = yield* both
        const inFirst = yield* Effect.map(
          Effect.context<Services>(),
          (context) => <A, E, R2>(effect: Effect.Effect<A, E, R2>) => Effect.provide(Transaction.run(effect), context)
        )
        const inSecond = yield* runInSecond
        /** Statements of both. */
        const write = (id: string) =>
          Effect.zipRight(first`insert into facts values (${id})`, second`insert into facts values (${id})`)
        const failing = (id: string) => Effect.zipRight(write(id), Effect.fail("no"))
        yield* inFirst(Effect.gen(function*() {
          yield* inSecond(Effect.gen(function*() {
            yield* write("a")
            yield* Effect.exit(inFirst(failing("b only second")))
            yield* Effect.exit(inSecond(failing("c only first")))
            yield* inFirst(inSecond(write("d")))
            yield* second.withTransaction(second`insert into facts values ('e only second')`)
            assert.isTrue(isRefused(yield* Effect.exit(second.withTransaction(first`insert into facts values ('no')`))))
          }))
          yield* Effect.exit(inSecond(failing("f only first")))
        }))
        yield* Effect.exit(inFirst(Effect.zipRight(inSecond(write("g only second")), Effect.fail("no"))))
        assert.deepStrictEqual(yield* read(first), ["a", "c only first", "d", "f only first"])
        assert.deepStrictEqual(yield* read(second), ["a", "b only second", "d", "e only second", "g only second"])
      }))
    )

    test(
      "a transformer of the program's own sees each statement once, and its statements have the same place",
      Effect.gen(function*() {
        const { first, second } = yield* both
        const seen: Array<string> = []
        const transformer: Statement.Statement.Transformer = (statement, sql) =>
          Effect.map(
            Statement.withTransformerDisabled(Effect.orDie(sql`select count(*) as id from facts`)),
            (counted) => {
              const [text] = statement.compile()
              seen.push(`${text} ${Number(ids(counted)[0])}`)
              return sql`${sql.literal(text.replace("'x'", "'y'"))}`
            }
          )
        yield* Transaction.run(Effect.gen(function*() {
          yield* first`insert into facts values ('x')`
          yield* second`insert into facts values ('x')`
          yield* Transaction.run(second`insert into facts values ('z')`)
        })).pipe(Statement.withTransformer(transformer))
        const own = seen.filter((text) => text.includes("into facts"))
        assert.deepStrictEqual(own, [
          "insert into facts values ('x') 0",
          "insert into facts values ('x') 0",
          "insert into facts values ('z') 1"
        ])
        assert.deepStrictEqual([yield* read(first), yield* read(second)], [["y"], ["y", "z"]])
      })
    )

    test(
      "a transformer set inside puts the routing out of force for its effect, up to the next run",
      Effect.gen(function*() {
        const { first, second } = yield* both
        yield* Transaction.run(
          Effect.gen(function*() {
            yield* second`insert into facts values ('a')`
            yield* Transaction.run(second`insert into facts values ('b')`)
          }).pipe(Statement.withTransformer((statement) => Effect.succeed(statement)))
        )
        assert.deepStrictEqual([yield* read(first), yield* read(second)], [["a"], ["b"]])
      })
    )

    test(
      "an inbox of a second client is refused: its mark would stay when the transaction is rolled back",
      Effect.scoped(Effect.gen(function*() {
        const { second } = yield* both
        const context = yield* Layer.build(layerSecond)
        const inbox = SqlInboxStorage.layer().pipe(Layer.provide(Layer.succeed(SqlClient.SqlClient, second)))
        yield* Effect.provide(
          Effect.gen(function*() {
            const key = { consumer: "c", handler: "h", source: "/s", messageId: "1" }
            const error = yield* Effect.flip(Inbox.process(key, Effect.void))
            assert.strictEqual(error._tag, "StorageError")
            assert.match(error.message, /of two SqlClients/)
            // with the transactor of its own client it is fine
            yield* Effect.provide(Inbox.process(key, Effect.void), context)
          }),
          Layer.fresh(inbox)
        )
      }))
    )
  })
}
