import {
  Bootstrap,
  Broker,
  BucketOwner,
  Event,
  Health,
  Outbox,
  OutboxStorage,
  Relay,
  Transaction,
  Transactor
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import type { Duration } from "effect"
import { Context, DateTime, Effect, Exit, Layer, Ref, Schema, Scope, TestClock } from "effect"
import { holding, quiet } from "./fixtures.ts"

class Noted extends Event.notification<Noted>()("noted", { topic: "notes", payload: { n: Schema.Number } }) {}

const add = Transaction.run(Outbox.add(new Noted({ n: 1 })))

const refused = new Broker.BrokerError({ reason: "Unavailable", message: "nobody listens" })
const gone = new OutboxStorage.StorageError({ reason: "Unavailable", message: "the database is gone" })

/** What a test can put out of order. */
interface World {
  broker: boolean
  destination: boolean
  database: "well" | "gone" | "silent"
  isTrusted: boolean
  /** The backlog is so long that nobody has counted it yet. */
  isCounting: boolean
}

/** A program whose parts fail when the world says so. */
const program = (options?: Parameters<typeof Health.layer>[0]) =>
  Effect.gen(function*() {
    const world: World = { broker: true, destination: true, database: "well", isTrusted: true, isCounting: false }
    const database = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | OutboxStorage.StorageError> =>
      Effect.suspend((): Effect.Effect<A, E | OutboxStorage.StorageError> =>
        world.database === "well" ? effect : world.database === "gone" ? Effect.fail(gone) : Effect.never
      )
    const outbox = Layer.map(OutboxStorage.layerMemory(), (context) => {
      const storage = Effect.runSync(Effect.provide(OutboxStorage.OutboxStorage, context))
      return Context.make(OutboxStorage.OutboxStorage, {
        ...storage,
        tail: database(storage.tail),
        statistics: Effect.suspend(() => world.isCounting ? Effect.never : storage.statistics),
        read: (options) => database(storage.read(options)),
        revision: database(storage.revision)
      })
    })
    const broker = Layer.map(Broker.layerMemory(), (context) => {
      const memory = Effect.runSync(Effect.provide(Broker.Broker, context))
      return Context.make(Broker.Broker, {
        ...memory,
        publish: (batch) =>
          Effect.suspend(() =>
            world.broker && world.destination
              ? memory.publish(batch)
              : Effect.succeed(batch.map(() =>
                Broker.Outcome.Retriable({ scope: world.broker ? "destination" : "broker", reason: "nobody listens" })
              ))
          ),
        check: Effect.suspend(() =>
          world.broker ? Effect.void : Effect.fail(refused)
        )
      })
    })
    const owner = Layer.succeed(BucketOwner.BucketOwner, {
      join: Effect.succeed({
        holding: Effect.sync(() => holding({ trustedUntil: world.isTrusted ? 2n ** 63n : 0n })),
        changes: { version: Effect.succeed(0), waitPast: () => Effect.never },
        release: () => Effect.void,
        suspect: () => Effect.succeed(true),
        acquit: () => Effect.void,
        report: () => Effect.void
      }),
      ownership: Effect.die("nobody asks")
    })
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const context = yield* Layer.buildWithScope(
      Health.layer(options).pipe(
        Layer.provideMerge(Relay.layer()),
        Layer.provideMerge(Transactor.layerMemory),
        Layer.provideMerge(Layer.mergeAll(outbox, broker, owner))
      ),
      scope
    )
    const health = Context.get(context, Health.Health)
    return {
      world,
      health,
      add: Effect.provide(add, context),
      relay: Context.get(context, Relay.Relay),
      close: Scope.close(scope, Exit.void)
    }
  })

const one = (report: Health.Report, check: string) => report.checks[check]!

const pass = (duration: Duration.DurationInput) => TestClock.adjust(duration)

describe("readiness", () => {
  it.scoped("is up, and tells what waits in the outbox and what the relay did", () =>
    Effect.gen(function*() {
      const { add, health } = yield* program()
      yield* add
      yield* pass("1 second")
      const report = yield* health.ready
      assert.strictEqual(report.status, "up")
      assert.deepStrictEqual(one(report, "database").details, { pending: 0, dead: 0, oldestAgeMillis: 0 })
      assert.deepInclude(one(report, "relay").details, { state: "running", buckets: 64, isLeased: true })
      assert.isString(one(report, "relay").details?.lastSettledAt)
    }))

  it.scoped("is down while the database is gone, and comes back by itself", () =>
    Effect.gen(function*() {
      const { health, world } = yield* program()
      yield* pass("1 second")
      world.database = "gone"
      yield* pass("2 seconds")
      const out = yield* health.ready
      assert.strictEqual(out.status, "down")
      assert.deepStrictEqual(one(out, "database"), { status: "down", reason: "the database is gone" })
      assert.include(one(out, "relay").reason, "the database is gone")
      world.database = "well"
      yield* pass("11 seconds")
      assert.strictEqual((yield* health.ready).status, "up")
    }).pipe(Effect.provide(quiet)))

  it.scoped("does not depend on how long it takes to count what waits", () =>
    Effect.gen(function*() {
      const { health, world } = yield* program()
      world.isCounting = true
      const looking = yield* Effect.fork(health.ready)
      yield* pass("1 second")
      assert.deepStrictEqual(one(yield* looking, "database"), { status: "up" })
    }))

  it.scoped("is down while the database does not answer, and does not ask it again and again", () =>
    Effect.gen(function*() {
      const asked = yield* Ref.make(0)
      const silent: Health.Check = {
        name: "silent",
        look: Effect.zipRight(Ref.update(asked, (n) => n + 1), Effect.never)
      }
      const health = yield* Health.make([silent], { timeout: "1 second" })
      for (let n = 0; n < 3; n++) {
        const looking = yield* Effect.fork(health.ready)
        yield* pass("1 second")
        const report = yield* looking
        assert.strictEqual(report.status, "down")
        assert.include(one(report, "silent").reason, "has not answered for 1s")
      }
      assert.strictEqual(yield* asked, 1)
    }))

  it.scoped("is down while the broker is out, although there is nothing to publish, and comes back", () =>
    Effect.gen(function*() {
      const { health, world } = yield* program()
      world.broker = false
      const out = yield* health.ready
      assert.strictEqual(out.status, "down")
      assert.strictEqual(one(out, "broker").reason, "The broker is out: nobody listens")
      assert.strictEqual(one(out, "relay").status, "up")
      world.broker = true
      assert.strictEqual((yield* health.ready).status, "up")
    }))

  it.scoped("is down while the relay finds the broker out, and up once it has delivered", () =>
    Effect.gen(function*() {
      const { add, health, relay, world } = yield* program()
      world.broker = false
      yield* add
      yield* pass("1 second")
      assert.include(one(yield* health.ready, "relay"), { status: "down", reason: "The broker is out: nobody listens" })
      const first = (yield* relay.status).broker!
      yield* pass("1 minute")
      const later = (yield* relay.status).broker!
      assert.strictEqual(DateTime.formatIso(later.since), DateTime.formatIso(first.since))
      world.broker = true
      yield* pass("15 seconds")
      assert.strictEqual((yield* health.ready).status, "up")
      assert.isUndefined((yield* relay.status).broker)
    }).pipe(Effect.provide(quiet)))

  it.scoped("is degraded for as long as an outage of the broker is tolerated, then down", () =>
    Effect.gen(function*() {
      const { health, world } = yield* program({ brokerOutage: "1 minute" })
      world.broker = false
      assert.strictEqual((yield* health.ready).status, "degraded")
      yield* pass("59 seconds")
      assert.strictEqual((yield* health.ready).status, "degraded")
      yield* pass("1 second")
      assert.strictEqual((yield* health.ready).status, "down")
    }))

  it.scoped("is degraded while a destination is suspended, and names it", () =>
    Effect.gen(function*() {
      const { add, health, world } = yield* program()
      world.destination = false
      yield* add
      yield* pass("1 second")
      const report = yield* health.ready
      assert.strictEqual(report.status, "degraded")
      assert.include(JSON.stringify(one(report, "relay").details), "\"topic\":\"notes\"")
    }).pipe(Effect.provide(quiet)))

  it.scoped("is down while the relay does not trust its lease", () =>
    Effect.gen(function*() {
      const { health, world } = yield* program()
      world.isTrusted = false
      assert.include(one(yield* health.ready, "relay"), { status: "down", reason: "The relay's lease has run out" })
    }))

  it.scoped("is down once the shutdown has begun, and live", () =>
    Effect.gen(function*() {
      const { health } = yield* program()
      assert.isFalse(yield* health.isDraining)
      yield* health.drain
      assert.isTrue(yield* health.isDraining)
      assert.deepStrictEqual(yield* health.ready, {
        status: "down",
        reason: "The program is shutting down",
        checks: {}
      })
      assert.strictEqual((yield* health.live).status, "up")
    }))

  it.scoped("is as bad as the worst check, those of the program among them; one that dies is down", () =>
    Effect.gen(function*() {
      const degraded: Health.Check = { name: "mail", look: Effect.succeed({ status: "degraded" }) }
      const { health } = yield* program({ checks: [degraded] })
      assert.strictEqual((yield* health.ready).status, "degraded")
      const dying = yield* Health.make([degraded, { name: "bug", look: Effect.dieMessage("boom") }])
      assert.deepStrictEqual((yield* dying.ready).checks["bug"], { status: "down", reason: "The check died" })
    }).pipe(Effect.provide(quiet)))
})

describe("liveness", () => {
  it.scoped("is no matter of outages, which are waited out", () =>
    Effect.gen(function*() {
      const { health, world } = yield* program()
      world.database = "gone"
      world.broker = false
      yield* pass("1 minute")
      assert.strictEqual((yield* health.live).status, "up")
    }).pipe(Effect.provide(quiet)))

  it.effect("is over when the relay's fiber has ended though nobody stopped it", () =>
    Effect.gen(function*() {
      const status = (state: Relay.Status["state"]): Relay.Status => ({
        state,
        buckets: 1,
        isLeased: true,
        lastStepAt: undefined,
        lastSettledAt: undefined,
        storage: undefined,
        broker: undefined,
        destinations: []
      })
      const state = yield* Ref.make<Relay.Status["state"]>("running")
      const relay = Relay.Relay.of({
        tick: Effect.never,
        drain: Effect.never,
        status: Effect.map(state, status)
      })
      const check = yield* Effect.provideService(Health.relay(), Relay.Relay, relay)
      const health = yield* Effect.scoped(Health.make([check]))
      assert.strictEqual((yield* health.live).status, "up")
      yield* Ref.set(state, "stopping")
      assert.strictEqual((yield* health.live).status, "up")
      yield* Ref.set(state, "dead")
      assert.include(one(yield* health.live, "relay").reason, "fiber has ended")
    }))
})

describe("a relay's status", () => {
  it.scoped("follows its life", () =>
    Effect.gen(function*() {
      const { close, relay } = yield* program()
      yield* pass("1 second")
      assert.strictEqual((yield* relay.status).state, "running")
      yield* close
      assert.strictEqual((yield* relay.status).state, "stopped")
    }))

  it.scoped("says when it last stepped and settled", () =>
    Effect.gen(function*() {
      const { add, relay } = yield* program()
      yield* pass("10 seconds")
      assert.isUndefined((yield* relay.status).lastSettledAt)
      yield* add
      yield* pass("1 second")
      const settled = (yield* relay.status).lastSettledAt!
      yield* pass("1 minute")
      const { lastSettledAt, lastStepAt } = yield* relay.status
      assert.strictEqual(DateTime.formatIso(lastSettledAt!), DateTime.formatIso(settled))
      assert.isAtLeast(lastStepAt!.epochMillis, (yield* DateTime.now).epochMillis - 1000)
    }))

  it.scoped("of one without a fiber is manual", () =>
    Effect.gen(function*() {
      const relay = yield* Effect.provide(
        Relay.make(),
        Layer.merge(Bootstrap.layerStorageMemory, Broker.layerMemory())
      )
      assert.strictEqual((yield* relay.status).state, "manual")
    }))
})
