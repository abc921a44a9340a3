import * as Inbox from "@effect-cqrs/core/Inbox"
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as assert from "node:assert"
import { texts } from "../../Fixtures.ts"
import { keyOf, Refused, type Topic } from "./topic.ts"

/** An effect runs once per key, in a transaction that remembers the key. */
export const onceCases = <R>({ assertStored, it, read, write }: Topic<R>): void => {
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
}
