import { DeadLetters, Outbox, Transaction } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { bundled } from "./processes/bundle.ts"
import * as Database from "./processes/database.ts"
import { ended, eventually, heard } from "./processes/harness.ts"
import { Changed, type Target } from "./processes/protocol.ts"
import { delivered, takeover } from "./processes/takeover.ts"
import { accounts, buckets, create, shared, type World } from "./processes/world.ts"
import { onEachServer } from "./servers.ts"
import { folder } from "./sqlite.ts"

const files = Effect.runSync(Scope.make())
const program = Effect.runSync(Effect.cached(Scope.extend(bundled, files)))
afterAll(() => Effect.runPromise(Scope.close(files, Exit.void)))

/** Where a database is, but for the file of the deliveries. */
type Place = Omit<Target, "deliveries">

type Make = (name: string) => Effect.Effect<World, unknown, Scope.Scope>

/** What the process takes that ends it, and the next one to begin, on a machine that has much else to do. */
const allowance = 2_000

const startAll = <A>(count: number, start: (n: number) => Effect.Effect<A, never, Scope.Scope>) =>
  Effect.forEach(Array.from({ length: count }, (_, n) => n + 1), start, { concurrency: "unbounded" })

/** Writers at work, and how to end them. */
const atWork = (world: World, count: number) =>
  Effect.gen(function*() {
    const writers = yield* startAll(count, (n) => world.writer(`writer ${n}`))
    yield* Effect.forEach(writers, (writer) => heard(writer, "Ready"))
    yield* Effect.forEach(writers, (writer) => writer.tell({ _tag: "Go" }))
    return {
      rest: Effect.gen(function*() {
        yield* Effect.forEach(writers, (writer) => writer.tell({ _tag: "Stop" }))
        const done = yield* Effect.forEach(writers, (writer) => heard(writer, "Done"))
        assert.deepStrictEqual(done.flatMap(({ failures }) => failures), [])
        return done
      })
    }
  })

const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((a, b) => a + b, 0)

const sharing = (make: Make, options: { writers: number; relays: number; events: number; deadlocks: boolean }) =>
  it.scopedLive(
    `${options.writers} writers and ${options.relays} relays: nothing is lost, invented, repeated or out of order, and ` +
      "the work is shared",
    () =>
      Effect.gen(function*() {
        const world = yield* make("sharing")
        const relays = yield* startAll(options.relays, (n) => world.relay(`relay ${n}`, { pollMillis: 1_000 }))
        yield* shared(relays)
        const work = yield* atWork(world, options.writers)
        const { length: from } = yield* world.deliveries
        const to = yield* eventually(
          `the relays deliver ${options.events} events`,
          Effect.map(world.deliveries, ({ length }) => length >= from + options.events ? length : undefined),
          "60 seconds"
        )
        const done = yield* work.rest
        yield* world.judged({ disturbed: [], shared: { relays: relays.map(({ name }) => name), from, to } })
        assert.isAbove(sum(done.map(({ abandoned }) => abandoned)), 0)
        if (options.deadlocks) assert.isAbove(sum(done.map(({ repeated }) => repeated)), 0)
      }),
    120_000
  )

const killing = (make: Make) =>
  it.scopedLive(
    "a relay that is killed is replaced within its lease and a poll, and one that comes then gets a share",
    () =>
      Effect.gen(function*() {
        const lease = 2_000
        const world = yield* make("killing")
        const relay = (name: string) => world.relay(name, { leaseMillis: lease })
        const [victim, heir] = yield* Effect.all([relay("victim"), relay("heir")])
        const [own] = yield* shared([victim, heir])
        const work = yield* atWork(world, 2)
        yield* delivered(world, "victim", 100)
        yield* delivered(world, "heir", 100)
        const millis = yield* takeover(world, victim, own!.buckets, victim.signal("SIGKILL"))
        // a relay looks for those whose leases have run out three times a lease
        assert.isBelow(millis, lease + lease / 3 + 200 + allowance)
        const successor = yield* relay("successor")
        yield* shared([heir, successor])
        yield* delivered(world, "successor", 50)
        yield* work.rest
        yield* world.judged({ disturbed: ["victim"] })
      }),
    60_000
  )

