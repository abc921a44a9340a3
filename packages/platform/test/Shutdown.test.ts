import { Health } from "@effect-cqrs/core"
import { Shutdown } from "@effect-cqrs/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Scope, TestClock } from "effect"

/** A server that notes what is done to it, and whose last connection ends when a test says so. */
const serverOf = (log: Array<string>) => {
  let ended = () => {}
  const server: Shutdown.Server = {
    listening: true,
    close: (callback) => {
      log.push("takes no connections")
      ended = callback
    },
    closeAllConnections: () => log.push("closes connections")
  }
  return { server, end: () => ended() }
}

const program = (log: Array<string>, options: Omit<Shutdown.Options, "server">, server: Shutdown.Server) =>
  Shutdown.layer({ server, ...options }).pipe(
    Layer.provideMerge(Layer.scoped(
      Health.Health,
      Effect.acquireRelease(Health.make([]), () => Effect.sync(() => log.push("relay and database end")))
    )),
    Layer.provide(Logger.remove(Logger.defaultLogger))
  )

describe("a shutdown", () => {
  it.effect("is not ready first, then takes no connections, and waits for the last before anything else ends", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { end, server } = serverOf(log)
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(program(log, { delay: "5 seconds" }, server), scope)
      const ready = Effect.provide(Effect.flatMap(Health.Health, (health) => health.ready), context)
      assert.strictEqual((yield* ready).status, "up")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual((yield* ready).status, "down")
      assert.deepStrictEqual(log, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(log, ["takes no connections"])
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(log, ["takes no connections"])
      end()
      yield* Fiber.join(closing)
      assert.deepStrictEqual(log, ["takes no connections", "relay and database end"])
    }))

  it.effect("closes what has not ended within the grace period", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(program(log, { delay: 0, grace: "3 seconds" }, serverOf(log).server), scope)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(log, ["takes no connections"])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(log, ["takes no connections", "closes connections", "relay and database end"])
    }))
})
