import { Broker, Delivery, OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc, Option, Schedule } from "effect"
import { backoffAfter, delayAfter } from "../src/internal/scheduleDelay.ts"
import { message } from "./fixtures.ts"

const { Outcome } = Broker
const { Settlement } = OutboxStorage

const entry = fc.record({ sequence: fc.bigInt({ min: 1n, max: 1n << 63n }), attempts: fc.nat(100), bucket: fc.nat(63) })
  .map((given): OutboxStorage.Entry => ({ ...given, message: message() }))
const outcome: fc.Arbitrary<Broker.Outcome> = fc.oneof(
  fc.constant(Outcome.Delivered()),
  fc.record({ scope: fc.constantFrom("broker" as const, "destination" as const), reason: fc.string() }).map((given) =>
    Outcome.Retriable(given)
  ),
  fc.record({ reason: fc.string({ maxLength: 3000 }) }).map((given) => Outcome.Rejected(given))
)
const rejection: fc.Arbitrary<Delivery.Rejection> = fc.record({
  delay: fc.option(fc.nat(100_000)).map((millis) => Option.map(Option.fromNullable(millis), Duration.millis)),
  exhausted: fc.constantFrom("halt" as const, "skip" as const)
})

describe("settlement", () => {
  const one: OutboxStorage.Entry = { sequence: 7n, bucket: 3, attempts: 2, message: message() }
  const again: Delivery.Rejection = { delay: Option.some(Duration.seconds(4)), exhausted: "halt" }
  const halt: Delivery.Rejection = { delay: Option.none(), exhausted: "halt" }
  const skip: Delivery.Rejection = { delay: Option.none(), exhausted: "skip" }
  const rejected = Outcome.Rejected({ reason: "malformed" })
  const cases: ReadonlyArray<
    readonly [string, Broker.Outcome, Delivery.Rejection, Option.Option<OutboxStorage.Settlement>]
  > = [
    ["delivered", Outcome.Delivered(), again, Option.some(Settlement.Delivered({ sequence: 7n }))],
    ["broker out", Outcome.Retriable({ scope: "broker", reason: "" }), again, Option.none()],
    ["destination out", Outcome.Retriable({ scope: "destination", reason: "" }), halt, Option.none()],
    [
      "rejected with a wait left",
      rejected,
      again,
      Option.some(
        Settlement.Deferred({ sequence: 7n, attempts: 3, delay: Duration.seconds(4), reason: "malformed" })
      )
    ],
    [
      "rejected with none left, halting",
      rejected,
      halt,
      Option.some(Settlement.Dead({ sequence: 7n, attempts: 3, policy: "halt", reason: "malformed" }))
    ],
    [
      "rejected with none left, skipping",
      rejected,
      skip,
      Option.some(Settlement.Dead({ sequence: 7n, attempts: 3, policy: "skip", reason: "malformed" }))
    ]
  ]
  for (const [name, given, policy, expected] of cases) {
    it(`decides: ${name}`, () => assert.deepStrictEqual(Delivery.settlement(one, given, policy), expected))
  }

  it.prop(
    "leaves an entry alone if and only if the outcome is retriable, and counts an attempt for rejections alone",
    [entry, outcome, rejection],
    ([given, said, policy]) => {
      const decided = Delivery.settlement(given, said, policy)
      assert.strictEqual(Option.isNone(decided), said._tag === "Retriable")
      if (Option.isNone(decided)) return
      assert.strictEqual(decided.value.sequence, given.sequence)
      assert.strictEqual(decided.value._tag === "Delivered", said._tag === "Delivered")
      if (decided.value._tag === "Delivered") return
      assert.strictEqual(decided.value.attempts, given.attempts + 1)
      assert.strictEqual(decided.value._tag === "Dead", Option.isNone(policy.delay))
      assert.isAtMost(decided.value.reason.length, 1000)
    }
  )
})

describe("the replay of a schedule", () => {
  const delays = (schedule: Schedule.Schedule<unknown, unknown>, count: number) =>
    Effect.map(
      Effect.forEach(
        Array.from({ length: count }, (_, n) => n + 1),
        (attempt) => delayAfter(schedule, attempt, "input")
      ),
      (all) => all.map((delay) => Option.isSome(delay) ? Duration.toMillis(delay.value) : "end")
    )

  it.effect("gives the wait after each failure, and none when the schedule has ended", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays(Schedule.recurs(2), 4), [0, 0, "end", "end"])
      assert.deepStrictEqual(yield* delays(Schedule.stop, 1), ["end"])
      assert.deepStrictEqual(
        yield* delays(Schedule.intersect(Schedule.exponential("1 second"), Schedule.recurs(3)), 5),
        [1000, 2000, 4000, "end", "end"]
      )
      assert.deepStrictEqual(
        yield* delays(Schedule.andThen(Schedule.recurs(1), Schedule.spaced("1 minute")), 3),
        [0, 60_000, 60_000]
      )
      assert.deepStrictEqual(
        yield* delays(Schedule.exponential("1 second").pipe(Schedule.upTo("5 seconds")), 5),
        [1000, 2000, 4000, "end", "end"]
      )
    }))

  it.effect("the schedule hears the failure", () =>
    Effect.gen(function*() {
      const schedule = Schedule.whileInput(Schedule.spaced("1 second"), (input) => input === "retry")
      assert.isTrue(Option.isSome(yield* delayAfter(schedule, 3, "retry")))
      assert.isTrue(Option.isNone(yield* delayAfter(schedule, 1, "stop")))
    }))

  it.prop(
    "equals what Effect.retry would have waited",
    [fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 8 }), fc.integer({ min: 1, max: 12 })],
    ([base, recurs, attempt]) => {
      const schedule = Schedule.intersect(Schedule.exponential(base), Schedule.recurs(recurs))
      const delay = Effect.runSync(delayAfter(schedule, attempt, undefined))
      assert.deepStrictEqual(
        Option.map(delay, Duration.toMillis),
        attempt > recurs ? Option.none() : Option.some(base * 2 ** (attempt - 1))
      )
    }
  )

  it.effect("what is tried for ever goes on with the schedule's last wait", () =>
    Effect.gen(function*() {
      const schedule = Schedule.intersect(Schedule.exponential("1 second"), Schedule.recurs(3))
      for (const [attempt, millis] of [[1, 1000], [3, 4000], [4, 4000], [500, 4000]] as const) {
        assert.strictEqual(Duration.toMillis(yield* backoffAfter(schedule, attempt)), millis)
      }
      assert.strictEqual(Duration.toMillis(yield* backoffAfter(Schedule.stop, 5)), 1000)
    }))

  it.effect("stays within its bound after thousands of attempts", () =>
    Effect.gen(function*() {
      const schedule = Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("10 seconds"))
      assert.strictEqual(Duration.toMillis(yield* backoffAfter(schedule, 5000)), 10_000)
    }))
})