const ending = (make: Make) =>
  it.scopedLive(
    "a relay that ends well hands over long before its lease would run out, and nothing is repeated",
    () =>
      Effect.gen(function*() {
        const lease = 12_000
        const world = yield* make("ending")
        const relay = (name: string) => world.relay(name, { leaseMillis: lease })
        const [leaver, heir] = yield* Effect.all([relay("leaver"), relay("heir")])
        const [own] = yield* shared([leaver, heir])
        const work = yield* atWork(world, 2)
        yield* delivered(world, "leaver", 100)
        const millis = yield* takeover(world, leaver, own!.buckets, leaver.signal("SIGTERM"))
        assert.deepStrictEqual(yield* ended(leaver), { code: 0, signal: null })
        assert.isBelow(millis, lease / 3 + 200 + allowance)
        yield* work.rest
        yield* world.judged({ disturbed: [] })
      }),
    60_000
  )

const stopping = (make: Make) =>
  it.scopedLive(
    "a relay that is stopped beyond its lease settles nothing when it goes on, revives nothing, and gets a share again",
    () =>
      Effect.gen(function*() {
        const world = yield* make("stopping")
        const relay = (name: string) => world.relay(name, { leaseMillis: 1_500, keeps: true })
        const [sleeper, heir] = yield* Effect.all([relay("sleeper"), relay("heir")])
        yield* shared([sleeper, heir])
        const work = yield* atWork(world, 1)
        yield* delivered(world, "sleeper", 20)

        /** Stopped in the middle of a publish, until the other one has all buckets. */
        const freeze = (answer: "late" | "false") =>
          Effect.gen(function*() {
            const before = sleeper.reports.length
            yield* sleeper.tell({ _tag: "Freeze", answer })
            const { ids } = yield* heard(sleeper, "Freezing", (report) => sleeper.reports.indexOf(report) >= before)
            return ids
          })
        /** Once the other one has all buckets it is continued; it settles what it had, and begins anew. */
        const goesOn = (meanwhile: Effect.Effect<unknown, unknown>) =>
          Effect.gen(function*() {
            yield* heard(heir, "Holding", (holding) => holding.buckets.length === buckets)
            yield* meanwhile
            const { token } = yield* heard(sleeper, "Holding")
            yield* sleeper.signal("SIGCONT")
            yield* heard(sleeper, "Holding", (holding) => holding.token !== token)
          })

        // the other one has delivered it all: it comes again, and is rejected, and that changes nothing
        const repeated = yield* freeze("late")
        yield* goesOn(eventually(
          "the heir delivers what was in flight",
          Effect.map(
            world.deliveries,
            (all) => repeated.every((id) => all.some((one) => one.id === id && one.relay === "heir")) ? true : undefined
          )
        ))
        yield* shared([sleeper, heir])
        yield* delivered(world, "sleeper", 20)

        // the other one has not delivered it yet: it is not gone because somebody who was declared dead says so
        const claimed = yield* freeze("false")
        yield* heir.tell({ _tag: "Close" })
        yield* heard(heir, "Closed")
        yield* goesOn(Effect.void)
        yield* heir.tell({ _tag: "Open" })
        yield* shared([sleeper, heir])
        yield* work.rest
        const { deliveries } = yield* world.judged({ disturbed: ["sleeper"] })
        for (const id of claimed) {
          assert.strictEqual(deliveries.filter((one) => one.id === id).length, 1, `how often ${id} was delivered`)
        }
        for (const id of repeated) {
          assert.deepStrictEqual(
            deliveries.filter((one) => one.id === id).map(({ relay }) => relay),
            ["heir", "sleeper"],
            `who delivered ${id}`
          )
        }
        assert.strictEqual(sleeper.log().split("before it could settle").length - 1, 2, "settlements that were refused")
      }),
    60_000
  )

