import type { BucketOwner } from "@effect-cqrs/core"
import { Broker, Event, Outbox, OutboxStorage, Relay, Transaction, type Transactor } from "@effect-cqrs/core"
import { PgNotifications, SqlStorage } from "@effect-cqrs/sql"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Logger, Redacted, Schema, Scope, Stream } from "effect"
import { postgres } from "./servers.ts"

class Noted extends Event.notification<Noted>()("noted", { topic: "notes", payload: { n: Schema.Number } }) {}

const note = (n: number) => Transaction.run(Outbox.add(new Noted({ n })))

type Services = SqlClient.SqlClient | OutboxStorage.OutboxStorage | Transactor.Transactor | BucketOwner.BucketOwner

const heartbeat = "100 millis"

const { eventually } = Fixtures

const hint = "`npm run services -- up` finds or starts one."

Endpoint.suite(postgres.name, { describe, it, variable: postgres.variable, hint }, (url) => {
  /** A database, and programs on it that each have a client of their own. */
  const setup = Effect.gen(function*() {
    const layerClient = yield* postgres.reopen(url)
    const client = Effect.map(Layer.build(layerClient), (context) => Context.get(context, SqlClient.SqlClient))
    const observer = yield* client
    const [database] = yield* observer<{ name: string }>`select current_database() as name`

    const said: Array<string> = []
    const listener = (yield* client) as PgClient.PgClient
    const listens = (channel: string) =>
      Effect.gen(function*() {
        yield* Effect.forkScoped(
          Stream.runForEach(listener.listen(channel), (payload) => Effect.sync(() => said.push(payload)))
        )
        yield* eventually(
          `the test listens on ${channel}`,
          listener`select pg_notify(${channel}, 'hello')`,
          () => said.includes("hello")
        )
      })
    const arrivedOf = Effect.sync(() => {
      const counts = new Map<string, number>()
      for (const payload of said) {
        if (payload.startsWith("arrived ")) counts.set(payload, (counts.get(payload) ?? 0) + 1)
      }
      return [...counts.values()].sort((a, b) => a - b)
    })

    /** A program, which has learnt once that it listens. */
    const process = (options: PgNotifications.Options = {}) =>
      Effect.gen(function*() {
        const context: Context.Context<Services> = yield* Layer.build(
          PgNotifications.layer({ heartbeat, ...options }).pipe(
            Layer.provideMerge(SqlStorage.layer({ prefix: options.prefix, migrate: true })),
            Layer.provideMerge(layerClient)
          )
        )
        const { arrivals } = Context.get(context, OutboxStorage.OutboxStorage)
        yield* eventually("it listens", arrivals.version, (version) => version > 0)
        return {
          context,
          arrivals,
          in: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provide(effect, context)
        }
      })

    /** The processes at the server that listen on a channel, the test's own not among them. */
    const backends = (channel = "cqrs_outbox") =>
      Effect.map(
        observer<{ pid: number }>`select pid from pg_stat_activity where datname = current_database()
          and query = ${`LISTEN "${channel}"`}`,
        (rows) => rows.map(({ pid }) => pid)
      )
    return { arrivedOf, backends, database: database!.name, layerClient, listens, observer, process, said }
  })

  /** The next signal behind what a program does, within ten seconds. */
  const woken = (arrivals: OutboxStorage.OutboxStorage["Type"]["arrivals"], version: number, what: string) =>
    eventually(what, arrivals.version, (now) => now > version)

  it.scopedLive("a commit wakes the relay of another process, long before its poll", () =>
    Effect.gen(function*() {
      const { process } = yield* setup
      const published: Array<string> = []
      const broker = Layer.succeed(Broker.Broker, {
        publish: (batch) =>
          Effect.sync(() => {
            for (const message of batch) published.push(new TextDecoder().decode(message.payload))
            return batch.map(() => Broker.Outcome.Delivered())
          }),
        consume: () => Effect.dieMessage("nobody consumes here"),
        sift: () => Effect.dieMessage("nobody consumes here")
      })
      const relaying = yield* process()
      const writing = yield* process()
      yield* relaying.in(Layer.build(Layer.provide(Relay.layer({ pollInterval: "1 hour" }), broker)))
      for (let n = 1; n <= 5; n++) {
        yield* writing.in(note(n))
        yield* eventually(`event ${n} is published`, Effect.sync(() => published.length), (count) => count === n)
      }
      assert.deepStrictEqual(published, [1, 2, 3, 4, 5].map((n) => JSON.stringify({ n })))
    }))

  it.scopedLive("what was heard is not told again, and a burst of commits is a few notifications", () =>
    Effect.gen(function*() {
      const { arrivedOf, listens, process } = yield* setup
      const [a, b, c] = yield* Effect.all([process(), process(), process()])
      yield* listens("cqrs_outbox")
      // what the three have learnt when they began to listen came from nobody's commit
      assert.deepStrictEqual(yield* arrivedOf, [])
      const before = yield* b.arrivals.version
      const [took] = yield* Effect.timed(Effect.zipRight(
        a.in(Effect.forEach([1, 2, 3], note)),
        Effect.repeatN(Effect.zipRight(a.arrivals.signal, Effect.sleep("1 millis")), 300)
      ))
      yield* woken(b.arrivals, before, "the second hears the first")
      const between = yield* a.arrivals.version
      yield* c.in(note(0))
      yield* woken(a.arrivals, between, "the first hears the third")
      yield* Effect.sleep("500 millis")
      const counts = yield* arrivedOf
      assert.lengthOf(counts, 2)
      assert.strictEqual(counts[0], 1)
      assert.isAtMost(counts[1]!, Duration.toMillis(took) / 5 + 2)
      assert.isAtLeast(counts[1]!, 1)
    }))

  it.scopedLive("a lost connection is replaced, and what came meanwhile is looked for", () =>
    Effect.gen(function*() {
      const { backends, observer, process } = yield* setup
      const [a, b] = yield* Effect.all([process(), process()])
      const lost = yield* backends()
      assert.lengthOf(lost, 2)
      const before = yield* b.arrivals.version
      for (const pid of lost) yield* observer`select pg_terminate_backend(${pid})`
      yield* woken(b.arrivals, before, "it looks once when it listens again")
      yield* eventually(
        "both listen on new connections",
        backends(),
        (pids) => pids.length === 2 && pids.every((pid) => !lost.includes(pid))
      )
      for (let n = 0; n < 3; n++) {
        const [ofA, ofB] = yield* Effect.all([a.arrivals.version, b.arrivals.version])
        yield* a.in(note(n))
        yield* woken(b.arrivals, ofB, "the second hears the first")
        yield* b.in(note(n))
        yield* woken(a.arrivals, ofA + 1, "the first hears the second")
      }
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.scopedLive("heals on a client of its own where the program holds on to the lost connection", () =>
    Effect.gen(function*() {
      const { backends, database, layerClient, observer, process } = yield* setup
      const at = new URL(Redacted.value(url))
      at.pathname = `/${database}`
      const listener = PgClient.layer({ url: Redacted.make(at.href), maxConnections: 1, applicationName: "listener" })
      const a = yield* process({ listener })
      const b = yield* process({ listener })
      const theirs = Context.get(yield* Layer.build(layerClient), SqlClient.SqlClient) as PgClient.PgClient
      yield* Effect.forkScoped(Stream.runDrain(theirs.listen("theirs")))
      const [lost] = yield* eventually(
        "two listeners",
        observer<{ pids: ReadonlyArray<number> }>`select array_agg(pid) as pids from pg_stat_activity
          where datname = current_database() and application_name = 'listener' and query like 'LISTEN%'`,
        (rows) => rows[0]?.pids?.length === 2
      )
      for (const pid of lost!.pids) yield* observer`select pg_terminate_backend(${pid})`
      yield* eventually(
        "others listen",
        backends(),
        (pids) => pids.length === 2 && pids.every((pid) => !lost!.pids.includes(pid))
      )
      const before = yield* b.arrivals.version
      yield* a.in(note(1))
      yield* woken(b.arrivals, before, "the second hears the first")
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.scopedLive("nothing is left behind when it closes", () =>
    Effect.gen(function*() {
      const { backends, process } = yield* setup
      const scope = yield* Scope.make()
      yield* Scope.extend(process(), scope)
      assert.lengthOf(yield* backends(), 1)
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(took), 5000)
      yield* eventually("nobody listens", backends(), (pids) => pids.length === 0)
    }))

  it.scopedLive("closes in a bounded time when its connection is already gone", () =>
    Effect.gen(function*() {
      const { backends, observer, process } = yield* setup
      const scope = yield* Scope.make()
      yield* Scope.extend(process({ heartbeat: "1 hour" }), scope)
      for (const pid of yield* backends()) yield* observer`select pg_terminate_backend(${pid})`
      yield* eventually("it is gone", backends(), (pids) => pids.length === 0)
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(took), 5000)
    }))

  it.scopedLive("two prefixes have two channels, in any spelling of the server's", () =>
    Effect.gen(function*() {
      const { arrivedOf, backends, listens, process } = yield* setup
      const [a, b] = yield* Effect.all([process({ prefix: "One_" }), process({ prefix: "one_" })])
      const other = yield* process({ prefix: "two_" })
      assert.lengthOf(yield* backends("one_outbox"), 2)
      yield* listens("one_outbox")
      const [ofB, ofOther] = yield* Effect.all([b.arrivals.version, other.arrivals.version])
      yield* a.in(note(1))
      yield* woken(b.arrivals, ofB, "the second hears the first")
      assert.strictEqual(yield* other.arrivals.version, ofOther)
      assert.deepStrictEqual(yield* arrivedOf, [1])
    }))

  it.scopedLive("two layers on one storage do not talk to each other for ever", () =>
    Effect.gen(function*() {
      const { arrivedOf, listens, process } = yield* setup
      const a = yield* process()
      const before = yield* a.arrivals.version
      yield* a.in(Layer.build(PgNotifications.layer({ heartbeat })))
      yield* woken(a.arrivals, before, "the other layer listens")
      yield* listens("cqrs_outbox")
      yield* a.in(note(1))
      yield* eventually("it is told", arrivedOf, (counts) => counts.length > 0)
      yield* Effect.sleep("300 millis")
      const counts = yield* arrivedOf
      assert.isTrue(counts.length === 1 && counts[0]! <= 2, counts.join())
    }))
})
