/**
 * The promises of the inbox, as a suite that every inbox storage runs.
 *
 * @since 0.1.0
 */
import * as Inbox from "@effect-cqrs/core/Inbox"
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { texts } from "./Fixtures.ts"
import { assertIds, casesOf } from "./internal/cases.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of an inbox: how to build it, and how a program writes to its database. `R` is what these
 * statements need, as a SQL client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** An empty database of this name, and the transactor and the inbox on it. */
  readonly layer: (name: string) => Layer.Layer<Transactor | Inbox.InboxStorage | R, unknown>
  /** Stores a key, as the domain writes of a handler would. Each key is written once. */
  readonly write: (key: string) => Effect.Effect<unknown, unknown, R | Transaction.Transaction>
  /** The keys that are stored. Called outside of transactions. */
  readonly read: Effect.Effect<ReadonlyArray<string>, unknown, R>
  /** Makes everything that the inbox remembers older by so much, as if it had been done that long before. */
  readonly age: (by: Duration.Duration) => Effect.Effect<unknown, unknown, R>
  /** How long the inbox of `layer` keeps a key. Default 7 days. */
  readonly retention?: Duration.Duration | undefined
  /**
   * What was stored is there when another layer is built for the same name within the scope: it survives the process.
   */
  readonly reopen: Feature<
    (name: string) => Effect.Effect<
      Layer.Layer<Transactor | Inbox.InboxStorage | R, unknown>,
      unknown,
      Scope.Scope
    >
  >
  /** How long a case may take, in milliseconds. Default: 30,000. */
  readonly timeout?: number | undefined
}

