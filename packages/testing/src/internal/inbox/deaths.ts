import * as Inbox from "@effect-cqrs/core/Inbox"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"
import { texts } from "../../Fixtures.ts"
import { alone, keyOf, Refused, type Topic } from "./topic.ts"

/** A handler that kills the process is found by its deaths. */
export const deathCases = <R>({ assertStored, it, write }: Topic<R>): void => {
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
