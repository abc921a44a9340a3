import type * as Clock from "effect/Clock"
import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import type { Message } from "../../Message.ts"
import * as Metrics from "../../Metrics.ts"

export type DeadReason = "failed" | "suspected" | "undecodable" | "unreadable" | "unknown" | "tombstone"

export type IgnoredReason = "unknown" | "tombstone" | "redriven"

/** What a consumer counts; by hooks that are looked up once, since this is done for each message. */
export interface Counts {
  readonly handled: (message: Message) => void
  readonly retried: (event: string) => void
  readonly dead: (event: string, reason: DeadReason) => void
  readonly ignored: (event: string, reason: IgnoredReason) => void
}

/** Names that came from outside are no labels: there may be any number of them. */
const foreign = "(unknown)"

export const counting = (group: string, known: ReadonlySet<string>, clock: Clock.Clock): Counts => {
  const counter = <Type>(metric: Metric.Metric<Type, number, unknown>, label?: string) => {
    const hooks = new Map<string, (amount: number) => void>()
    return (event: string, value?: string, amount = 1): void => {
      const name = known.has(event) ? event : foreign
      const id = value === undefined ? name : `${value} ${name}`
      let count = hooks.get(id)
      if (count === undefined) {
        const labels = [MetricLabel.make("group", group), MetricLabel.make("event", name)]
        if (label !== undefined) labels.push(MetricLabel.make(label, value!))
        count = (amount) => metric.unsafeUpdate(amount, labels)
        hooks.set(id, count)
      }
      count(amount)
    }
  }
  const outcome = counter(Metrics.consumerHandled, "outcome")
  const dead = counter(Metrics.consumerDead, "reason")
  const latency = counter(Metrics.consumerLatency)
  return {
    handled: ({ name, time }) => {
      outcome(name, "success")
      // a message of a foreign sender need not say when it was made
      if (time > 0) latency(name, undefined, Math.max(0, clock.unsafeCurrentTimeMillis() - time) / 1000)
    },
    retried: counter(Metrics.consumerRetried),
    dead: (event, reason) => {
      outcome(event, "dead")
      dead(event, reason)
    },
    ignored: counter(Metrics.consumerIgnored, "reason")
  }
}
