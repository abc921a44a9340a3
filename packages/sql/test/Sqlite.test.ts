import {
  Bootstrap,
  Broker,
  BucketOwner,
  Event,
  Inbox,
  Outbox,
  OutboxStorage,
  Relay,
  Transaction,
  type Transactor
} from "@effect-cqrs/core"
import { Migrations, SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Chunk, Duration, Effect, Exit, Fiber, Layer, Logger, Random, Ref, Schedule, Schema } from "effect"
import { client, layerFile, layerFilename, layerInMemory, layerOther, Other } from "./sqlite.ts"

class Noted extends Event.notification<Noted>()("noted", {
  topic: "notes",
  payload: { key: Schema.String, n: Schema.Number },
  key: (event) => event.key
}) {}

const storage = SqlStorage.layer({ migrate: true })

const note = (key: string, n: number) => Transaction.run(Outbox.add(new Noted({ key, n })))

const read = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
  storage.read({
    from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
    limit: 1000,
    maxBytes: Number.MAX_SAFE_INTEGER,
    exceptTopics: []
  }))

const numbers = Effect.map(read, (entries) => entries.map((entry) => decode(entry.message.payload).n))

const decode = (payload: Uint8Array): { readonly key: string; readonly n: number } =>
  JSON.parse(new TextDecoder().decode(payload))

/** A broker that keeps what it is given. */
const recording = Effect.map(Ref.make(Chunk.empty<{ readonly key: string; readonly n: number }>()), (ref) => ({
  published: Effect.map(Ref.get(ref), Chunk.toReadonlyArray),
  layer: Layer.succeed(Broker.Broker, {
    publish: (batch) =>
      Effect.as(
        Ref.update(ref, Chunk.appendAll(Chunk.fromIterable(batch.map((message) => decode(message.payload))))),
        batch.map(() => Broker.Outcome.Delivered())
      ),
    consume: () => Effect.dieMessage("nobody consumes here"),
    sift: () => Effect.dieMessage("nobody consumes here")
  })
}))

const relayOn = (broker: Layer.Layer<Broker.Broker>, options?: Relay.Options) =>
  Effect.provide(Relay.make(options), Layer.merge(broker, BucketOwner.layerSingle))

const layerLogs = (lines: Array<string>) =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ annotations, cause, message }) => {
      lines.push(`${JSON.stringify(message)} ${JSON.stringify([...annotations])} ${Cause.pretty(cause)}`)
    })
  )

const quiet = Logger.remove(Logger.defaultLogger)

