import { Event, type Message, Outbox, OutboxStorage, Serialization, Transaction, Transactor } from "@effect-cqrs/core"
import { SqlStorage, SqlTransactor } from "@effect-cqrs/sql"
import { Fixtures } from "@effect-cqrs/testing"
import { SqlClient, type SqlConnection, type SqlError } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { layerStatements, onEachServer, Other, postgres } from "./servers.ts"
import { outside } from "./sqlite.ts"

class Noted extends Event.notification<Noted>()("flush_noted", {
  topic: "notes",
  payload: { text: Schema.String },
  key: () => "one",
  keyLock: true
}) {}

/** What goes over the connections of transactions: one entry is one round trip. */
class Wire extends Context.Tag("test/Wire")<Wire, {
  statements: Array<string>
  /** Says something else to the server. */
  rewrite: (statement: string) => string
}>() {}

const layerWire = Layer.effectContext(Effect.map(SqlClient.SqlClient, (sql) => {
  const wire: Context.Tag.Service<Wire> = { statements: [], rewrite: (statement) => statement }
  const said = (statement: string) => {
    wire.statements.push(statement)
    return wire.rewrite(statement)
  }
  const watched = (inner: SqlConnection.Connection): SqlConnection.Connection => ({
    execute: (text, ...rest) => inner.execute(said(text), ...rest),
    executeRaw: (text, ...rest) => inner.executeRaw(said(text), ...rest),
    executeValues: (text, ...rest) => inner.executeValues(said(text), ...rest),
    executeUnprepared: (text, ...rest) => inner.executeUnprepared(said(text), ...rest),
    executeStream: (text, ...rest) => inner.executeStream(said(text), ...rest)
  })
  const client: SqlClient.SqlClient = Object.assign(
    ((...args: Parameters<typeof sql>) => sql(...args)) as typeof sql,
    sql,
    { reserve: Effect.map(sql.reserve, watched) }
  )
  return Context.make(Wire, wire).pipe(Context.add(SqlClient.SqlClient, client))
}))

const sql = SqlClient.SqlClient
const statement = (text: string) => Effect.flatMap(sql, (sql) => sql.unsafe(text).unprepared)
const elsewhere = (text: string) => Effect.flatMap(Other, (other) => other.unsafe(text).unprepared)
const write = (id: string) => Effect.flatMap(sql, (sql) => sql`insert into facts ${sql.insert({ id })}`)
const { assertMessage, eventually, messageOf, texts } = Fixtures

const note = (text: string) => Outbox.add(new Noted({ text }))
const both = (id: string) => Effect.zipRight(write(id), note(id))

/** Stores messages as a transaction's events are stored. */
const commit = (messages: ReadonlyArray<OutboxStorage.Outgoing>) =>
  Effect.scoped(
    Effect.flatMap(Transactor.Transactor, (transactor) =>
      Effect.flatMap(
        Effect.flatMap(Effect.scope, (scope) => transactor.begin({ isolation: undefined, scope })),
        (session) => session.commit(messages)
      ))
  )

const entries = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
  storage.read({
    from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
    limit: 100_000,
    maxBytes: Number.MAX_SAFE_INTEGER,
    exceptTopics: []
  }))

const textOf = ({ payload }: Message.Message): string => JSON.parse(new TextDecoder().decode(payload)).text

/** What others see: writes and events. */
const assertStored = (expected: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const facts = yield* Effect.flatMap(Other, (other) => other<{ id: string }>`select id from facts order by id`)
    assert.deepStrictEqual(facts.map(({ id }) => id), expected)
    assert.deepStrictEqual((yield* entries).map(({ message }) => textOf(message)), expected)
  })

/** Nothing is stored, and the connection is as it came: the next transaction commits, and a statement by itself. */
const assertUndone = Effect.gen(function*() {
  yield* assertStored([])
  yield* Transaction.run(both("afterwards"))
  yield* assertStored(["afterwards"])
  yield* write("alone")
  const [count] = yield* Effect.flatMap(Other, (other) => other<{ n: unknown }>`select count(*) as n from facts`)
  assert.strictEqual(Number(count!.n), 2)
})

