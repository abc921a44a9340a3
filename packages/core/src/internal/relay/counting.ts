import * as MetricLabel from "effect/MetricLabel"
import type { Holding } from "../../BucketOwner.ts"
import * as Metrics from "../../Metrics.ts"
import type { Progress } from "../../Relay.ts"
import type { Published } from "./judgement.ts"

const outcomes = (["delivered", "deferred", "dead", "retriable"] as const).map((outcome) => ({
  outcome,
  labels: [MetricLabel.make("outcome", outcome)]
}))

/** A batch that was concluded. */
export const countBatch = (progress: Progress, published: ReadonlyArray<Published>, now: number): void => {
  for (const { labels, outcome } of outcomes) Metrics.relayPublished.unsafeUpdate(progress[outcome], labels)
  for (const { entry: { message }, outcome } of published) {
    if (outcome._tag === "Delivered") Metrics.relayLatency.unsafeUpdate(Math.max(0, now - message.time) / 1000, none)
  }
}

const none: ReadonlyArray<MetricLabel.MetricLabel> = []

/** What one relay adds to what relays of the process own. */
export class LeaseCounts {
  private token: bigint | undefined
  private owned: ReadonlySet<number> = new Set()

  constructor() {
    // that one was lost is to be seen the first time, too: Prometheus knows no increase of what was not there
    for (const change of ["claimed", "released", "lost"]) {
      Metrics.relayLeases.unsafeUpdate(0, [MetricLabel.make("change", change)])
    }
  }

  private readonly change = (change: "claimed" | "released" | "lost", count: number): void => {
    if (count === 0) return
    Metrics.relayLeases.unsafeUpdate(count, [MetricLabel.make("change", change)])
    Metrics.relayBuckets.unsafeModify(change === "claimed" ? count : -count, none)
  }

  /** With another token than before, nothing of what was owned before is owned any more. */
  learn({ buckets, token }: Pick<Holding, "buckets" | "token">): void {
    if (this.token !== undefined && token !== this.token) {
      this.change("lost", this.owned.size)
      this.owned = new Set()
    }
    const owned = new Set(buckets)
    this.change("released", [...this.owned].filter((bucket) => !owned.has(bucket)).length)
    this.change("claimed", buckets.filter((bucket) => !this.owned.has(bucket)).length)
    this.token = token
    this.owned = owned
  }

  end(): void {
    this.change("released", this.owned.size)
    this.owned = new Set()
  }
}

/** What one relay adds to what is suspended. */
export class SuspensionCounts {
  private readonly labels = new Map<string, ReadonlyArray<MetricLabel.MetricLabel>>()

  out(topic: string): void {
    const labels = [MetricLabel.make("topic", topic)]
    this.labels.set(topic, labels)
    Metrics.relaySuspensions.unsafeUpdate(1, labels)
    Metrics.relaySuspended.unsafeModify(1, labels)
  }

  back(topic: string): void {
    const labels = this.labels.get(topic)
    if (labels === undefined) return
    this.labels.delete(topic)
    Metrics.relaySuspended.unsafeModify(-1, labels)
  }

  end(): void {
    for (const topic of [...this.labels.keys()]) this.back(topic)
  }
}

/** The broker as a whole. */
export const wholeBroker = "(broker)"