const dying = (make: Make) =>
  it.scopedLive(
    "an event that kills the relay's process is isolated, and becomes a dead letter; the others are delivered",
    () =>
      Effect.gen(function*() {
        const maxDeaths = 2
        const world = yield* make("dying")
        const [key] = accounts
        const sql = Context.get(world.services, SqlClient.SqlClient)
        const announce = (key: string, isDeadly: boolean) =>
          Transaction.run(
            Database.raise(sql, key, 1, (version) => Outbox.add(new Changed({ key, version, isDeadly })))
          ).pipe(Effect.provide(world.services))
        const announceAll = Effect.forEach(accounts, (key) => announce(key, false), { discard: true })
        yield* announceAll
        yield* announce(key!, true)
        const deadly = (yield* Database.ledger(sql)).filter((one) => one.key === key && one.version === 2)
        yield* announceAll
        /** What the database says, for a failure that has nothing else to say. */
        const state = Effect.gen(function*() {
          const { dead, pending } = yield* world.statistics
          const outbox = yield* sql`select sequence, bucket, partition_key, attempts, last_error from cqrs_outbox`
          const leases = yield* sql`select * from cqrs_lease`
          return `${pending} pending, ${dead} dead; ${JSON.stringify({ outbox, leases })}`
        })
        const deaths: Array<string> = []
        const survivor = yield* Effect.iterate(undefined as string | undefined, {
          while: (survivor) => survivor === undefined && deaths.length < 12,
          body: () =>
            Effect.gen(function*() {
              const name = `relay ${deaths.length + 1}`
              const relay = yield* world.relay(name, { leaseMillis: 1_000, maxDeaths, batchSize: 16, keeps: true })
              const outcome = yield* eventually(
                `${name} dies, or outlives the deadly event`,
                Effect.gen(function*() {
                  const end = relay.end()
                  if (end !== undefined) return { end }
                  // what is behind the dead letter waits
                  const { dead, pending } = yield* world.statistics
                  return dead === 1 && pending === 1 ? {} : undefined
                })
              ).pipe(Effect.catchAll((error) =>
                Effect.flatMap(state, (found) => Effect.dieMessage(`${error.message}. ${found}\n${relay.log()}`))
              ))
              if (outcome.end === undefined) {
                return name
              }
              assert.deepStrictEqual(outcome.end, { code: null, signal: "SIGKILL" }, relay.log())
              deaths.push(name)
            })
        })
        assert.isDefined(survivor, `none of ${deaths.length} relays outlived the event`)
        // two deaths narrow sixteen events down to one, and it is counted from then on
        assert.strictEqual(deaths.length, 2 + maxDeaths)
        const letters = yield* Effect.provide(
          DeadLetters.DeadLetters,
          Layer.provide(DeadLetters.layer, Layer.succeedContext(world.services))
        )
        const [letter] = yield* letters.list()
        assert.deepStrictEqual(
          [letter!.message.id],
          deadly.map(({ id }) =>
            id
          )
        )
        assert.match(letter!.reason, /died 2 times in a row while this event was alone in flight/)
        const attempts = yield* sql<{ readonly attempts: number }>`select distinct attempts from cqrs_outbox`
        assert.deepStrictEqual(attempts.map((row) => Number(row.attempts)), [0])
        assert.strictEqual(yield* letters.discard({ sequences: [letter!.sequence] }), 1)
        yield* world.judged({ disturbed: deaths, discarded: deadly.map(({ id }) => id) })
      }),
    90_000
  )

const madeOn = (place: Effect.Effect<Place, unknown, Scope.Scope>): Make => (name) =>
  Effect.gen(function*() {
    const target = { ...yield* place, deliveries: `${yield* folder}/deliveries` }
    return yield* create(yield* program, target, `${target.kind} ${name}`)
  })

onEachServer((server, url) => {
  describe("several processes", () => {
    const make = madeOn(
      Effect.map(server.database(url), (own) => ({
        kind: server.name === "PostgreSQL" ? "pg" : "mysql",
        location: Redacted.value(own)
      }))
    )
    sharing(make, { writers: 8, relays: 4, events: 1_500, deadlocks: true })
    killing(make)
    ending(make)
    stopping(make)
    dying(make)
  })
})

describe("SQLite", () => {
  describe("several processes on one file", () => {
    const make = madeOn(Effect.map(folder, (path) => ({ kind: "sqlite", location: `${path}/test.db` })))
    sharing(make, { writers: 3, relays: 2, events: 600, deadlocks: false })
    killing(make)
    dying(make)
  })
})