const assertFailure = (error: unknown, reason: Transaction.TransactionError["reason"]): void => {
  assert.instanceOf(error, Transaction.TransactionError)
  assert.strictEqual(error.reason, reason, error.message)
}

onEachServer((server, url) => {
  const isPostgres = server === postgres
  const Database = layerWire.pipe(
    Layer.provideMerge(layerStatements([
      "create table facts (id varchar(255) primary key not null)",
      ...(isPostgres
        ? [
          "create table parents (id int primary key)",
          "create table children (parent int references parents (id) deferrable initially deferred)"
        ]
        : [])
    ])),
    Layer.provideMerge(server.layerOther(url)),
    Layer.provideMerge(server.layerNew(url))
  )
  const Storage = Layer.provideMerge(SqlStorage.layer({ migrate: true }), Database)

  const test = (
    name: string,
    effect: Effect.Effect<
      void,
      unknown,
      Wire | Other | SqlClient.SqlClient | Transactor.Transactor | OutboxStorage.OutboxStorage
    >
  ) => it.scopedLive(name, () => Effect.provide(effect, Storage), 60_000)

  /** Another transaction that holds the lock of all notes' key until it is told to end. */
  const held = Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    const locked = yield* Deferred.make<void>()
    const go = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(Effect.exit(Transaction.run(
      storage.append([messageOf({ topic: "notes", key: "one", keyLock: true })]).pipe(
        Effect.zipRight(Deferred.succeed(locked, undefined)),
        Effect.zipRight(Deferred.await(go)),
        Effect.zipRight(Effect.fail("enough"))
      )
    )))
    yield* Deferred.await(locked)
    return Effect.zipRight(Deferred.succeed(go, undefined), Fiber.join(fiber))
  })

  describe("round trips", () => {
    test(
      "a transaction takes three, whether it has no event, one or ten",
      Effect.gen(function*() {
        const wire = yield* Wire
        for (const events of [0, 1, 10]) {
          wire.statements = []
          yield* Transaction.run(Effect.gen(function*() {
            yield* write(`with ${events}`)
            yield* Outbox.addAll(Array.from({ length: events }, (_, n) => new Noted({ text: `${events}, ${n}` })))
          }))
          assert.strictEqual(wire.statements.length, 3, wire.statements.join("\n"))
        }
        assert.deepStrictEqual(
          (yield* entries).map(({ message }) => textOf(message)),
          ["1, 0", ...Array.from({ length: 10 }, (_, n) => `10, ${n}`)]
        )
      })
    )

    test(
      "events that are too large for that go before the COMMIT",
      Effect.gen(function*() {
        const wire = yield* Wire
        const text = "x".repeat(5 * 1024 * 1024)
        for (const [large, isApart] of [[text, true], [text.slice(0, 32 * 1024), false]] as const) {
          wire.statements = []
          yield* Transaction.run(Effect.zipRight(note(large), note("small"))).pipe(
            Effect.provide(Serialization.layer({ maxPayloadBytes: 8 * 1024 * 1024 }))
          )
          assert.strictEqual(wire.statements.length > 2, isApart, String(wire.statements.length))
          const [first, second, ...rest] = (yield* entries).slice(-2)
          assert.deepStrictEqual(rest, [])
          assert.isTrue(textOf(first!.message) === large)
          assert.strictEqual(textOf(second!.message), "small")
        }
      })
    )

    it.scopedLive("a storage that was made of this one is asked to append", () =>
      Effect.gen(function*() {
        const storage = yield* OutboxStorage.OutboxStorage
        const appended: Array<string> = []
        const own = Layer.succeed(OutboxStorage.OutboxStorage, {
          ...storage,
          append: (messages) =>
            Effect.zipRight(Effect.sync(() => appended.push(messages.map(textOf).join())), storage.append(messages))
        })
        yield* Effect.provide(
          Transaction.run(both("a")),
          Layer.provide(Layer.fresh(SqlTransactor.layer), own)
        )
        assert.deepStrictEqual(appended, ["a"])
        yield* assertStored(["a"])
      }).pipe(Effect.provide(Storage)), 60_000)

    test(
      "a fiber that runs many transactions does not grow",
      Effect.gen(function*() {
        const longest = Effect.map(
          Effect.getFiberRefs,
          ({ locals }) => Math.max(...[...locals.values()].map((stack) => stack.length))
        )
        yield* Transaction.run(Effect.void)
        const before = yield* longest
        yield* Effect.repeatN(Transaction.run(statement("select 1")), 20)
        assert.isAtMost(yield* longest, before)
      })
    )
  })

  describe("literals", () => {
    const messages = texts.map((text) =>
      messageOf({
        name: text,
        topic: text,
        key: text,
        headers: { [text]: text },
        payload: new TextEncoder().encode(text)
      })
    )
    const settings = isPostgres
      ? ["set local standard_conforming_strings = off", "set local backslash_quote = off"]
      : [
        "set session sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,STRICT_ALL_TABLES'",
        "set session sql_mode = ''",
        "set character_set_client = latin1"
      ]
    for (const setting of settings) {
      test(
        `mean the same after ${setting}`,
        Effect.gen(function*() {
          const wire = yield* Wire
          // with the BEGIN, as a statement of the program would before the commit
          wire.rewrite = (text) => {
            wire.rewrite = (text) => text
            return isPostgres ? `${text}; ${setting}` : `${setting}; ${text}`
          }
          yield* commit(messages)
          const stored = yield* entries
          assert.strictEqual(stored.length, messages.length)
          for (const [n, { message, sequence }] of stored.entries()) {
            assertMessage(message, { ...messages[n]!, sequence })
          }
        })
      )
    }

    test(
      "a text with NUL is stored, or refused with a sentence, and nothing else happens",
      Effect.gen(function*() {
        const message = messageOf({ key: "a\0b'; drop table facts; --" })
        if (!isPostgres) {
          yield* commit([message])
          assert.strictEqual((yield* entries)[0]!.message.key, message.key)
          return
        }
        const error = yield* Effect.flip(commit([message]))
        assertFailure(error, "OutboxFailed")
        assert.strictEqual((error.cause as OutboxStorage.StorageError).reason, "Configuration")
        yield* assertUndone
      })
    )
  })

  describe("a failure on the way", () => {
    const running = Transaction.run(both("a"))

    if (!isPostgres) {
      test(
        "of the guard: a statement had committed what came before, and no event is stored",
        Effect.gen(function*() {
          // versioned comments are run, and no comments to whoever reads them
          for (const text of ["/*!50000 create table other (id int) */", "set autocommit = 1"]) {
            const error = yield* Effect.flip(Transaction.run(Effect.zipRight(statement(text), note("a"))))
            assertFailure(error, "ImplicitCommit")
            yield* assertStored([])
          }
          yield* assertUndone
        })
      )

      test(
        "of the key lock, whose table is missing, and which a start says",
        Effect.gen(function*() {
          yield* elsewhere("rename table cqrs_key_lock to gone")
          const error = yield* Effect.flip(running)
          assertFailure(error, "OutboxFailed")
          assert.strictEqual((error.cause as OutboxStorage.StorageError).reason, "Schema")
          const start = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(SqlStorage.layer()))))
          assert.include(start.message, "The table cqrs_key_lock is missing")
          yield* elsewhere("rename table gone to cqrs_key_lock")
          yield* assertUndone
        })
      )
    }

    test(
      "of the key lock, for which the wait was too long",
      Effect.gen(function*() {
        const release = yield* held
        const error = yield* Effect.flip(Transaction.run(Effect.zipRight(
          statement(isPostgres ? "set local lock_timeout = '50ms'" : "set innodb_lock_wait_timeout = 1"),
          both("a")
        )))
        assertFailure(error, "OutboxFailed")
        yield* release
        yield* assertUndone
      })
    )

    test(
      "of the INSERT, for one of several events",
      Effect.gen(function*() {
        const refuse = isPostgres
          ? "create function refuse() returns trigger language plpgsql as $$ begin " +
            "if (select count(*) from cqrs_outbox) > 0 then raise exception 'refused'; end if; return new; end $$; " +
            "create trigger refuse after insert on cqrs_outbox for each row execute function refuse()"
          : "create trigger refuse before insert on cqrs_outbox for each row begin if new.payload like '%second%' " +
            "then signal sqlstate '45000' set message_text = 'refused'; end if; end"
        yield* elsewhere(refuse)
        const error = yield* Effect.flip(Transaction.run(Effect.zipRight(both("first"), note("second"))))
        assertFailure(error, "OutboxFailed")
        yield* elsewhere(`drop trigger refuse${isPostgres ? " on cqrs_outbox" : ""}`)
        yield* assertUndone
      })
    )

    test(
      "of the INSERT, whose value is too long or whose table is missing, says which",
      Effect.gen(function*() {
        if (!isPostgres) {
          const tooLong = yield* Effect.flip(commit([messageOf({ name: "x".repeat(300) })]))
          assertFailure(tooLong, "OutboxFailed")
          assert.strictEqual((tooLong.cause as OutboxStorage.StorageError).reason, "Configuration")
        }
        yield* elsewhere("alter table cqrs_outbox rename to gone")
        const missing = yield* Effect.flip(running)
        assertFailure(missing, "OutboxFailed")
        assert.strictEqual((missing.cause as OutboxStorage.StorageError).reason, "Schema")
        yield* elsewhere("alter table gone rename to cqrs_outbox")
        yield* assertUndone
      })
    )

    test(
      "of the COMMIT",
      Effect.gen(function*() {
        const wire = yield* Wire
        if (!isPostgres) {
          wire.rewrite = (text) =>
            text.replace("; COMMIT;", "; SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1180, MESSAGE_TEXT = 'disk full';")
        }
        const orphan = isPostgres ? Effect.asVoid(statement("insert into children values (1)")) : Effect.void
        const error = yield* Effect.flip(Transaction.run(Effect.zipRight(both("a"), orphan)))
        assertFailure(error, "CommitFailed")
        wire.rewrite = (text) => text
        yield* assertUndone
      })
    )

    if (isPostgres) {
      test(
        "of the COMMIT, which is answered with ROLLBACK",
        Effect.gen(function*() {
          const wire = yield* Wire
          wire.rewrite = (text) => text.replace(/; COMMIT$/, "; ROLLBACK")
          assertFailure(yield* Effect.flip(running), "RolledBack")
          wire.rewrite = (text) => text
          yield* assertUndone
        })
      )
    }

    test(
      "of the connection: the outcome is unknown, and the next transaction has another one",
      Effect.gen(function*() {
        const release = yield* held
        const fiber = yield* Effect.fork(Effect.flip(running))
        const waiting = isPostgres
          ? "select pid as id from pg_stat_activity where datname = current_database() and wait_event = 'advisory'"
          : "select id from information_schema.processlist where db = database() and info like 'select slot%'"
        const find: Effect.Effect<ReadonlyArray<{ readonly id: number }>, SqlError.SqlError, Other> = Effect.flatMap(
          Other,
          (other) => outside(other.unsafe<{ id: number }>(waiting).withoutTransform)
        )
        const [found] = yield* eventually("the transaction waits for the lock", find, (rows) => rows.length > 0)
        yield* elsewhere(isPostgres ? `select pg_terminate_backend(${found!.id})` : `kill ${found!.id}`)
        assertFailure(yield* Fiber.join(fiber), "OutcomeUnknown")
        yield* release
        yield* assertUndone
      })
    )
  })
})
