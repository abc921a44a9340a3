import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scheduler } from "effect"
import { aloneOf } from "../../src/internal/alone.ts"

const settled = Effect.repeatN(Effect.yieldNow(), 20)

/** Ones that are in flight, under their names, until they are told to end. */
const setUp = Effect.sync(() => {
  const flight = aloneOf({})
  const inFlight = new Set<string>()
  const named = (name: string, end: Deferred.Deferred<void>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => inFlight.add(name)),
      () => Deferred.await(end),
      () => Effect.sync(() => inFlight.delete(name))
    )
  const start = (name: string) =>
    Effect.gen(function*() {
      const end = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        name.startsWith("alone") ? flight.alone(named(name, end)) : flight.beside(() => named(name, end))
      )
      yield* settled
      return {
        fiber,
        end: Effect.zipRight(Deferred.succeed(end, undefined), settled),
        interrupt: Effect.zipLeft(Fiber.interrupt(fiber), settled)
      }
    })
  return { flight, start, names: () => [...inFlight].sort() }
})

describe("who is in flight", () => {
  it.effect("are many beside each other, and one that wants to be alone waits for them", () =>
    Effect.gen(function*() {
      const { names, start } = yield* setUp
      const a = yield* start("a")
      const b = yield* start("b")
      const alone = yield* start("alone")
      assert.deepStrictEqual(names(), ["a", "b"])
      yield* a.end
      assert.deepStrictEqual(names(), ["b"])
      yield* b.end
      assert.deepStrictEqual(names(), ["alone"])
      yield* alone.end
      assert.deepStrictEqual(names(), [])
    }))

  it.effect("those that come after it wait behind it, and so does another one that wants to be alone", () =>
    Effect.gen(function*() {
      const { names, start } = yield* setUp
      const a = yield* start("a")
      const alone = yield* start("alone 1")
      const other = yield* start("alone 2")
      const b = yield* start("b")
      assert.deepStrictEqual(names(), ["a"])
      yield* a.end
      assert.deepStrictEqual(names(), ["alone 1"])
      yield* alone.end
      assert.deepStrictEqual(names(), ["alone 2"])
      yield* other.end
      assert.deepStrictEqual(names(), ["b"])
      yield* b.end
      assert.deepStrictEqual(names(), [])
    }))

  it.effect("one that is interrupted while it waits to be alone holds up nobody", () =>
    Effect.gen(function*() {
      const { names, start } = yield* setUp
      yield* start("a")
      const alone = yield* start("alone")
      yield* start("b")
      assert.deepStrictEqual(names(), ["a"])
      assert.isTrue(Exit.isInterrupted(yield* alone.interrupt))
      assert.deepStrictEqual(names(), ["a", "b"])
      yield* start("c")
      assert.deepStrictEqual(names(), ["a", "b", "c"])
    }))

  it.effect("nor does one that is interrupted behind it, or while it is in flight", () =>
    Effect.gen(function*() {
      const { names, start } = yield* setUp
      const a = yield* start("a")
      const alone = yield* start("alone 1")
      const b = yield* start("b")
      yield* b.interrupt
      yield* a.interrupt
      assert.deepStrictEqual(names(), ["alone 1"])
      yield* alone.interrupt
      yield* start("alone 2")
      assert.deepStrictEqual(names(), ["alone 2"])
    }))

  it.effect("nor one that is interrupted at the moment when it may come in", () =>
    Effect.gen(function*() {
      const { names, start } = yield* setUp
      const alone = yield* start("alone 1")
      const b = yield* start("b")
      alone.fiber.addObserver(() => b.fiber.unsafeInterruptAsFork(alone.fiber.id()))
      yield* alone.end
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(b.fiber)))
      yield* start("alone 2")
      assert.deepStrictEqual(names(), ["alone 2"])
    }))

  it.effect("one that is interrupted at any step on its way in is not counted among them", () =>
    Effect.gen(function*() {
      for (let at = 1, isDone = false; !isDone; at++) {
        const { flight, names, start } = yield* setUp
        const alone = yield* start("alone 1")
        let steps = 0
        const interrupting: Scheduler.Scheduler = {
          shouldYield: (fiber) => {
            steps += 1
            if (steps === at) fiber.unsafeInterruptAsFork(fiber.id())
            return false
          },
          scheduleTask: (task, priority, fiber) => Scheduler.defaultScheduler.scheduleTask(task, priority, fiber)
        }
        const fiber = yield* Effect.fork(Effect.withScheduler(flight.beside(() => Effect.void), interrupting))
        yield* settled
        yield* alone.end
        yield* Fiber.await(fiber)
        isDone = steps < at
        yield* start("alone 2")
        assert.deepStrictEqual(names(), ["alone 2"], `interrupted before step ${at}`)
      }
    }))

  it.scoped("are told whether there is nobody else who could be", () =>
    Effect.gen(function*() {
      const { flight } = yield* setUp
      yield* flight.join(1)
      assert.isTrue(yield* flight.beside(Effect.succeed))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* flight.join(1)
        assert.isFalse(yield* flight.beside(Effect.succeed))
      }))
      assert.isTrue(yield* flight.beside(Effect.succeed))
    }))
})