describe("a row that somebody has changed", () => {
  const changes: ReadonlyArray<readonly [what: string, set: string, reason: RegExp]> = [
    ["attributes that are no JSON", "attributes = 'secret nonsense'", /attributes/],
    ["attributes that are a list", "attributes = '[1]'", /attributes/],
    ["attributes that are no text", "attributes = x'00ff'", /attributes/],
    ["headers that are no JSON", "headers = '{'", /headers/],
    ["a header that is a number", "headers = '{\"a\":1}'", /headers/],
    ["headers that are null", "headers = 'null'", /headers/],
    ["a version that is none", "attributes = json_set(attributes, '$.schemaversion', 'x')", /schemaversion/],
    ["a time that is none", "attributes = json_set(attributes, '$.time', 'yesterday')", /time/],
    ["a kind that is none", "attributes = json_set(attributes, '$.eventkind', 'domain')", /eventkind/],
    ["an empty id", "id = ''", /id/],
    ["an empty name", "name = ''", /type|name/],
    ["a payload that is text", "payload = 'text'", /payload/],
    ["a payload that is a number", "payload = 5", /payload/],
    ["attempts that are text", "attempts = 'many'", /attempts/]
  ]

  for (const [what, set, reason] of changes) {
    it.scopedLive(`is a dead letter with the reason, and the others go on: ${what}`, () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        for (let n = 0; n < 6; n++) yield* note(`key ${n % 2}`, n)
        yield* sql.unsafe(`update cqrs_outbox set ${set} where sequence = 3`)
        const { layer, published } = yield* recording
        const relay = yield* relayOn(layer)
        const progress = yield* relay.drain
        assert.deepStrictEqual([progress.delivered, progress.dead], [4, 1])
        // those behind it wait, since it may have been a message of their key
        const sent = Effect.map(published, (all) => all.map((one) => one.n))
        assert.deepStrictEqual([...yield* sent].sort(), [0, 1, 3, 5])
        assert.deepStrictEqual((yield* sent).filter((n) => n % 2 === 1), [1, 3, 5])
        const [letter, ...more] = yield* Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
          storage.deadLetters({ limit: 10 }))
        assert.deepStrictEqual(more, [])
        assert.strictEqual(letter!.sequence, 3n)
        assert.match(letter!.reason, reason)
        assert.notInclude(letter!.reason, "secret")
        yield* Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
          storage.discard([3n]))
        yield* relay.drain
        assert.strictEqual((yield* sent).at(-1), 4)
      }).pipe(Effect.provide(Layer.provideMerge(Layer.provideMerge(storage, layerInMemory), quiet))))
  }

  it.scopedLive("keeps its key in order when it is mended and redriven", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      for (let n = 0; n < 4; n++) yield* note("key", n)
      yield* sql`update cqrs_outbox set attributes = '' where sequence = 2`
      const { layer, published } = yield* recording
      const relay = yield* relayOn(layer)
      yield* relay.drain
      assert.deepStrictEqual((yield* published).map((one) => one.n), [0])
      yield* sql`update cqrs_outbox set attributes = (select attributes from cqrs_outbox where sequence = 3)
        where sequence = 2`
      assert.strictEqual(
        yield* Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => storage.redrive([2n])),
        1
      )
      yield* relay.drain
      assert.deepStrictEqual((yield* published).map((one) => one.n), [0, 1, 2, 3])
    }).pipe(Effect.provide(Layer.provideMerge(Layer.provideMerge(storage, layerInMemory), quiet))))
})

describe("clients with options of their own", () => {
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

  const whole = Effect.gen(function*() {
    yield* note("a", 1)
    yield* note("a", 2)
    const [first] = yield* read
    assert.strictEqual(first!.message.key, "a")
    const storage = yield* OutboxStorage.OutboxStorage
    yield* storage.settle(0n, [
      OutboxStorage.Settlement.Dead({ sequence: first!.sequence, attempts: 2, policy: "skip", reason: "no" })
    ])
    const [letter] = yield* storage.deadLetters({ limit: 10 })
    assert.deepStrictEqual([letter!.reason, letter!.policy, letter!.attempts], ["no", "skip", 2])
    const { dead, pending } = yield* storage.statistics
    assert.deepStrictEqual({ dead, pending }, { dead: 1, pending: 1 })
    const key = { consumer: "c", handler: "h", source: "s", messageId: "m" }
    assert.strictEqual((yield* Inbox.process(key, Effect.void))._tag, "Handled")
    assert.strictEqual((yield* Inbox.process(key, Effect.void))._tag, "Duplicate")
    const { layer, published } = yield* recording
    const relay = yield* relayOn(layer)
    assert.strictEqual((yield* relay.drain).delivered, 1)
    yield* storage.redrive([first!.sequence])
    yield* relay.drain
    assert.deepStrictEqual((yield* published).map((one) => one.n), [2, 1])
  })

  it.scopedLive("names in camel case", () =>
    whole.pipe(
      Effect.provide(
        Layer.provideMerge(
          storage,
          SqliteClient.layer({ filename: ":memory:", transformQueryNames: snake, transformResultNames: camel })
        )
      )
    ))

  it.scopedLive("names in capitals", () =>
    whole.pipe(
      Effect.provide(Layer.provideMerge(
        storage,
        SqliteClient.layer({
          filename: ":memory:",
          transformQueryNames: (name) => name.toLowerCase(),
          transformResultNames: (name) => name.toUpperCase()
        })
      ))
    ))

  it.scopedLive("whole numbers as bigint", () =>
    whole.pipe(
      Effect.provide(Layer.provideMerge(storage, layerInMemory)),
      Effect.provideService(SqlClient.SafeIntegers, true)
    ))

  it.scopedLive("a rollback journal in place of WAL", () =>
    whole.pipe(
      Effect.provide(Layer.provideMerge(storage, SqliteClient.layer({ filename: ":memory:", disableWAL: true })))
    ))
})

