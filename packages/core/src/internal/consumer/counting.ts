import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as Metrics from "../../Metrics.ts"

export type DeadReason = "failed" | "suspected" | "undecodable" | "unreadable" | "unknown" | "tombstone"

export type IgnoredReason = "unknown" | "tombstone" | "redriven"

/** What a consumer counts; by hooks that are looked up once, since this is done for each message. */
export interface Counts {
  readonly handled: (event: string) => void
  readonly retried: (event: string) => void
  readonly dead: (event: string, reason: DeadReason) => void
  readonly ignored: (event: string, reason: IgnoredReason) => void
}

/** Names that came from outside are no labels: there may be any number of them. */
const foreign = "(unknown)"

export const counting = (group: string, known: ReadonlySet<string>): Counts => {
  const counter = (metric: Metric.Metric.Counter<number>, label?: string) => {
    const hooks = new Map<string, () => void>()
    return (event: string, value?: string): void => {
      const name = known.has(event) ? event : foreign
      const id = value === undefined ? name : `${value} ${name}`
      let count = hooks.get(id)
      if (count === undefined) {
        const labels = [MetricLabel.make("group", group), MetricLabel.make("event", name)]
        if (label !== undefined) labels.push(MetricLabel.make(label, value!))
        count = () => metric.unsafeUpdate(1, labels)
        hooks.set(id, count)
      }
      count()
    }
  }
  const outcome = counter(Metrics.consumerHandled, "outcome")
  const dead = counter(Metrics.consumerDead, "reason")
  return {
    handled: (event) => outcome(event, "success"),
    retried: counter(Metrics.consumerRetried),
    dead: (event, reason) => {
      outcome(event, "dead")
      dead(event, reason)
    },
    ignored: counter(Metrics.consumerIgnored, "reason")
  }
}
