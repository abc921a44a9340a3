import { Wake } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, TestClock } from "effect"
import { type Report, Suspensions } from "../../../src/internal/relay/suspensions.ts"
import { quiet } from "../../fixtures.ts"

const report = (given: Partial<Report> = {}): Report => ({
  brokerOut: undefined,
  isBrokerWell: true,
  out: new Map(),
  well: new Set(),
  ...given
})
const brokerOut = report({ brokerOut: "connection refused", isBrokerWell: false })
const out = (topic: string) => report({ out: new Map([[topic, "no such topic"]]) })
const well = (topic: string) => report({ well: new Set([topic]) })

/** Waits of 1, 2, 4 … seconds. */
const suspensions = Effect.map(Effect.all([Wake.make, Wake.make, Wake.make]), ([changed, recovered, freed]) => ({
  changed,
  recovered,
  freed,
  all: new Suspensions(Schedule.exponential("1 second"), changed, recovered, freed)
}))

const it_ = (name: string, test: Effect.Effect<void>) => it.effect(name, () => Effect.provide(test, quiet))

describe("Suspensions", () => {
  it_(
    "a destination that took nothing is out for the backoff's wait, and then in doubt",
    Effect.gen(function*() {
      const { all } = yield* suspensions
      yield* all.learn(out("rooms"))
      assert.deepStrictEqual([0, 999, 1000].map((now) => all.isOut("rooms", now)), [true, true, false])
      assert.isTrue(all.isDoubtful("rooms"))
      assert.isFalse(all.isDoubtful("openings"))
      assert.strictEqual(all.nextTrial(0), 1000)
      assert.strictEqual(all.nextTrial(1000), Number.POSITIVE_INFINITY)
      yield* all.learn(well("rooms"))
      assert.isFalse(all.isDoubtful("rooms"))
    })
  )

  it_(
    "each try that failed is waited for longer, and what lanes report together is one",
    Effect.gen(function*() {
      const { all } = yield* suspensions
      yield* all.learn(out("rooms"))
      yield* all.learn(out("rooms"))
      assert.isFalse(all.isOut("rooms", 1000))
      yield* TestClock.setTime(1000)
      yield* all.learn(out("rooms"))
      assert.isTrue(all.isOut("rooms", 2999))
      assert.isFalse(all.isOut("rooms", 3000))
    })
  )

  it_(
    "the broker is back once it has answered for itself, and not for want of an answer",
    Effect.gen(function*() {
      const { all, recovered } = yield* suspensions
      yield* all.learn(brokerOut)
      assert.strictEqual(all.brokerUntil, 1000)
      yield* all.learn(report({ isBrokerWell: false }))
      assert.strictEqual(all.brokerUntil, 1000)
      const version = yield* recovered.version
      yield* all.learn(report())
      assert.isUndefined(all.brokerUntil)
      assert.isAbove(yield* recovered.version, version)
    })
  )

  it_(
    "while the broker is out one lane at a time may try it, once its wait is over, and others learn when it has",
    Effect.gen(function*() {
      const { all, freed } = yield* suspensions
      assert.isObject(all.enter(0))
      assert.isObject(all.enter(0))
      yield* all.learn(brokerOut)
      assert.strictEqual(all.enter(999), "out")
      const entered = all.enter(1000)
      assert.strictEqual(all.enter(1000), "taken")
      if (typeof entered === "string") return assert.fail(entered)
      const version = yield* freed.version
      yield* entered.leave
      yield* freed.waitPast(version)
      assert.isObject(all.enter(1000))
    })
  )

  it_(
    "says what is out, since when and why, and that it has changed",
    Effect.gen(function*() {
      const { all, changed } = yield* suspensions
      yield* TestClock.setTime(1000)
      yield* all.learn(out("rooms"))
      const version = yield* changed.version
      yield* TestClock.setTime(5000)
      yield* all.learn(report({ out: new Map([["rooms", "another reason"]]) }))
      assert.strictEqual(yield* changed.version, version)
      yield* all.learn(brokerOut)
      assert.isAbove(yield* changed.version, version)
      assert.deepStrictEqual(
        all.all.map(({ reason, since, topic }) => ({ topic, reason, since: since.epochMillis })),
        [
          { topic: undefined, reason: "connection refused", since: 5000 },
          { topic: "rooms", reason: "another reason", since: 1000 }
        ]
      )
      const before = yield* changed.version
      yield* all.learn(well("rooms"))
      assert.isAbove(yield* changed.version, before)
      assert.deepStrictEqual(all.all, [])
    })
  )

  it_(
    "counts how often a destination has taken something",
    Effect.gen(function*() {
      const { all } = yield* suspensions
      yield* all.learn(well("rooms"))
      yield* all.learn(well("rooms"))
      assert.deepStrictEqual([all.takings("rooms"), all.takings("openings")], [2, 0])
    })
  )

  it_(
    "a destination that took one message and refused another is back, or still out, by what the lane judged",
    Effect.gen(
      function*() {
        const { all } = yield* suspensions
        yield* all.learn(out("rooms"))
        yield* all.learn(report({ out: new Map([["rooms", "no"]]), well: new Set(["rooms"]) }))
        assert.isTrue(all.isDoubtful("rooms"))
      }
    )
  )
})