describe("what the driver hands over", () => {
  it.scopedLive("bytes come as an ArrayBuffer, and leave as a Uint8Array", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* note("a", 1)
      const [row] = yield* sql<{ readonly payload: unknown }>`select payload from cqrs_outbox`
      assert.instanceOf(row!.payload, ArrayBuffer)
      const [entry] = yield* read
      assert.instanceOf(entry!.message.payload, Uint8Array)
      assert.deepStrictEqual(decode(entry!.message.payload), { key: "a", n: 1 })
    }).pipe(Effect.provide(Layer.provideMerge(storage, layerInMemory))))

  it.scopedLive("sequences may need all of 63 bits", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* note("a", 1)
      yield* sql`update sqlite_sequence set seq = 9223372036854770000 where name = 'cqrs_outbox'`
      yield* note("a", 2)
      yield* note("a", 3)
      const outbox = yield* OutboxStorage.OutboxStorage
      const [, second, third] = yield* read
      assert.strictEqual(second!.sequence, 9223372036854770001n)
      assert.strictEqual(third!.message.sequence, 9223372036854770002n)
      yield* outbox.settle(0n, [
        OutboxStorage.Settlement.Delivered({ sequence: second!.sequence }),
        OutboxStorage.Settlement.Dead({ sequence: third!.sequence, attempts: 1, policy: "halt", reason: "no" })
      ])
      assert.deepStrictEqual(yield* numbers, [1])
      assert.strictEqual(yield* outbox.redrive([third!.sequence]), 1)
      assert.deepStrictEqual(yield* numbers, [1, 3])
    }).pipe(Effect.provide(Layer.provideMerge(storage, layerInMemory))))
})

