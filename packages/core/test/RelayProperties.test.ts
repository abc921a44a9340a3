import { Broker, BucketOwner, OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FastCheck, Layer, Schedule, Scope } from "effect"
import { quiet } from "./fixtures.ts"
import {
  type Fault,
  type Health,
  makeSimulation,
  maxDeaths,
  maxLoneFailures,
  type Process,
  type Row
} from "./support/simulation.ts"
import { makeVirtualClock } from "./support/virtualClock.ts"

/** Topics and keys; dead letters of the one topic halt their keys, those of the other do not. */
const keys: ReadonlyArray<readonly [topic: string, key: string]> = [0, 1, 2, 3, 4].flatMap((n) => [
  ["halting", `k${n}`],
  ["skipping", `k${n}`]
])

type Operation =
  | { readonly _tag: "commit"; readonly keys: ReadonlyArray<number> }
  | { readonly _tag: "lateCommit"; readonly key: number; readonly millis: number }
  | { readonly _tag: "pass"; readonly millis: number }
  | { readonly _tag: "kill" | "restart"; readonly slot: number }
  | { readonly _tag: "freeze"; readonly slot: number; readonly millis: number }
  | { readonly _tag: "stall"; readonly slot: number; readonly millis: number; readonly fault: Fault }
  | { readonly _tag: "fail"; readonly slot: number; readonly faults: ReadonlyArray<Fault> }
  | { readonly _tag: "broker"; readonly state: "well" | "out" | "hangs" }
  | { readonly _tag: "topic"; readonly topic: string; readonly isOut: boolean }
  | { readonly _tag: "health"; readonly key: number; readonly health: Health }
  | { readonly _tag: "redrive" | "discard"; readonly nth: number }

const { array, constantFrom, integer, nat, oneof, record } = FastCheck
const key = nat(keys.length - 1)
const slot = nat(1)
const tagged = <T extends string>(_tag: T) => FastCheck.constant(_tag)

const operation: FastCheck.Arbitrary<Operation> = oneof(
  { weight: 6, arbitrary: record({ _tag: tagged("commit"), keys: array(key, { minLength: 1, maxLength: 6 }) }) },
  { weight: 2, arbitrary: record({ _tag: tagged("lateCommit"), key, millis: integer({ min: 1, max: 15_000 }) }) },
  { weight: 6, arbitrary: record({ _tag: tagged("pass"), millis: integer({ min: 1, max: 3000 }) }) },
  { weight: 2, arbitrary: record({ _tag: constantFrom("kill" as const, "restart" as const), slot }) },
  { weight: 1, arbitrary: record({ _tag: tagged("freeze"), slot, millis: integer({ min: 100, max: 9000 }) }) },
  {
    weight: 2,
    arbitrary: record({
      _tag: tagged("stall"),
      slot,
      millis: integer({ min: 1000, max: 9000 }),
      fault: constantFrom<Array<Fault>>("none", "before", "after")
    })
  },
  {
    weight: 2,
    arbitrary: record({
      _tag: tagged("fail"),
      slot,
      faults: array(constantFrom<Array<Fault>>("none", "before", "after", "slow", "late"), {
        minLength: 1,
        maxLength: 5
      })
    })
  },
  {
    weight: 2,
    arbitrary: record({
      _tag: tagged("broker"),
      state: constantFrom("well" as const, "out" as const, "hangs" as const)
    })
  },
  {
    weight: 2,
    arbitrary: record({
      _tag: tagged("topic"),
      topic: constantFrom("halting", "skipping"),
      isOut: FastCheck.boolean()
    })
  },
  {
    weight: 3,
    arbitrary: record({
      _tag: tagged("health"),
      key,
      health: constantFrom<Array<Health>>("well", "rejected", "lone", "culprit", "part")
    })
  },
  { weight: 2, arbitrary: record({ _tag: constantFrom("redrive" as const, "discard" as const), nth: nat(5) }) }
)

const schedule = record({
  relays: integer({ min: 1, max: 2 }),
  lanes: integer({ min: 1, max: 3 }),
  batchSize: constantFrom(1, 2, 3, 8),
  operations: array(operation, { minLength: 5, maxLength: 40 })
})