/**
 * Runs the suite: each case on a database of its own.
 *
 * @example
 * ```ts
 * import { Bootstrap, Transaction } from "@effect-cqrs/core"
 * import { InboxSuite, Suite } from "@effect-cqrs/testing"
 * import { Clock, Context, Duration, Effect, Layer } from "effect"
 *
 * class Keys extends Context.Tag("Keys")<Keys, Set<string>>() {}
 *
 * let ahead = 0
 * const clock: Clock.Clock = Object.assign(Clock.make(), {
 *   currentTimeMillis: Effect.sync(() => Date.now() + ahead)
 * })
 *
 * export const memory = (runner: Suite.Runner) =>
 *   InboxSuite.suite<Keys>("memory", {
 *     ...runner,
 *     layer: () =>
 *       Layer.mergeAll(Bootstrap.layerStorageMemory, Layer.sync(Keys, () => new Set()), Layer.setClock(clock)),
 *     age: (by) => Effect.sync(() => void (ahead += Duration.toMillis(by))),
 *     write: (key) =>
 *       Effect.flatMap(Keys, (keys) => {
 *         keys.add(key)
 *         return Transaction.afterRollback(Effect.sync(() => keys.delete(key)))
 *       }),
 *     read: Effect.map(Keys, (keys) => [...keys]),
 *     reopen: Suite.unsupported("it forgets everything with the process")
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const { read, write } = facts
  type Services = Transactor | Inbox.InboxStorage | R

  const cases = casesOf(facts, { timeout: facts.timeout ?? 30_000 })
  const it = (name: string, test: Effect.Effect<void, unknown, Services | Scope.Scope>) =>
    cases.it(name, (id) => Effect.provide(test, facts.layer(id)))

  const assertStored = (expected: ReadonlyArray<string>) =>
    Effect.map(read, (keys) => assertIds("writes", keys, expected))

  const describeRetention = () => {
    const older = Duration.sum(facts.retention ?? Duration.days(7), Duration.minutes(1))

    it(
      "forgets what is older than the retention, and only that",
      Effect.gen(function*() {
        const storage = yield* Inbox.InboxStorage
        const old = keyOf({ messageId: "old" })
        const young = keyOf({ messageId: "young" })
        yield* Inbox.process(old, write("old"))
        yield* storage.start(old, alone("a"))
        yield* facts.age(Duration.times(older, 0.5))
        assert.strictEqual(yield* storage.purge({ limit: 100 }), 0)
        yield* Inbox.process(young, write("young"))
        yield* storage.start(young, alone("a"))
        yield* facts.age(Duration.times(older, 0.5))
        assert.strictEqual((yield* Inbox.process(young, write("young again")))._tag, "Duplicate")
        assert.strictEqual(yield* storage.purge({ limit: 100 }), 2)
        assert.strictEqual(yield* storage.purge({ limit: 100 }), 0)
        assert.strictEqual((yield* Inbox.process(old, write("old again")))._tag, "Handled")
        assert.strictEqual((yield* Inbox.process(young, write("young again")))._tag, "Duplicate")
        assert.strictEqual(yield* storage.isSuspect(old), false)
        assert.strictEqual(yield* storage.isSuspect(young), true)
        yield* assertStored(["old", "young", "old again"])
      })
    )

    it(
      "purges 10,000 keys in steps no greater than asked for, and none that is younger",
      Effect.gen(function*() {
        const storage = yield* Inbox.InboxStorage
        const registerAll = (count: number, source: string) =>
          Transaction.run(Effect.map(
            Effect.forEach(
              Array.from({ length: count }, (_, n) => n),
              (n) => storage.register(keyOf({ source, messageId: `${n}` }))
            ),
            (added) => added.filter(Boolean).length
          ))
        for (const source of ["a", "b", "c", "d"]) assert.strictEqual(yield* registerAll(2500, source), 2500)
        yield* facts.age(older)
        assert.strictEqual(yield* registerAll(300, "young"), 300)
        for (let left = 10_000; left > 0; left -= 750) {
          assert.strictEqual(yield* storage.purge({ limit: 750 }), Math.min(750, left))
        }
        assert.strictEqual(yield* storage.purge({ limit: 750 }), 0)
        assert.strictEqual(yield* registerAll(300, "young"), 0)
        assert.strictEqual(yield* registerAll(300, "a"), 300)
      })
    )

    it(
      "several that purge at once share the work",
      Effect.gen(function*() {
        const storage = yield* Inbox.InboxStorage
        yield* Transaction.run(Effect.forEach(
          Array.from({ length: 1000 }, (_, n) => n),
          (n) => storage.register(keyOf({ messageId: `${n}` }))
        ))
        yield* facts.age(older)
        const purge = Effect.iterate({ total: 0, last: 1 }, {
          while: ({ last }) => last > 0,
          body: ({ total }) => Effect.map(storage.purge({ limit: 50 }), (last) => ({ total: total + last, last }))
        })
        // those that find their rows taken by others may give up early
        const purged = yield* Effect.all(Array.from({ length: 4 }, () => purge), { concurrency: "unbounded" })
        const rest = yield* purge
        assert.strictEqual([...purged, rest].reduce((sum, { total }) => sum + total, 0), 1000)
      })
    )
  }

  const describeDeaths = () => {
    /** The process of this name dies while the handler has the message. */
    const die = (incarnation: string, key = keyOf()) =>
      Effect.flatMap(Inbox.InboxStorage, (storage) => storage.start(key, alone(incarnation)))
    const careful = (incarnation: string): Inbox.Options => ({ careful: { ...alone(incarnation), deaths: 3 } })
    const isSuspect = Effect.flatMap(Inbox.InboxStorage, (storage) => storage.isSuspect(keyOf()))

    it(
      "counts starts without an outcome, one for each incarnation that was alone, and for each key by itself",
      Effect.gen(function*() {
        const storage = yield* Inbox.InboxStorage
        const others = [
          keyOf({ consumer: "other" }),
          keyOf({ handler: "other" }),
          keyOf({ source: "other" }),
          keyOf({ messageId: "other" })
        ]
        assert.strictEqual(yield* isSuspect, false)
        assert.strictEqual(yield* die("a"), 0)
        assert.strictEqual(yield* isSuspect, true)
        assert.strictEqual(yield* die("a"), 0)
        assert.strictEqual(yield* die("b"), 1)
        assert.strictEqual(yield* storage.start(keyOf(), { incarnation: "c", isAlone: false }), 2)
        // not alone: the death of c may be another's fault
        assert.strictEqual(yield* die("d"), 2)
        assert.strictEqual(yield* die("e"), 3)
        for (const key of others) assert.strictEqual(yield* die("x", key), 0)
        yield* storage.forget(keyOf())
        assert.strictEqual(yield* die("f"), 0)
        for (const key of others) assert.strictEqual(yield* die("y", key), 1)
        for (const text of texts) {
          const key = keyOf({ consumer: text.slice(0, 50), handler: text.slice(0, 50), source: text, messageId: text })
          assert.strictEqual(yield* die("a", key), 0)
          assert.strictEqual(yield* die("b", key), 1)
        }
      })
    )

    it(
      "an effect that the process died of so many times in a row is not run, and says so until it is forgotten",
      Effect.gen(function*() {
        const storage = yield* Inbox.InboxStorage
        for (const incarnation of ["a", "b", "c"]) yield* die(incarnation)
        for (const incarnation of ["d", "e"]) {
          const error = yield* Effect.flip(Inbox.process(keyOf(), write("poison"), careful(incarnation)))
          assert.ok(error instanceof Inbox.InboxError, String(error))
          assert.strictEqual(error.reason, "Suspected")
        }
        yield* assertStored([])
        yield* storage.forget(keyOf())
        assert.strictEqual((yield* Inbox.process(keyOf(), write("a"), careful("f")))._tag, "Handled")
        yield* assertStored(["a"])
      })
    )

    for (
      const [how, ending] of [
        ["a success", Effect.void],
        ["a failure", new Refused()],
        ["a defect", Effect.die("boom")],
        ["an interruption", Effect.interrupt]
      ] as const
    ) {
      it(
        `${how} takes back the start, and the deaths before it`,
        Effect.gen(function*() {
          for (const incarnation of ["a", "b"]) yield* die(incarnation)
          let noted = false
          yield* Effect.exit(Inbox.process(
            keyOf(),
            Effect.zipRight(Effect.sync(() => noted = true), ending as Effect.Effect<void, unknown>),
            careful("c")
          ))
          assert.strictEqual(noted, true)
          assert.strictEqual(yield* isSuspect, false)
          assert.strictEqual(yield* die("d"), 0)
        })
      )
    }

    it(
      "a duplicate takes back the start, however many died of it",
      Effect.gen(function*() {
        const storage = yield* Inbox.InboxStorage
        yield* Inbox.process(keyOf(), Effect.void)
        for (const incarnation of ["b", "c", "d", "e"]) yield* die(incarnation)
        assert.strictEqual((yield* Inbox.process(keyOf(), Effect.void, careful("f")))._tag, "Duplicate")
        assert.strictEqual(yield* storage.isSuspect(keyOf()), false)
      })
    )

    it(
      "inside another transaction nothing is counted, and without being told to be careful nothing either",
      Effect.gen(function*() {
        yield* Transaction.run(Inbox.process(keyOf(), Effect.void, careful("a")))
        yield* Inbox.process(keyOf({ messageId: "other" }), Effect.void)
        assert.strictEqual(yield* isSuspect, false)
        for (const incarnation of ["a", "b", "c"]) yield* die(incarnation, keyOf({ messageId: "third" }))
        const third = Inbox.process(keyOf({ messageId: "third" }), Effect.void, careful("d"))
        assert.strictEqual((yield* Transaction.run(third))._tag, "Handled")
      })
    )
  }

  facts.describe(`${name}: inbox`, () => {
    it(
      "runs an effect once per key, and answers with its value, or that it had run before",
      Effect.gen(function*() {
        let count = 0
        const handle = Inbox.process(keyOf(), Effect.suspend(() => Effect.as(write(`a${++count}`), count)))
        assert.deepStrictEqual(yield* handle, { _tag: "Handled", value: 1 })
        assert.deepStrictEqual(yield* handle, { _tag: "Duplicate" })
        assert.deepStrictEqual(yield* handle, { _tag: "Duplicate" })
        yield* assertStored(["a1"])
      })
    )

    it(
      "forgets a key whose effect failed, died or was interrupted, and what it wrote",
      Effect.gen(function*() {
        const attempt = (key: string, ending: Effect.Effect<unknown, unknown>) =>
          Effect.exit(Inbox.process(keyOf(), Effect.zipRight(write(key), ending)))
        assert.ok(Exit.isFailure(yield* attempt("a", new Refused())))
        assert.ok(Exit.isFailure(yield* attempt("b", Effect.die("boom"))))
        const begun = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          attempt("c", Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never))
        )
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        yield* assertStored([])
        assert.deepStrictEqual(yield* attempt("d", Effect.succeed(1)), Exit.succeed({ _tag: "Handled", value: 1 }))
        assert.deepStrictEqual(yield* attempt("e", Effect.succeed(2)), Exit.succeed({ _tag: "Duplicate" }))
        yield* assertStored(["d"])
      })
    )

    it(
      "of duplicates at the same time exactly one takes effect",
      Effect.gen(function*() {
        const results = yield* Effect.forEach(
          Array.from({ length: 100 }, (_, n) => n),
          (n) =>
            Inbox.process(
              keyOf({ messageId: `message ${n % 10}` }),
              Effect.zipRight(Effect.yieldNow(), write(`${n % 10}`))
            ),
          { concurrency: "unbounded" }
        )
        yield* assertStored(Array.from({ length: 10 }, (_, n) => `${n}`))
        assert.strictEqual(results.filter((result) => result._tag === "Handled").length, 10)
      })
    )

    it(
      "a duplicate that comes while the first is at work waits for it, and takes effect if that one fails",
      Effect.gen(function*() {
        for (const fails of [true, false]) {
          const key = keyOf({ messageId: `${fails}` })
          const begun = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const first = yield* Effect.fork(Inbox.process(
            key,
            write(`first ${fails}`).pipe(
              Effect.zipRight(Deferred.succeed(begun, undefined)),
              Effect.zipRight(Deferred.await(go)),
              Effect.zipRight(fails ? new Refused() : Effect.void)
            )
          ))
          yield* Deferred.await(begun)
          const second = yield* Effect.fork(Inbox.process(key, write(`second ${fails}`)))
          yield* Effect.sleep("50 millis")
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.await(first)
          assert.strictEqual((yield* Fiber.join(second))._tag, fails ? "Handled" : "Duplicate")
        }
        yield* assertStored(["second true", "first false"])
      })
    )

    it(
      "a duplicate that is interrupted while it waits leaves the key to others",
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const first = yield* Effect.fork(Inbox.process(
          keyOf(),
          Deferred.succeed(begun, undefined).pipe(Effect.zipRight(Deferred.await(go)), Effect.zipRight(new Refused()))
        ))
        yield* Deferred.await(begun)
        const second = yield* Effect.fork(Inbox.process(keyOf(), write("second")))
        const third = yield* Effect.fork(Inbox.process(keyOf(), write("third")))
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(second)
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.await(first)
        assert.strictEqual((yield* Fiber.join(third))._tag, "Handled")
        yield* assertStored(["third"])
      })
    )

    it(
      "consumers, handlers, sources and messages are independent of each other, however alike",
      Effect.gen(function*() {
        const values = ["a", "b", "A", "a ", " a", "á", "a\u0301", "ａ", "ab", "", ...texts]
        const keys = [
          ...values.flatMap((value) => [
            keyOf({ consumer: value }),
            keyOf({ handler: value }),
            keyOf({ source: value }),
            keyOf({ messageId: value })
          ]),
          // parts that run together
          keyOf({ consumer: "x", handler: "yz" }),
          keyOf({ consumer: "xy", handler: "z" }),
          keyOf({ consumer: "x\",\"y", handler: "z" })
        ]
        for (const [n, key] of keys.entries()) {
          assert.strictEqual((yield* Inbox.process(key, write(`${n}`)))._tag, "Handled", JSON.stringify(key))
        }
        for (const [n, key] of keys.entries()) {
          assert.strictEqual((yield* Inbox.process(key, write(`${n} again`)))._tag, "Duplicate", JSON.stringify(key))
        }
        yield* assertStored(keys.map((_, n) => `${n}`))
      })
    )

    it(
      "a key vanishes with the transaction around it",
      Effect.gen(function*() {
        yield* Effect.exit(Transaction.run(Effect.zipRight(Inbox.process(keyOf(), write("a")), new Refused())))
        yield* assertStored([])
        assert.strictEqual((yield* Inbox.process(keyOf(), write("b")))._tag, "Handled")
        yield* assertStored(["b"])
      })
    )

    it(
      "inside one transaction the second is a duplicate, and the first to be rolled back is none",
      Effect.gen(function*() {
        yield* Transaction.run(Effect.gen(function*() {
          const failed = yield* Effect.exit(Inbox.process(keyOf(), Effect.zipRight(write("a"), new Refused())))
          assert.ok(Exit.isFailure(failed))
          assert.strictEqual((yield* Inbox.process(keyOf(), write("b")))._tag, "Handled")
          assert.strictEqual((yield* Inbox.process(keyOf(), write("c")))._tag, "Duplicate")
        }))
        assert.strictEqual((yield* Inbox.process(keyOf(), write("d")))._tag, "Duplicate")
        yield* assertStored(["b"])
      })
    )

    it(
      "several handlers of one message in one transaction are remembered together",
      Effect.gen(function*() {
        const both = Transaction.run(Effect.all([
          Inbox.process(keyOf({ handler: "one" }), Effect.suspend(() => write("one"))),
          Inbox.process(keyOf({ handler: "two" }), Effect.suspend(() => write("two")))
        ]))
        yield* both
        assert.deepStrictEqual((yield* both).map((one) => one._tag), ["Duplicate", "Duplicate"])
        yield* assertStored(["one", "two"])
      })
    )

    it(
      "of three transactions with one key, of which the first is rolled back, none fails and one takes effect",
      Effect.gen(function*() {
        for (let round = 0; round < 5; round++) {
          const key = keyOf({ messageId: `${round}` })
          const begun = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const first = yield* Effect.fork(Inbox.process(
            key,
            Deferred.succeed(begun, undefined).pipe(Effect.zipRight(Deferred.await(go)), Effect.zipRight(new Refused()))
          ))
          yield* Deferred.await(begun)
          const others = yield* Effect.forEach(
            ["second", "third"],
            (name) => Effect.fork(Inbox.process(key, write(`${name} ${round}`)))
          )
          yield* Effect.sleep("50 millis")
          yield* Deferred.succeed(go, undefined)
          assert.ok(Exit.isFailure(yield* Fiber.await(first)))
          const outcomes = yield* Effect.forEach(others, Fiber.join)
          assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag).sort(), ["Duplicate", "Handled"])
        }
        assert.strictEqual((yield* read).length, 5)
      })
    )

    it(
      "a key that is too long is remembered whole, or refused with the reason Configuration",
      Effect.gen(function*() {
        for (const field of ["consumer", "handler", "source", "messageId"] as const) {
          const long = "x".repeat(10_000)
          const exit = yield* Effect.exit(Inbox.process(keyOf({ [field]: long }), write(field)))
          if (Exit.isSuccess(exit)) {
            const other = yield* Inbox.process(keyOf({ [field]: `${long}y` }), Effect.void)
            assert.strictEqual(other._tag, "Handled")
          } else {
            const error = Option.getOrThrow(Cause.failureOption(exit.cause))
            assert.ok(error instanceof StorageError, String(error))
            assert.strictEqual(error.reason, "Configuration")
          }
        }
      })
    )

    describeRetention()
    describeDeaths()

    cases.itWith(facts.reopen, "remembers after a restart", (id, reopen) =>
      Effect.gen(function*() {
        const layer = yield* reopen(id)
        const handle = (key: string) => Effect.provide(Inbox.process(keyOf(), write(key)), Layer.fresh(layer))
        assert.strictEqual((yield* handle("a"))._tag, "Handled")
        assert.strictEqual((yield* handle("b"))._tag, "Duplicate")
        yield* Effect.provide(assertStored(["a"]), Layer.fresh(layer))
      }))
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const alone = (incarnation: string): Inbox.Start => ({ incarnation, isAlone: true })

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const keyOf = (given: Partial<Inbox.Key> = {}): Inbox.Key => ({
  consumer: "consumer",
  handler: "handler",
  source: "/source",
  messageId: "message",
  ...given
})