describe("another connection that writes", () => {
  const Two = storage.pipe(Layer.provideMerge(layerOther), Layer.provideMerge(layerFile))

  /** Holds the database's only place to write, as another process does, until the effect that it answers with is run. */
  const hold = Effect.gen(function*() {
    const sql = yield* Other
    const connection = yield* sql.reserve
    yield* connection.executeUnprepared("begin immediate", [], undefined)
    return Effect.orDie(connection.executeUnprepared("commit", [], undefined))
  })

  it.scopedLive("a transaction waits for it, and goes on", () =>
    Effect.gen(function*() {
      const release = yield* hold
      const fiber = yield* Effect.fork(note("a", 1))
      yield* Effect.sleep("100 millis")
      assert.isNull(fiber.unsafePoll())
      yield* release
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* numbers, [1])
    }).pipe(Effect.provide(Two)))

  it.scopedLive("the process goes on while it waits", () =>
    Effect.gen(function*() {
      const release = yield* hold
      const fiber = yield* Effect.fork(note("a", 1))
      const ticks = yield* Effect.repeat(Effect.sleep("5 millis"), Schedule.recurs(10))
      assert.strictEqual(ticks, 10)
      yield* release
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(Two)))

  it.scopedLive(
    "the relay, dead letters, migrations and the check at the start wait for it, and go on",
    () =>
      Effect.gen(function*() {
        const outbox = yield* OutboxStorage.OutboxStorage
        for (let n = 0; n < 5; n++) yield* note(`${n}`, n)
        const entries = yield* read
        const { Dead, Deferred, Delivered } = OutboxStorage.Settlement
        const [first, second, third, fourth] = entries.map((entry) => entry.sequence)
        yield* outbox.settle(0n, [Dead({ sequence: third!, attempts: 1, policy: "halt", reason: "no" })])
        const reason = "no"
        const effects: ReadonlyArray<Effect.Effect<unknown, unknown, SqlClient.SqlClient>> = [
          outbox.settle(0n, [Delivered({ sequence: first! })]),
          outbox.settle(0n, [
            Deferred({ sequence: second!, attempts: 1, delay: Duration.hours(1), reason }),
            Dead({ sequence: fourth!, attempts: 1, policy: "halt", reason })
          ]),
          outbox.redrive([third!]),
          outbox.discard([fourth!]),
          Migrations.run({ prefix: "later_" }),
          Effect.scoped(Layer.build(SqlStorage.layer({ prefix: "later_" })))
        ]
        for (const effect of effects) {
          yield* Effect.scoped(Effect.gen(function*() {
            const release = yield* hold
            const fiber = yield* Effect.fork(effect)
            yield* Effect.sleep("30 millis")
            assert.isNull(fiber.unsafePoll())
            yield* release
            yield* Fiber.join(fiber)
          }))
        }
        assert.deepStrictEqual(yield* numbers, [2, 4])
      }).pipe(Effect.scoped, Effect.provide(Two)),
    20_000
  )

  it.scopedLive(
    "a transaction that has waited for five seconds fails as Unavailable, which a policy repeats",
    () =>
      Effect.gen(function*() {
        const release = yield* hold
        const errors: Array<unknown> = []
        // the first attempt fails, and lets go of the other connection by that
        const policy = Schedule.tapInput(Schedule.recurs(3), (error: unknown) => {
          errors.push(error)
          return release
        })
        yield* Transaction.run(Outbox.add(new Noted({ key: "a", n: 1 })), { retry: policy })
        assert.deepStrictEqual(
          errors.map((error) => error instanceof Transaction.TransactionError ? error.reason : error),
          ["Unavailable"]
        )
        assert.deepStrictEqual(yield* numbers, [1])
      }).pipe(Effect.provide(Two)),
    20_000
  )

  it.scopedLive("a commit waits for readers where there is no WAL", () =>
    Effect.gen(function*() {
      const other = yield* Other
      const outbox = yield* OutboxStorage.OutboxStorage
      yield* note("a", 1)
      yield* note("b", 2)
      const [first, second] = yield* read
      const effects: ReadonlyArray<Effect.Effect<unknown, unknown, Transactor.Transactor>> = [
        note("c", 3),
        outbox.settle(0n, [
          OutboxStorage.Settlement.Dead({ sequence: first!.sequence, attempts: 1, policy: "skip", reason: "no" }),
          OutboxStorage.Settlement.Delivered({ sequence: second!.sequence })
        ])
      ]
      for (const effect of effects) {
        yield* Effect.scoped(Effect.gen(function*() {
          const reader = yield* other.reserve
          yield* reader.executeUnprepared("begin", [], undefined)
          yield* reader.executeUnprepared("select * from cqrs_outbox", [], undefined)
          const fiber = yield* Effect.fork(effect)
          yield* Effect.sleep("30 millis")
          assert.isNull(fiber.unsafePoll())
          yield* reader.executeUnprepared("commit", [], undefined)
          yield* Fiber.join(fiber)
        }))
      }
      assert.deepStrictEqual(yield* numbers, [3])
    }).pipe(
      Effect.provide(storage.pipe(
        Layer.provideMerge(Layer.provide(Layer.effect(Other, SqlClient.SqlClient), client({ disableWAL: true }))),
        Layer.provideMerge(client({ disableWAL: true })),
        Layer.provideMerge(layerFilename)
      ))
    ))
})

describe("writers that wait for nothing but SQLite", () => {
  it.scopedLive("let timers and the relay have their turns", () =>
    Effect.gen(function*() {
      const outbox = yield* OutboxStorage.OutboxStorage
      yield* note("a", 0)
      const [entry] = yield* read
      const writers = yield* Effect.fork(
        Effect.all(Array.from({ length: 8 }, (_, n) => Effect.repeatN(note(`${n}`, n), 250)), {
          concurrency: "unbounded"
        })
      )
      yield* Effect.repeatN(
        Effect.zipRight(
          Effect.sleep("5 millis"),
          outbox.settle(0n, [
            OutboxStorage.Settlement.Deferred({
              sequence: entry!.sequence,
              attempts: 1,
              delay: Duration.hours(1),
              reason: "no"
            })
          ])
        ),
        4
      )
      assert.isNull(writers.unsafePoll(), "the writers are not done before them")
      yield* Fiber.interrupt(writers)
    }).pipe(Effect.provide(Layer.provideMerge(storage, layerFile))), 60_000)
})

