/**
 * The promises of the inbox, as a suite that every inbox storage runs.
 *
 * @since 0.1.0
 */
import * as Inbox from "@effect-cqrs/core/Inbox"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { assertIds, casesOf } from "./internal/cases.ts"
import { texts } from "./internal/messages.ts"
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
 * import { Context, Effect, Layer } from "effect"
 *
 * class Keys extends Context.Tag("Keys")<Keys, Set<string>>() {}
 *
 * export const memory = (runner: Suite.Runner) =>
 *   InboxSuite.suite<Keys>("memory", {
 *     ...runner,
 *     layer: () => Layer.merge(Bootstrap.layerStorageMemory, Layer.sync(Keys, () => new Set())),
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

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const keyOf = (given: Partial<Inbox.Key> = {}): Inbox.Key => ({
  consumer: "consumer",
  handler: "handler",
  source: "/source",
  messageId: "message",
  ...given
})
