import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Outcome } from "../../Broker.ts"
import * as Delivery from "../../Delivery.ts"
import { type Entry, Settlement } from "../../OutboxStorage.ts"
import type { Progress } from "../../Relay.ts"
import { backoffAfter, delayAfter } from "../scheduleDelay.ts"
import { KeyMap } from "./keyMap.ts"
import type { LoneFailures } from "./loneFailures.ts"
import type { Settings } from "./settings.ts"
import type { Report } from "./suspensions.ts"

/** An entry that was published, and what the broker said. */
export interface Published {
  readonly entry: Entry
  readonly outcome: Outcome
}

/** What is to be settled, and what was learned. */
export interface Judgement {
  readonly settlements: ReadonlyArray<Settlement>
  readonly entries: ReadonlyMap<bigint, Entry>
  readonly progress: Progress
  readonly report: Report
}

/** How many entries are held back one by one at most because a part of their destination is out. */
const maxParted = 10_000

/** A dead letter at once: no verdict of the broker's, and no attempt. */
export const bury = (entry: Entry, reason: string, settings: Settings): Settlement =>
  Settlement.Dead({
    sequence: entry.sequence,
    attempts: entry.attempts,
    policy: settings.rejection(entry.message.topic).exhausted,
    reason
  })

/**
 * What becomes of published entries. An outage is told from poison by what else went through: a destination that took
 * nothing is out; one that took others, then or since this entry failed last, has something against this entry, which is then held back alone, and after several
 * such failures counts as rejected. Entries behind a failed one of their topic and key say nothing: the broker held them
 * back, or they were not tried. Where only a part of a destination is out, its entries wait one by one, and nothing is held
 * against them.
 */
export const judge = (options: {
  readonly published: ReadonlyArray<Published>
  /** Whether this was to find out if the broker is back, entry by entry. */
  readonly isTrial: boolean
  readonly settings: Settings
  readonly lone: LoneFailures
  /** How often a destination has taken something so far, from any lane. */
  readonly takings: (topic: string) => number
  readonly now: number
}): Effect.Effect<Judgement> =>
  Effect.gen(function*() {
    const { lone, published, settings, takings } = options
    const well = new Set<string>()
    for (const { entry, outcome } of published) if (outcome._tag === "Delivered") well.add(entry.message.topic)
    const settlements: Array<Settlement> = []
    const entries = new Map<bigint, Entry>()
    const out = new Map<string, string>()
    const failed = new KeyMap<true>()
    const rejected: Array<{ readonly entry: Entry; readonly reason: string }> = []
    const alone: Array<{ readonly entry: Entry; readonly reason: string }> = []
    const held: Array<Entry> = []
    const parted: Array<Entry> = []
    let brokerOut: string | undefined
    let isBrokerWell = well.size > 0
    let delivered = 0
    let retriable = 0
    for (const { entry, outcome } of published) {
      if (outcome._tag === "Delivered") {
        delivered += 1
        entries.set(entry.sequence, entry)
        settlements.push(Settlement.Delivered({ sequence: entry.sequence }))
        continue
      }
      const { key, topic } = entry.message
      const isBehind = key !== undefined && failed.has(topic, key)
      if (key !== undefined) failed.set(topic, key, true)
      if (!isBehind && outcome._tag === "Rejected") {
        isBrokerWell = true
        rejected.push({ entry, reason: outcome.reason })
        continue
      }
      retriable += 1
      // a verdict on one that is behind would put it before the one that failed
      if (isBehind || outcome._tag === "Rejected") continue
      if (outcome.scope === "broker") {
        if (options.isTrial && well.size > 0) alone.push({ entry, reason: outcome.reason })
        else brokerOut ??= outcome.reason
        continue
      }
      isBrokerWell = true
      // no more of them than memory is fit for: then all of the destination waits
      if (outcome.scope === "part" && lone.size + parted.length >= maxParted) out.set(topic, outcome.reason)
      else if (outcome.scope === "part") parted.push(entry)
      else if (well.has(topic) || lone.isOutlived(entry, takings(topic))) alone.push({ entry, reason: outcome.reason })
      else if (lone.has(entry.sequence)) held.push(entry)
      else if (!out.has(topic)) {
        out.set(topic, outcome.reason)
        lone.blame(entry, takings(topic))
      }
    }
    const nextTry = (failures: number) =>
      Effect.map(
        backoffAfter(settings.backoff, failures),
        (wait) => options.now + Math.ceil(Duration.toMillis(wait))
      )
    for (const entry of held) lone.hold(entry, yield* nextTry(lone.count(entry)))
    for (const entry of parted) {
      lone.suspend(entry, yield* nextTry(lone.outages(entry) + 1), takings(entry.message.topic))
    }
    for (const { entry, reason } of alone) {
      const { topic } = entry.message
      const until = yield* nextTry(lone.count(entry) + 1)
      const count = lone.fail(entry, until, takings(topic) + (well.has(topic) ? 1 : 0))
      if (count < settings.maxLoneFailures) continue
      retriable -= 1
      rejected.push({ entry, reason: `It failed alone ${count} times while others went through: ${reason}` })
    }
    let deferred = 0
    let dead = 0
    for (const { entry, reason } of rejected) {
      const { exhausted, retry } = settings.rejection(entry.message.topic)
      const delay = yield* delayAfter(retry, entry.attempts + 1, reason)
      const decided = Delivery.settlement(entry, Outcome.Rejected({ reason }), { delay, exhausted })
      if (Option.isNone(decided)) continue
      entries.set(entry.sequence, entry)
      settlements.push(decided.value)
      if (decided.value._tag === "Dead") dead += 1
      else deferred += 1
    }
    return {
      settlements,
      entries,
      progress: { read: published.length, delivered, deferred, dead, retriable },
      report: { brokerOut, isBrokerWell, out, well }
    }
  })