describe("tables that go at run time", () => {
  it.scopedLive("each operation says so, and what to do", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const outbox = yield* OutboxStorage.OutboxStorage
      yield* note("a", 1)
      yield* sql`drop table cqrs_outbox`
      yield* sql`drop table cqrs_inbox`
      const { Dead, Delivered } = OutboxStorage.Settlement
      const errors = yield* Effect.all([
        Effect.flip(read),
        Effect.flip(outbox.settle(0n, [Delivered({ sequence: 1n })])),
        Effect.flip(outbox.settle(0n, [Dead({ sequence: 1n, attempts: 1, policy: "halt", reason: "no" })])),
        Effect.flip(outbox.statistics),
        Effect.flip(outbox.deadLetters({ limit: 1 })),
        Effect.flip(outbox.redrive([1n])),
        Effect.flip(outbox.discard([1n]))
      ])
      for (const error of errors) {
        assert.instanceOf(error, OutboxStorage.StorageError)
        assert.strictEqual(error.reason, "Schema")
        assert.match(error.message, /cqrs_outbox.* run the migrations/)
      }
      const refused = yield* Effect.flip(note("a", 2))
      assert.strictEqual(refused.reason, "OutboxFailed")
      assert.include(refused.message, "cqrs_outbox")
      const inbox = yield* Effect.flip(
        Inbox.process({ consumer: "c", handler: "h", source: "s", messageId: "m" }, Effect.void)
      )
      assert.strictEqual(inbox.reason, "Schema")
      assert.include(inbox.message, "cqrs_inbox")
    }).pipe(Effect.provide(Layer.provideMerge(storage, layerInMemory))))
})

describe("what is written down", () => {
  it.scopedLive("errors, logs and stored reasons never hold a payload", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const secret = "S3CRET"
      yield* note(secret, 1)
      yield* note(secret, 2)
      yield* sql`update cqrs_outbox set attributes = 'no' where sequence = 1`
      const { layer } = yield* recording
      const relay = yield* relayOn(layer)
      yield* relay.drain
      const [letter] = yield* Effect.flatMap(
        OutboxStorage.OutboxStorage,
        (storage) => storage.deadLetters({ limit: 1 })
      )
      yield* sql`drop table cqrs_outbox`
      const failures: ReadonlyArray<Exit.Exit<unknown, unknown>> = yield* Effect.all([
        Effect.exit(note(secret, 3)),
        Effect.exit(relay.drain)
      ])
      const texts = [
        ...lines,
        letter!.reason,
        ...failures.map((exit) => Exit.isFailure(exit) ? Cause.pretty(exit.cause) + JSON.stringify(exit.cause) : "")
      ]
      assert.isAbove(lines.length, 0)
      for (const text of texts) {
        assert.isAbove(text.length, 0)
        assert.notInclude(text, secret)
      }
    }).pipe(Effect.provide(Layer.provideMerge(Layer.provideMerge(storage, layerInMemory), layerLogs(lines))))
  })
})