/** Runs a schedule, then lets everything recover. Answers what went wrong. */
const run = (
  { batchSize, lanes, operations, relays }: typeof schedule extends FastCheck.Arbitrary<infer S> ? S : never
) =>
  Effect.gen(function*() {
    const { advance, clock } = makeVirtualClock()
    return yield* Effect.withClock(
      Effect.gen(function*() {
        const simulation = yield* makeSimulation(() => clock.unsafeCurrentTimeMillis())
        const slots: Array<{ readonly process: Process; readonly scope: Scope.CloseableScope }> = []

        const start = (at: number) =>
          Effect.gen(function*() {
            const process = simulation.process()
            const scope = yield* Scope.make()
            const { broker, owner, storage } = process.ports
            const relay = Relay.layer({
              lanes,
              batchSize,
              maxDeaths,
              maxLoneFailures,
              grace: "2 seconds",
              retry: Schedule.intersect(Schedule.spaced("300 millis"), Schedule.recurs(2)),
              backoff: Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")),
              topics: { skipping: { exhausted: "skip" } }
            }).pipe(
              Layer.provide(Layer.succeed(OutboxStorage.OutboxStorage, storage)),
              Layer.provide(Layer.succeed(Broker.Broker, broker)),
              Layer.provide(Layer.succeed(BucketOwner.BucketOwner, owner))
            )
            yield* Effect.orDie(Layer.buildWithScope(relay, scope))
            slots[at] = { process, scope }
          })

        const show = (row: Row) =>
          Effect.zipRight(
            Effect.sync(() => simulation.show(row)),
            simulation.arrivals.signalFor([row.bucket])
          )

        const apply = (operation: Operation): Effect.Effect<void> =>
          Effect.gen(function*() {
            switch (operation._tag) {
              case "commit": {
                const rows = operation.keys.flatMap((n) => {
                  const row = simulation.insert(...keys[n]!)
                  if (row === undefined) return []
                  simulation.show(row)
                  return [row]
                })
                return yield* simulation.arrivals.signalFor(rows.map(({ bucket }) => bucket))
              }
              case "lateCommit": {
                const row = simulation.insert(...keys[operation.key]!)
                if (row !== undefined) yield* Effect.forkDaemon(Effect.delay(show(row), operation.millis))
                return
              }
              case "pass":
                return yield* advance(operation.millis)
              case "kill":
              case "restart": {
                const at = operation.slot % relays
                const { process, scope } = slots[at]!
                if (operation._tag === "kill") simulation.kill(process)
                else yield* Effect.forkDaemon(Scope.close(scope, Exit.void))
                yield* start(at)
                return
              }
              case "freeze": {
                const { process } = slots[operation.slot % relays]!
                process.isFrozen = true
                yield* Effect.forkDaemon(
                  Effect.delay(Effect.sync(() => process.isFrozen = false), operation.millis)
                )
                return
              }
              case "stall": {
                slots[operation.slot % relays]!.process.stall = { millis: operation.millis, fault: operation.fault }
                return
              }
              case "fail": {
                slots[operation.slot % relays]!.process.faults = operation.faults
                return
              }
              case "broker": {
                simulation.broker = operation.state
                return
              }
              case "topic": {
                if (operation.isOut) simulation.topicsOut.add(operation.topic)
                else simulation.topicsOut.delete(operation.topic)
                return
              }
              case "health": {
                simulation.health.set(keys[operation.key]!.join("/"), operation.health)
                return
              }
              case "redrive":
              case "discard": {
                const { dead } = simulation
                const row = dead[operation.nth % Math.max(1, dead.length)]
                if (row !== undefined) simulation[operation._tag](row)
              }
            }
          })

        for (let at = 0; at < relays; at++) yield* start(at)
        for (const one of operations) {
          yield* apply(one)
          yield* advance(1)
        }

        simulation.broker = "well"
        simulation.topicsOut.clear()
        simulation.health.clear()
        for (const { process } of slots) {
          process.faults = []
          process.stall = undefined
          process.isFrozen = false
        }
        yield* advance("16 seconds")
        for (let second = 0; second < 60; second++) {
          for (const row of simulation.dead) simulation.redrive(row)
          if (simulation.pending.length === 0 && simulation.dead.length === 0) break
          yield* advance("2 seconds")
        }
        const lost = [...simulation.rows.values()].filter((row) =>
          !row.isDiscarded && !(row.isGone && simulation.delivered.includes(row))
        )
        return [
          ...simulation.violations,
          ...lost.map(({ key, sequence, topic }) => `${sequence} of ${topic}/${key} was lost, or is stuck`)
        ]
      }),
      clock
    )
  })

describe("a relay, whatever happens", () => {
  it("loses nothing, invents nothing, keeps the order and its fences, and counts verdicts only", () =>
    FastCheck.assert(
      FastCheck.asyncProperty(schedule, async (one) => {
        assert.deepStrictEqual(await Effect.runPromise(Effect.provide(run(one), quiet)), [])
      }),
      { numRuns: 300 }
    ), 120_000)
})
