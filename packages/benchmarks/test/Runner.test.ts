import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Run, WrongResult } from "../src/Run.ts"
import { measure } from "../src/Runner.ts"
import type { Figures, Measurement, Row } from "../src/Suite.ts"

const run = Run.of({
  quick: false,
  count: (full) => full,
  millis: (full) => full,
  fault: undefined,
  status: () => Effect.void
})

const row = (id: string, rest: Partial<Row>): Row => ({
  id,
  title: id,
  unit: "rows/s",
  subject: { contender: "mine", figure: "rate" },
  ...rest
})

const twin = { contender: "theirs", figure: "rate" }

/** Contenders that find what is given for each of their rounds, the one that does not count included. */
const measurement = (found: Readonly<Record<string, ReadonlyArray<Figures>>>, order: Array<string>): Measurement => ({
  name: "test",
  needs: [],
  rows: [],
  rounds: { full: 3, quick: 1 },
  contenders: Effect.succeed(Object.fromEntries(
    Object.entries(found).map(([name, rounds]) => {
      const left = [...rounds]
      return [
        name,
        Effect.sync(() => {
          order.push(name)
          return left.shift()!
        })
      ]
    })
  ))
})

const rates = (...values: ReadonlyArray<number>): ReadonlyArray<Figures> => values.map((rate) => ({ rate }))

const measured = (measurement: Measurement, rows: ReadonlyArray<Row>, options = { rounds: undefined }) =>
  Effect.provideService(measure(measurement, rows, options), Run, run)

describe("Runner", () => {
  it.effect("runs the contenders in turn, each once a round, and another one first each time", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const all = { mine: rates(0, 1, 1, 1), theirs: rates(0, 1, 1, 1), others: rates(0, 1, 1, 1) }
      yield* measured(measurement(all, order), [
        row("a", { twin }),
        row("b", { twin: { contender: "others", figure: "rate" } })
      ])
      assert.strictEqual(
        order.join(" "),
        "mine theirs others theirs others mine others mine theirs mine theirs others"
      )
    }))

  it.effect("runs the contenders of the rows that are asked for, and no others", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      yield* measured(measurement({ mine: rates(0, 1, 1, 1), theirs: [] }, order), [row("a", {})])
      assert.deepStrictEqual(order, ["mine", "mine", "mine", "mine"])
    }))

  it.effect("compares the figures of the same round, and leaves the first one out", () =>
    Effect.gen(function*() {
      const found = { mine: rates(1000, 10, 30, 80), theirs: rates(1, 10, 20, 20) }
      const [result] = yield* measured(measurement(found, []), [row("a", { twin, target: { atLeast: 1.5 } })])
      assert.deepStrictEqual(result!.subject, { median: 30, low: 10, high: 80, rounds: [10, 30, 80] })
      assert.deepStrictEqual(result!.ratio, { median: 1.5, low: 1, high: 4, rounds: [1, 1.5, 4] })
      assert.strictEqual(result!.verdict, "pass")
    }))

  it.effect("says miss on the wrong side of the target, and reports where there is none", () =>
    Effect.gen(function*() {
      const found = { mine: rates(0, 2, 2, 2), theirs: rates(0, 1, 1, 1) }
      const results = yield* measured(measurement(found, []), [
        row("a", { twin, target: { atLeast: 2.1 } }),
        row("b", { twin, target: { atMost: 1.9 } }),
        row("c", { target: { atMost: 2 } }),
        row("d", { twin })
      ])
      assert.deepStrictEqual(results.map(({ verdict }) => verdict), ["miss", "miss", "pass", "reported"])
    }))

  it.effect("fails the rows of a measurement whose work was wrong, with the reason", () =>
    Effect.gen(function*() {
      const wrong: Measurement = {
        ...measurement({}, []),
        contenders: Effect.succeed({ mine: Effect.fail(new WrongResult({ message: "one is lost" })) })
      }
      const [result] = yield* measured(wrong, [row("a", {})])
      assert.strictEqual(result!.verdict, "failed")
      assert.strictEqual(result!.reason, "one is lost")
    }))

  it.effect("fails the rows whose figure nobody has found", () =>
    Effect.gen(function*() {
      const [result] = yield* measured(measurement({ mine: [{ speed: 1 }] }, []), [row("a", {})])
      assert.strictEqual(result!.verdict, "failed")
      assert.include(result!.reason, "has found no rate")
    }))

  it.effect("skips the rows of a measurement that needs a server which is not there", () =>
    Effect.gen(function*() {
      const [result] = yield* measured({ ...measurement({}, []), needs: ["EFFECT_CQRS_NO_SUCH_URL"] }, [row("a", {})])
      assert.strictEqual(result!.verdict, "skipped")
      assert.strictEqual(result!.reason, "EFFECT_CQRS_NO_SUCH_URL not set")
    }))
})
