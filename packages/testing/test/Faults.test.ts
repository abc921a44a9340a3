import { Broker } from "@effect-cqrs/core"
import { Faults, Fixtures, Testbed } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { UserJoined } from "./support/rooms.ts"

const message = (id: string, key: string, topic = "rooms") =>
  Fixtures.messageOf({ id, key, topic, name: UserJoined.eventName })

const outcomes = (...batch: ReadonlyArray<ReturnType<typeof message>>) =>
  Effect.flatMap(
    Broker.Broker,
    (broker) => Effect.map(broker.publish(batch), (all) => all.map((one) => "scope" in one ? one.scope : one._tag))
  )

const taken = Effect.scoped(Effect.gen(function*() {
  const broker = yield* Broker.Broker
  const source = yield* broker.consume({ topics: ["rooms"], group: "g" })
  return (yield* source.takeMany(10)).map((one) => one.message.id)
}))

describe("faults of the broker", () => {
  it.effect("hold back what is behind in the same key, and nothing else", () =>
    Effect.gen(function*() {
      yield* Faults.reject({ where: ({ id }) => id === "1" })
      const all = yield* outcomes(message("1", "blue"), message("2", "red"), message("3", "blue"))
      assert.deepStrictEqual(all, ["Rejected", "Delivered", "destination"])
      assert.deepStrictEqual(yield* taken, ["2"])
    }).pipe(Effect.provide(Testbed.layer())))

  it.effect("are of one topic, of one event or of all, until it recovers", () =>
    Effect.gen(function*() {
      yield* Faults.outOf("rooms")
      assert.deepStrictEqual(yield* outcomes(message("1", "blue"), message("2", "red", "states")), [
        "destination",
        "Delivered"
      ])
      yield* Faults.recover
      yield* Faults.reject(UserJoined)
      assert.deepStrictEqual(yield* outcomes(message("3", "blue"), Fixtures.messageOf({ name: "another" })), [
        "Rejected",
        "Delivered"
      ])
      yield* Faults.recover
      yield* Faults.out()
      assert.deepStrictEqual(yield* outcomes(message("4", "blue"), message("5", "red", "states")), ["broker", "broker"])
      yield* Faults.recover
      assert.deepStrictEqual(yield* outcomes(message("6", "blue")), ["Delivered"])
      assert.deepStrictEqual(yield* taken, ["6"])
    }).pipe(Effect.provide(Testbed.layer())))

  it.effect("lose an acknowledgement as often as said, of what has arrived", () =>
    Effect.gen(function*() {
      yield* Faults.loseAcknowledgement(UserJoined, { times: 2 })
      for (const wanted of ["destination", "destination", "Delivered"]) {
        assert.deepStrictEqual(yield* outcomes(message("1", "blue")), [wanted])
      }
      assert.deepStrictEqual(yield* taken, ["1", "1", "1"])
    }).pipe(Effect.provide(Testbed.layer())))
})