describe("relay and SQLite, end to end", () => {
  it.scopedLive(
    "delivers all that was committed, nothing else, in order per key, with rollbacks in between",
    () =>
      Effect.gen(function*() {
        const { layer, published } = yield* recording
        const counters = new Map<string, number>()
        const expected: Array<{ key: string; n: number }> = []
        yield* Effect.gen(function*() {
          yield* Effect.forEach(Array.from({ length: 8 }, (_, writer) => writer), (writer) =>
            Effect.forEach(
              Array.from({ length: 40 }, (_, n) => n),
              () =>
                Effect.gen(function*() {
                  const key = `key ${yield* Random.nextIntBetween(0, 5)}`
                  const fails = (yield* Random.next) < 0.3
                  const added: Array<{ key: string; n: number }> = []
                  const add = Effect.suspend(() => {
                    const n = (counters.get(key) ?? 0) + 1
                    counters.set(key, n)
                    added.push({ key, n })
                    return Outbox.add(new Noted({ key, n }))
                  })
                  yield* Effect.exit(Transaction.run(Effect.gen(function*() {
                    yield* add
                    yield* Effect.yieldNow()
                    yield* Effect.exit(Transaction.run(Effect.zipRight(
                      Outbox.add(new Noted({ key, n: -writer - 1 })),
                      Effect.fail("savepoint")
                    )))
                    yield* add
                    if (fails) {
                      return yield* Effect.fail("rollback")
                    }
                    yield* Transaction.afterCommit(Effect.sync(() => {
                      for (const one of added) expected.push(one)
                    }))
                  })))
                }),
              { discard: true }
            ), { concurrency: "unbounded", discard: true })
          yield* Effect.flatMap(Relay.Relay, (relay) => relay.drain)
        }).pipe(Effect.provide(Layer.provide(
          Relay.layer({ batchSize: 7, pollInterval: "10 millis" }),
          Layer.merge(layer, BucketOwner.layerSingle)
        )))
        const delivered = yield* published
        assert.strictEqual(delivered.length, expected.length)
        for (const key of counters.keys()) {
          const ofKey = (all: ReadonlyArray<{ key: string; n: number }>) =>
            all.filter((one) => one.key === key).map((one) => one.n)
          assert.deepStrictEqual(ofKey(delivered), ofKey(expected))
          assert.deepStrictEqual(ofKey(delivered), [...ofKey(delivered)].sort((a, b) => a - b))
        }
        assert.deepStrictEqual(yield* read, [])
      }).pipe(Effect.provide(Layer.provideMerge(storage, layerFile))),
    30_000
  )

  it.scopedLive("a second relay continues where the first one stopped, after a restart", () =>
    Effect.gen(function*() {
      const { layer, published } = yield* recording
      yield* Effect.gen(function*() {
        for (let n = 0; n < 10; n++) yield* note("key", n)
        const relay = yield* relayOn(layer, { batchSize: 3 })
        yield* relay.tick
      }).pipe(Effect.provide(Layer.provideMerge(storage, client())))
      yield* Effect.gen(function*() {
        const relay = yield* relayOn(layer)
        yield* relay.drain
      }).pipe(Effect.provide(Layer.provideMerge(storage, client())))
      assert.deepStrictEqual((yield* published).map((one) => one.n), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    }).pipe(Effect.provide(layerFilename)))

  it.scopedLive("Bootstrap.layer({ storage: SqlStorage.layer }) is a whole", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table facts (n integer)`
      const broker = yield* Broker.Broker
      const source = yield* broker.consume({ topics: ["notes"], group: "g" })
      yield* Transaction.run(Effect.gen(function*() {
        yield* sql`insert into facts values (1)`
        yield* Outbox.add(new Noted({ key: "a", n: 1 }))
      }))
      yield* Effect.exit(Transaction.run(Effect.gen(function*() {
        yield* sql`insert into facts values (2)`
        yield* Outbox.add(new Noted({ key: "a", n: 2 }))
        return yield* Effect.fail("no")
      })))
      // the relay's own fiber has been woken by the commit
      const { message } = yield* Effect.timeout(source.take, "5 seconds")
      assert.deepStrictEqual(decode(message.payload), { key: "a", n: 1 })
      assert.strictEqual(message.sequence, 1n)
      const key = { consumer: "c", handler: "h", source: message.source, messageId: message.id }
      assert.strictEqual((yield* Inbox.process(key, sql`insert into facts values (3)`))._tag, "Handled")
      assert.strictEqual((yield* Inbox.process(key, sql`insert into facts values (4)`))._tag, "Duplicate")
      assert.deepStrictEqual(yield* sql`select n from facts order by n`, [{ n: 1 }, { n: 3 }])
    }).pipe(
      Effect.provide(Layer.provideMerge(Bootstrap.layer({ storage, relay: { pollInterval: "1 hour" } }), layerFile))
    ))
})
