import { Broker } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { message } from "./fixtures.ts"

const subscription = { topics: ["rooms"], group: "g" }

describe("messages that are taken together", () => {
  it.scoped("are settled one by one where that is asked for; the rest is handed out again, in order", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const source = yield* broker.consume(subscription)
      yield* broker.publish(["1", "2", "3"].map((id) => message({ id })))
      const first = yield* Scope.make()
      const held = yield* Scope.extend(source.takeMany(3), first)
      yield* held[0]!.settle
      yield* held[0]!.settle
      yield* Scope.close(first, Exit.fail("interrupted in the middle"))
      const again = yield* Effect.scoped(source.takeMany(3))
      assert.deepStrictEqual(again.map((one) => [one.message.id, one.redeliveries]), [["2", 1], ["3", 1]])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("can be settled by their taker only, while they are out", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const source = yield* broker.consume(subscription)
      yield* broker.publish([message({ id: "1" })])
      const first = yield* Scope.make()
      const [late] = yield* Scope.extend(source.takeMany(1), first)
      yield* Scope.close(first, Exit.fail("given back"))
      const second = yield* Scope.make()
      yield* Scope.extend(source.takeMany(1), second)
      yield* late!.settle
      yield* Scope.close(second, Exit.fail("given back"))
      const [third] = yield* Effect.scoped(source.takeMany(1))
      assert.strictEqual(third!.redeliveries, 2)
    }).pipe(Effect.provide(Broker.layerMemory())))
})
