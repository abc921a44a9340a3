import type { Wake } from "@effect-cqrs/core"
import { type Broker, BucketOwner, OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LoneFailures } from "../../src/internal/relay/loneFailures.ts"
import { Waitlist } from "../../src/internal/relay/waitlist.ts"
import type { Rule } from "./checker.ts"
import type { Ports } from "./machine.ts"
import { explain, search } from "./report.ts"
import type { Mutation } from "./simulate.ts"

/** So many schedules are enough to find each of them. */
const runs = 1000

interface Mutant {
  readonly what: string
  /** The rules of which it breaks one at the least. */
  readonly breaks: ReadonlyArray<Rule>
  readonly mutation?: Mutation
  /** Puts something in the place of a part of the relay; answers how to put it back. */
  readonly patch?: () => () => void
}

const ports = (change: (ports: Ports) => Partial<Ports>): Mutation => ({
  ports: (given) => ({ ...given, ...change(given) })
})

const onStorage = (change: (storage: Ports["storage"]) => Partial<Ports["storage"]>): Mutation =>
  ports(({ storage }) => ({ storage: { ...storage, ...change(storage) } }))

const onPublish = (change: (outcome: Broker.Outcome) => Broker.Outcome): Mutation =>
  ports(({ broker }) => ({
    broker: { ...broker, publish: (batch) => Effect.map(broker.publish(batch), (all) => all.map(change)) }
  }))

const replaced = <T extends object, K extends keyof T>(target: T, name: K, by: T[K]) => (): () => void => {
  const whole = target[name]
  target[name] = by
  return () => {
    target[name] = whole
  }
}

/** Signals wake those only that wait at the moment. */
const edge = (level: Wake.Level): Wake.Level => ({
  version: level.version,
  waitPast: () => Effect.flatMap(level.version, level.waitPast)
})

const cursor = (storage: Ports["storage"]): Ports["storage"]["read"] => {
  const last = new Map<number, bigint>()
  return (options) =>
    Effect.tap(
      storage.read({
        ...options,
        from: options.from.map((range) => ({ ...range, after: last.get(range.bucket) ?? range.after }))
      }),
      (entries) =>
        Effect.sync(() => {
          for (const { bucket, sequence } of entries) last.set(bucket, sequence)
        })
    )
}

const mutants: ReadonlyArray<Mutant> = [
  { what: "settlement without the fence", breaks: ["fence"], mutation: { fence: "none" } },
  { what: "settlement behind a fence that locks nothing", breaks: ["fence"], mutation: { fence: "looked" } },
  {
    what: "a cursor instead of presence",
    breaks: ["quiescence", "order"],
    mutation: onStorage((storage) => ({ read: cursor(storage) }))
  },
  {
    what: "a publish after the window",
    breaks: ["window"],
    mutation: ports(({ owner }) => ({
      owner: BucketOwner.BucketOwner.of({
        ...owner,
        join: Effect.map(owner.join, (membership) => ({
          ...membership,
          holding: Effect.map(membership.holding, (holding) => ({ ...holding, trustedUntil: 2n ** 63n }))
        }))
      })
    }))
  },
  {
    what: "a retry that overtakes: those behind one that waits go on",
    breaks: ["order"],
    patch: replaced(Waitlist.prototype, "blocks", () => false)
  },
  {
    what: "attempts counted on outage, by what speaks to the broker",
    breaks: ["attempts", "dead letter"],
    mutation: onPublish((outcome) =>
      outcome._tag === "Retriable" ? { _tag: "Rejected", reason: outcome.reason } : outcome
    )
  },
  {
    what: "attempts counted on outage, by the relay: a destination that takes nothing has something against each event",
    breaks: ["attempts", "dead letter"],
    patch: replaced(LoneFailures.prototype, "isOutlived", () => true)
  },
  {
    what: "a wake that is an edge",
    breaks: ["wake"],
    mutation: onStorage(({ arrivals }) => ({
      arrivals: { ...arrivals, ...edge(arrivals), of: (buckets) => edge(arrivals.of(buckets)) }
    }))
  },
  {
    what: "what is published is settled before the broker has answered",
    breaks: ["acknowledged", "lost"],
    mutation: onPublish(() => ({ _tag: "Delivered" }))
  },
  {
    what: "a settlement that takes along what comes before it",
    breaks: ["acknowledged", "lost"],
    mutation: onStorage((storage) => ({
      settle: (token, settlements, options) =>
        storage.settle(
          token,
          settlements.flatMap((one) =>
            one._tag === "Delivered" && one.sequence > 1n
              ? [OutboxStorage.Settlement.Delivered({ sequence: one.sequence - 1n }), one]
              : [one]
          ),
          options
        )
    }))
  }
]

describe("the simulation finds", () => {
  for (const { breaks, mutation, patch, what } of mutants) {
    it(`${what}: ${breaks.join(" or ")}`, async () => {
      const restore = patch?.()
      const found = await search({ runs, seed: 1, shrinks: false, ...(mutation === undefined ? {} : { mutation }) })
        .finally(restore)
      if (found === undefined) return assert.fail(`${runs} schedules, and no rule was broken`)
      const rules = found.violations.map(({ rule }) => rule)
      assert.isTrue(breaks.some((rule) => rules.includes(rule)), explain(found))
    }, 120_000)
  }
})
