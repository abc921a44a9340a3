import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, FiberRef } from "effect"
import { locally } from "../../src/internal/locally.ts"

class Name extends Context.Tag("Name")<Name, string>() {}

const one = FiberRef.unsafeMake("one")
const other = FiberRef.unsafeMake("other")

const both = Effect.all([FiberRef.get(one), FiberRef.get(other)])

/** The same with Effect's own, one value after the other. */
const effects = <A, E, R>(effect: Effect.Effect<A, E, R>, ...locals: Array<Parameters<typeof locally>[1]>) =>
  locals.reduce((inner, [ref, value]) => Effect.locally(inner, ref, value), effect)

for (const [name, within] of [["locally", locally], ["Effect.locally", effects]] as const) {
  describe(name, () => {
    const inside = <A, E>(effect: Effect.Effect<A, E>) => within(effect, [one, "1"], [other, "2"])

    it.effect("holds while the effect runs, and not after", () =>
      Effect.gen(function*() {
        yield* FiberRef.set(one, "set before")
        assert.deepStrictEqual(yield* inside(both), ["1", "2"])
        assert.deepStrictEqual(yield* both, ["set before", "other"])
      }))

    it.effect("is undone where it fails, dies or is interrupted", () =>
      Effect.gen(function*() {
        for (const ending of [Effect.fail("no"), Effect.die("never"), Effect.interrupt]) {
          const exit = yield* Effect.exit(inside(ending))
          assert.isTrue(Exit.isFailure(exit))
          assert.deepStrictEqual(yield* both, ["one", "other"])
        }
      }))

    it.effect("is undone before the finalizers of one that is interrupted in it", () =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const seen = yield* Deferred.make<ReadonlyArray<string>>()
        const fiber = yield* Effect.fork(
          Effect.onExit(
            inside(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)),
            () => Effect.flatMap(both, (values) => Deferred.succeed(seen, values))
          )
        )
        yield* Deferred.await(begun)
        const exit = yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
        assert.deepStrictEqual(yield* Deferred.await(seen), ["one", "other"])
      }))

    it.effect("what else is set inside stays, and what is set of its own does not", () =>
      Effect.gen(function*() {
        const third = FiberRef.unsafeMake("third")
        yield* inside(Effect.zipRight(FiberRef.set(third, "3"), FiberRef.set(one, "set inside")))
        assert.strictEqual(yield* FiberRef.get(third), "3")
        assert.deepStrictEqual(yield* both, ["one", "other"])
      }))

    it.effect("one inside another ends with it", () =>
      Effect.gen(function*() {
        yield* inside(Effect.gen(function*() {
          assert.deepStrictEqual(yield* within(both, [one, "inner"]), ["inner", "2"])
          assert.deepStrictEqual(yield* both, ["1", "2"])
        }))
        assert.deepStrictEqual(yield* both, ["one", "other"])
      }))

    it.effect("a fiber that is forked inside has it, and what it sets comes with its join", () =>
      Effect.gen(function*() {
        const third = FiberRef.unsafeMake("third")
        const fiber = yield* inside(Effect.fork(Effect.zipRight(FiberRef.set(third, "3"), both)))
        assert.deepStrictEqual(yield* Fiber.join(fiber), ["1", "2"])
        assert.strictEqual(yield* FiberRef.get(third), "3")
      }))

    it.effect("a context is that of the services, and the caller's own is back", () =>
      Effect.gen(function*() {
        const inner = Context.make(Name, "inner")
        const name = Effect.flatMap(Effect.context<never>(), (context) =>
          Effect.succeed(Context.getOption(context, Name)))
        const [in_, after] = [yield* within(name, [FiberRef.currentContext, inner]), yield* name]
        assert.deepStrictEqual(in_, Context.getOption(inner, Name))
        assert.deepStrictEqual(after, Context.getOption(Context.make(Name, "outer"), Name))
      }).pipe(Effect.provideService(Name, "outer")))
  })
}
