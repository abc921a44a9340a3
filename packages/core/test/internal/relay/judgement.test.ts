import { Broker, type Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { judge } from "../../../src/internal/relay/judgement.ts"
import { LoneFailures } from "../../../src/internal/relay/loneFailures.ts"
import { settingsOf } from "../../../src/internal/relay/settings.ts"
import { BrokerOut, Delivered, DestinationOut, Rejected } from "../../fixtures.ts"
import { entry } from "./entries.ts"

const outcomes = {
  delivered: Delivered,
  rejected: Rejected("too long"),
  destination: DestinationOut,
  broker: BrokerOut,
  part: Broker.Outcome.Retriable({ scope: "part", reason: "partition 3 has no leader" })
}

type Said = readonly [name: string, outcome: keyof typeof outcomes]

/** Messages `topic/key#sequence`, with what the broker said. */
const judged = (
  said: ReadonlyArray<Said>,
  given: {
    readonly isTrial?: boolean
    readonly lone?: LoneFailures
    readonly takings?: number
    readonly options?: Relay.Options
  } = {}
) =>
  Effect.map(
    judge({
      published: said.map(([name, outcome]) => {
        const [topic, key, sequence] = name.split(/[/#]/) as [string, string, string]
        return { entry: entry(Number(sequence), { topic, key }), outcome: outcomes[outcome] }
      }),
      isTrial: given.isTrial ?? false,
      settings: settingsOf({ retry: Schedule.recurs(1), maxLoneFailures: 3, ...given.options }),
      lone: given.lone ?? new LoneFailures(),
      takings: () => given.takings ?? 0,
      now: 1000
    }),
    ({ progress, report, settlements }) => ({
      settled: settlements.map(({ _tag, sequence }) => `${_tag} ${sequence}`),
      retriable: progress.retriable,
      out: [...report.out.keys()],
      well: [...report.well],
      isBrokerOut: report.brokerOut !== undefined,
      isBrokerWell: report.isBrokerWell
    })
  )

const well = { retriable: 0, out: [], isBrokerOut: false, isBrokerWell: true }

describe("judge", () => {
  const cases: ReadonlyArray<
    readonly [name: string, said: ReadonlyArray<Said>, expected: object, given?: Parameters<typeof judged>[1]]
  > = [
    ["nothing was published", [], { ...well, settled: [], well: [], isBrokerWell: false }],
    [
      "a part of a destination that takes others",
      [["a/x#1", "part"], ["a/x#2", "part"], ["a/y#3", "delivered"]],
      { ...well, settled: ["Delivered 3"], retriable: 2, well: ["a"] }
    ],
    ["delivered", [["a/x#1", "delivered"]], { ...well, settled: ["Delivered 1"], well: ["a"] }],
    ["rejected", [["a/x#1", "rejected"]], { ...well, settled: ["Deferred 1"], well: [] }],
    [
      "a destination that took nothing is out",
      [["a/x#1", "destination"], ["a/y#2", "destination"], ["b/x#3", "delivered"]],
      { ...well, settled: ["Delivered 3"], retriable: 2, out: ["a"], well: ["b"] }
    ],
    [
      "a destination that took others is not",
      [["a/x#1", "destination"], ["a/y#2", "delivered"]],
      { ...well, settled: ["Delivered 2"], retriable: 1, well: ["a"] }
    ],
    [
      "nor one that has taken something since the entry failed last",
      [["a/x#1", "destination"]],
      { ...well, settled: [], retriable: 1, well: [] },
      {
        takings: 4,
        lone: (() => {
          const lone = new LoneFailures()
          lone.blame(entry(1, { topic: "a", key: "x" }), 3)
          return lone
        })()
      }
    ],
    [
      "one that is known to fail by itself says nothing of its destination",
      [["a/x#1", "destination"]],
      { ...well, settled: [], retriable: 1, well: [] },
      {
        takings: 4,
        lone: (() => {
          const lone = new LoneFailures()
          lone.fail(entry(1, { topic: "a", key: "x" }), 0, 4)
          return lone
        })()
      }
    ],
    [
      "those behind a failed one of their key say nothing, whatever the broker said of them",
      [["a/x#1", "rejected"], ["a/x#2", "destination"], ["a/x#3", "rejected"], ["a/x#4", "broker"]],
      { ...well, settled: ["Deferred 1"], retriable: 3, well: [] }
    ],
    [
      "a verdict on one that is behind does not put it before the one that failed",
      [["a/x#1", "destination"], ["a/x#2", "rejected"]],
      { ...well, settled: [], retriable: 2, out: ["a"], well: [] }
    ],
    [
      "the broker is out if it failed one",
      [["a/x#1", "delivered"], ["a/y#2", "broker"]],
      { ...well, settled: ["Delivered 1"], retriable: 1, well: ["a"], isBrokerOut: true }
    ],
    [
      "in a trial that others have passed it is not",
      [["a/x#1", "delivered"], ["a/y#2", "broker"]],
      { ...well, settled: ["Delivered 1"], retriable: 1, well: ["a"] },
      { isTrial: true }
    ],
    [
      "in a trial that none has passed it is",
      [["a/x#1", "broker"]],
      { ...well, settled: [], retriable: 1, well: [], isBrokerOut: true, isBrokerWell: false },
      { isTrial: true }
    ]
  ]
  for (const [name, said, expected, given] of cases) {
    it.effect(
      name,
      () => Effect.map(judged(said, given), (found) => assert.deepStrictEqual(found, expected as typeof found))
    )
  }

  it.effect("one that fails alone often enough counts as rejected, once, and begins anew", () =>
    Effect.gen(function*() {
      const lone = new LoneFailures()
      const said: ReadonlyArray<Said> = [["a/x#1", "destination"], ["a/y#2", "delivered"]]
      const settled: Array<ReadonlyArray<string>> = []
      for (let n = 0; n < 3; n++) settled.push((yield* judged(said, { lone })).settled)
      assert.deepStrictEqual(settled, [["Delivered 2"], ["Delivered 2"], ["Delivered 2", "Deferred 1"]])
    }))

  it.effect("what it failed with says so, for whoever looks at the dead letter", () =>
    Effect.gen(function*() {
      const { settlements } = yield* judge({
        published: [
          { entry: entry(1, { topic: "a", key: "x" }), outcome: DestinationOut },
          { entry: entry(2, { topic: "a", key: "y" }), outcome: Broker.Outcome.Delivered() }
        ],
        isTrial: false,
        settings: settingsOf({ retry: Schedule.stop, maxLoneFailures: 1 }),
        lone: new LoneFailures(),
        takings: () => 0,
        now: 0
      })
      const dead = settlements.find(({ _tag }) => _tag === "Dead")
      assert.deepInclude(dead, {
        reason: "It failed alone 1 times while others went through: no such topic",
        attempts: 1
      })
    }))

  it.effect("a part that is out for more entries than memory is fit for is the whole of its destination", () =>
    Effect.gen(function*() {
      const lone = new LoneFailures()
      for (let n = 1; n < 10_000; n++) lone.suspend(entry(n, { topic: "a", key: `${n}` }), 2000, 0)
      const last = yield* judged([["a/x#10000", "part"]], { lone })
      assert.deepStrictEqual(last.out, [])
      const oneMore = yield* judged([["a/y#10001", "part"]], { lone })
      assert.deepStrictEqual(oneMore.out, ["a"])
      assert.strictEqual(lone.size, 10_000)
    }))
})
