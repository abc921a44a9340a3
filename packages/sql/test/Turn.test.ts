import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { Turn } from "../src/internal/turn.ts"

/** Fibers that have begun are where they wait. */
const settled = Effect.repeatN(Effect.yieldNow(), 10)

/** One that holds its turn until it is told to end, and others behind it that note when theirs has come. */
const queue = Effect.gen(function*() {
  const turn = new Turn()
  const end = yield* Deferred.make<void, string>()
  const come: Array<string> = []
  const first = yield* Effect.fork(Effect.exit(turn.alone(Deferred.await(end))))
  yield* settled
  const wait = (name: string) => Effect.zipLeft(Effect.fork(turn.alone(Effect.sync(() => come.push(name)))), settled)
  return { turn, end, come, first, wait }
})

describe("Turn", () => {
  it.effect("lets one in at a time, in the order they came", () =>
    Effect.gen(function*() {
      const { come, end, turn, wait } = yield* queue
      const fibers = [yield* wait("second"), yield* wait("third")]
      assert.deepStrictEqual(come, [])
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(come, ["second", "third"])
      yield* turn.alone(Effect.sync(() => come.push("at once")))
      assert.deepStrictEqual(come, ["second", "third", "at once"])
    }))

  it.effect("is passed on by one that fails, dies or is interrupted in it, as which it ends", () =>
    Effect.gen(function*() {
      const turn = new Turn()
      for (const ending of [Effect.fail("no"), Effect.die("never"), Effect.interrupt]) {
        assert.deepStrictEqual(yield* Effect.exit(turn.alone(ending)), yield* Effect.exit(ending))
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(turn.alone(Effect.void))))
      }
    }))

  it.effect("is not waited for by one that was interrupted", () =>
    Effect.gen(function*() {
      const { come, end, wait } = yield* queue
      const second = yield* wait("second")
      const third = yield* wait("third")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(second)))
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(third)
      assert.deepStrictEqual(come, ["third"])
    }))

  it.effect("is passed on by one that is interrupted at the moment when it comes", () =>
    Effect.gen(function*() {
      const { come, end, first, wait } = yield* queue
      const second = yield* wait("second")
      const third = yield* wait("third")
      first.addObserver(() => second.unsafeInterruptAsFork(first.id()))
      yield* Deferred.succeed(end, undefined)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(second)))
      yield* Fiber.join(third)
      assert.deepStrictEqual(come, ["third"])
    }))

  it.effect("can be interrupted where its holder allows it, and only there", () =>
    Effect.gen(function*() {
      const turn = new Turn()
      const steps: Array<string> = []
      const begun = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(turn.hold((restore) =>
        restore(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)).pipe(
          Effect.onInterrupt(() => Effect.zipRight(Effect.yieldNow(), Effect.sync(() => steps.push("cleaned up"))))
        )
      ))
      yield* Deferred.await(begun)
      const next = yield* Effect.fork(turn.alone(Effect.sync(() =>
        steps.push("next")
      )))
      yield* settled
      yield* Fiber.interrupt(holder)
      yield* Fiber.join(next)
      assert.deepStrictEqual(steps, ["cleaned up", "next"])
    }))
})
