import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import type { OutboxOptions } from "../Metrics.ts"
import { OutboxStorage, type Statistics } from "../OutboxStorage.ts"

interface Gauges {
  readonly pending: Metric.Metric.Gauge<number>
  readonly oldest: Metric.Metric.Gauge<number>
  readonly dead: Metric.Metric.Gauge<number>
}

/** How many layers of this process report on an outbox: the last one leaves nothing behind. */
const reporters = new Map<string, number>()

/** The share of the time that is spent on asking, at the most. */
const share = 1 / 20

/** Reports what the storage says, at intervals, for as long as the layer lives. */
export const layerGauges = (
  { dead, oldest, pending }: Gauges,
  options: OutboxOptions
): Layer.Layer<never, never, OutboxStorage> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const storage = yield* OutboxStorage
    const name = options.name ?? "main"
    const interval = Duration.toMillis(options.interval ?? Duration.seconds(10))
    const labels = [MetricLabel.make("outbox", name)]
    const set = (statistics: Statistics): void => {
      pending.unsafeUpdate(statistics.pending, labels)
      oldest.unsafeUpdate(Duration.toSeconds(statistics.oldestAge), labels)
      dead.unsafeUpdate(statistics.dead, labels)
    }
    let known: { readonly statistics: Statistics; readonly at: number } | undefined
    /** What waits goes on waiting while nobody can look. */
    const grow = (now: number): void => {
      if (known === undefined || known.statistics.pending === 0) return
      oldest.unsafeUpdate(Duration.toSeconds(known.statistics.oldestAge) + (now - known.at) / 1000, labels)
    }
    const grown = Effect.map(Clock.currentTimeMillis, grow)
    const look = Effect.gen(function*() {
      const began = yield* Clock.currentTimeMillis
      const statistics = yield* Effect.catchAllCause(
        storage.statistics,
        (cause) => Effect.as(Effect.logDebug(`The outbox ${name} cannot be measured`, cause), undefined)
      )
      const ended = yield* Clock.currentTimeMillis
      if (statistics === undefined) grow(ended)
      else {
        known = { statistics, at: ended }
        set(statistics)
      }
      yield* Effect.sleep(Math.max(interval, (ended - began) / share))
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => reporters.set(name, (reporters.get(name) ?? 0) + 1)),
      () =>
        Effect.sync(() => {
          const left = reporters.get(name)! - 1
          reporters.set(name, left)
          if (left === 0) set({ pending: 0, dead: 0, oldestAge: Duration.zero })
        })
    )
    yield* Effect.forkScoped(Effect.withTracerEnabled(Effect.forever(look), false))
    // a storage that does not answer at all holds up the look, and not the age
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(interval), grown)))
  }))
