import { Broker, type Message, Serialization } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Ledger from "../src/outbox/Ledger.ts"
import { note } from "../src/outbox/Noted.ts"

/** Of two keys in turn, 0, 1, 2, … of each. */
const messages = (count: number): Effect.Effect<ReadonlyArray<Message.Message>, unknown> =>
  Effect.forEach(
    Array.from({ length: count }),
    (_, at) => Serialization.encode(note(`key ${at % 2}`, Math.floor(at / 2)))
  )

const reason = (ledger: Ledger.Ledger, count: number) =>
  Effect.map(Effect.flip(ledger.check(count)), ({ message }) => message)

describe("Ledger", () => {
  it.effect("takes the payload of a relay's measurements: 500 bytes, the version first", () =>
    Effect.map(messages(30), (all) => {
      for (const { payload } of all) assert.strictEqual(payload.length, 500)
    }))

  it.effect("acknowledges everything, and is content with each key's events in order", () =>
    Effect.gen(function*() {
      const all = yield* messages(40)
      const ledger = Ledger.make({})
      const outcomes = yield* ledger.broker.publish(all)
      assert.deepStrictEqual(outcomes, all.map(() => Broker.Outcome.Delivered()))
      yield* ledger.check(40)
    }))

  it.effect("is content with the same events once more where they begin again", () =>
    Effect.gen(function*() {
      const all = yield* messages(40)
      const ledger = Ledger.make({ versions: 20 })
      yield* ledger.broker.publish(all)
      yield* ledger.broker.publish(all)
      yield* ledger.check(80)
      assert.include(yield* reason(ledger, 81), "80 events came of 81")
    }))

  for (
    const [what, change] of [
      ["lost", (all: ReadonlyArray<Message.Message>) => all.filter((_, at) => at !== 7)],
      ["repeated", (all: ReadonlyArray<Message.Message>) => [...all.slice(0, 8), ...all.slice(7)]],
      ["out of order", (all: ReadonlyArray<Message.Message>) => [...all.slice(2, 4), ...all.slice(0, 2)]]
    ] as const
  ) {
    it.effect(`notices an event that is ${what}`, () =>
      Effect.gen(function*() {
        const ledger = Ledger.make({})
        yield* ledger.broker.publish(change(yield* messages(40)))
        assert.include(yield* reason(ledger, 40), "Lost, repeated or out of order: of key")
      }))
  }

  it.effect("notices that events are missing at the end", () =>
    Effect.gen(function*() {
      const ledger = Ledger.make({})
      yield* ledger.broker.publish(yield* messages(38))
      assert.strictEqual(yield* reason(ledger, 40), "38 events came of 40")
    }))

  for (const fault of ["drop", "swap", "repeat"] as const) {
    it.effect(`notices its own fault: ${fault}`, () =>
      Effect.gen(function*() {
        const ledger = Ledger.make({ fault })
        const outcomes = yield* ledger.broker.publish(yield* messages(40))
        assert.strictEqual(outcomes.length, 40)
        assert.include(yield* reason(ledger, 40), "Lost, repeated or out of order: of key")
      }))
  }

  it.effect("is out when it has what it was to have", () =>
    Effect.gen(function*() {
      const ledger = Ledger.make({ capacity: () => 3 })
      const outcomes = yield* ledger.broker.publish(yield* messages(4))
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Delivered", "Delivered", "Delivered", "Retriable"])
      yield* ledger.check(3)
    }))
})
