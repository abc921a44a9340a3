import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { BucketOwner } from "../../BucketOwner.ts"
import * as Metrics from "../../Metrics.ts"
import { OutboxStorage, type StorageError } from "../../OutboxStorage.ts"
import type { Progress, Status } from "../../Relay.ts"
import * as Wake from "../../Wake.ts"
import { backoffAfter } from "../scheduleDelay.ts"
import { LeaseCounts } from "./counting.ts"
import { makeGate } from "./gate.ts"
import { type Ground, makeLane } from "./lane.ts"
import { add, nothing } from "./progress.ts"
import type { Settings } from "./settings.ts"
import { Suspensions } from "./suspensions.ts"
import { tracedBroker } from "./tracedBroker.ts"
import { Watch } from "./watch.ts"

/**
 * A lane that has read so many entries without a full batch finds as many in the next moment: it begins no step before so many
 * milliseconds after the last one. A step costs the same for few as for many, and that is taken from those who commit.
 */
const busy = { from: 8, millis: 15 }

/** Kept entries that are deleted by one statement. */
const purgeStep = 1000

/** The lanes of a relay, and what moves them. */
export const makeEngine = (settings: Settings) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage
    const broker = yield* tracedBroker
    const membership = yield* Effect.flatMap(BucketOwner, (owner) => owner.join)
    /** What all lanes wait for: something is back, the holding has changed, the relay stops. */
    const bell = yield* Wake.make
    /** What lanes wait for beside it while another one tries the broker. */
    const freed = yield* Wake.make
    /** Raised when something is suspended, or is back. */
    const turned = yield* Wake.make
    const suspensions = new Suspensions(settings.backoff, turned, bell, freed)
    const gate = makeGate(settings.lanes)
    const leases = new LeaseCounts()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        suspensions.end()
        leases.end()
      })
    )
    const countLeases = Effect.map(membership.holding, (holding) => leases.learn(holding))
    yield* countLeases

    const watch = new Watch()
    let looked: { readonly at: number; readonly signals: number; readonly revision: number } | undefined
    /** What a signal that is about no bucket in particular raises: a redrive or a discard, among others. */
    const signals = storage.arrivals.of([]).version
    /** Looked at once per poll, for all lanes, and at the first step behind a signal, though not after each of many. */
    const revision: Effect.Effect<number, StorageError> = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const seen = yield* signals
      const isFresh = looked !== undefined &&
        now - looked.at < (seen === looked.signals ? settings.pollMillis : settings.pollMillis / 16)
      if (looked !== undefined && isFresh) return looked.revision
      const current = yield* storage.revision
      looked = { at: now, signals: seen, revision: current }
      return current
    })

    const ground: Ground = { storage, broker, membership, settings, suspensions, gate, revision }
    const lanes = Array.from(
      { length: Math.min(settings.lanes, storage.buckets) },
      (_, lane, all = Math.min(settings.lanes, storage.buckets)) => {
        const made = makeLane(ground, (bucket) => bucket % all === lane)
        return { ...made, step: Effect.tap(made.step, ({ progress }) => watch.stepped(progress)) }
      }
    )
    type Lane = typeof lanes[number]

    const steps = Effect.map(
      // one that fails interrupts no other
      Effect.flatMap(
        Effect.forEach(lanes, (lane) => Effect.exit(lane.step), { concurrency: "unbounded" }),
        (exits) => Option.getOrElse(Exit.all(exits), () => Exit.succeed([]))
      ),
      (all) => ({
        progress: all.map((one) => one.progress).reduce(add, nothing),
        more: all.some((one) => one.more)
      })
    )

    const fresh = Effect.sync(() => looked = undefined)

    const tick = Effect.withTracerEnabled(Effect.zipRight(fresh, Effect.map(steps, ({ progress }) => progress)), false)

    const drainLane = (lane: Lane): Effect.Effect<Progress, StorageError> =>
      Effect.map(
        Effect.iterate({ total: nothing, more: true }, {
          while: ({ more }) => more,
          body: ({ total }) => Effect.map(lane.step, ({ more, progress }) => ({ total: add(total, progress), more }))
        }),
        ({ total }) => total
      )

    const drain: Effect.Effect<Progress, StorageError> = Effect.zipRight(
      fresh,
      Effect.iterate({ total: nothing, more: true }, {
        while: ({ more }) => more,
        // each lane at its own pace, and then all once more: one may have found what lets another go on
        body: ({ total }) =>
          Effect.zipWith(
            Effect.forEach(lanes, drainLane, { concurrency: "unbounded" }),
            steps,
            (drained, { more, progress }) => ({ total: [...drained, progress].reduce(add, total), more })
          )
      })
    ).pipe(Effect.map(({ total }) => total), Effect.withTracerEnabled(false))

    /**
     * How long there is no point in another step, if nothing comes in. An idle lane looks less and less often, though not
     * past the time when the revision is to be looked at again. What was due when its step began and could not be tried
     * waits for a poll.
     */
    const pause = (lane: Lane, began: number, idle: number) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const { brokerUntil } = suspensions
        if (brokerUntil !== undefined && brokerUntil > now) return { millis: brokerUntil - now, wakes: false }
        const poll = Math.min(settings.pollMillis, settings.pollMillis / 16 * 2 ** idle)
        const stale = (looked?.at ?? now) + settings.pollMillis - now
        const next = Math.min(lane.nextDue(began), suspensions.nextTrial(began)) - now
        return { millis: Math.max(0, Math.min(stale > 0 ? stale : poll, poll, next)), wakes: true }
      })

    /** What is delivered is not to be published again because the storage was out when the relay stopped. */
    const finish = (lane: Lane, failures: number): Effect.Effect<void> =>
      Effect.catchAllCause(
        lane.finish,
        () =>
          Effect.flatMap(
            backoffAfter(settings.backoff, failures),
            (wait) => Effect.zipRight(Effect.sleep(wait), Effect.suspend(() => finish(lane, failures + 1)))
          )
      )

    const runLane = (lane: Lane, isStopped: () => boolean): Effect.Effect<void> => {
      let failures = 0
      let idle = 0
      const once = Effect.gen(function*() {
        // before the step: what comes in behind it is then seen by the wait
        const buckets = lane.buckets()
        const arrivals = storage.arrivals.of(buckets)
        const seen = yield* arrivals.version
        const rung = yield* bell.version
        const freedBefore = yield* freed.version
        // the stop may have been rung before the bell was read
        if (isStopped()) return
        const began = yield* Clock.currentTimeMillis
        const { isTaken, more, progress } = yield* lane.step
        failures = 0
        idle = progress.read === 0 ? Math.min(idle + 1, 8) : 0
        // nobody has listened to the buckets that it has just taken up
        if (more || lane.buckets() !== buckets) return
        if (progress.read >= busy.from) {
          const rest = began + busy.millis - (yield* Clock.currentTimeMillis)
          if (rest > 0) yield* Effect.raceFirst(Effect.sleep(rest), bell.waitPast(rung))
        }
        const { millis, wakes } = yield* pause(lane, began, idle)
        yield* wakes
          ? Effect.raceAll([
            Effect.sleep(millis),
            bell.waitPast(rung),
            arrivals.waitPast(seen),
            ...(isTaken === true ? [freed.waitPast(freedBefore)] : [])
          ])
          : Effect.raceFirst(Effect.sleep(millis), bell.waitPast(rung))
      }).pipe(
        // an interruption of the lane itself comes through: it is not caught
        Effect.catchAllCause((cause) =>
          Effect.gen(function*() {
            failures += 1
            // said once, not once per lane
            if (!watch.isStorageOut) {
              yield* Effect.logWarning("The relay cannot reach its storage and tries again", cause)
            }
            yield* watch.failed(cause)
            const rung = yield* bell.version
            if (isStopped()) return
            const wait = yield* backoffAfter(settings.backoff, failures)
            yield* Effect.raceFirst(Effect.sleep(wait), bell.waitPast(rung))
          })
        )
      )
      return Effect.zipRight(
        Effect.whileLoop({ while: () => !isStopped(), body: () => once, step: () => {} }),
        finish(lane, 1)
      )
    }

    /** What is kept is purged by the relay that owns the first bucket, in steps, a while after each other. */
    const purge = (olderThan: Duration.Duration) => {
      const some = Effect.flatMap(membership.holding, ({ buckets }) =>
        buckets.includes(0)
          ? Effect.iterate(purgeStep, {
            while: (deleted) => deleted >= purgeStep,
            body: () => storage.purge({ olderThan, limit: purgeStep })
          })
          : Effect.void)
      const every = Duration.clamp(Duration.times(olderThan, 1 / 20), { minimum: "1 second", maximum: "1 minute" })
      return Effect.forever(
        Effect.zipRight(
          Effect.catchAllCause(some, (cause) => Effect.logWarning("What was delivered could not be purged", cause)),
          Effect.sleep(every)
        )
      )
    }

    /** For those who watch: nothing rests on it, and a storage that is out is told later. */
    const report: Effect.Effect<never> = Effect.forever(Effect.gen(function*() {
      const seen = yield* turned.version
      yield* Effect.retry(
        Effect.suspend(() => membership.report(suspensions.all)),
        Schedule.spaced(settings.pollMillis)
      ).pipe(Effect.catchAllCause((cause) => Effect.logDebug("What is suspended could not be reported", cause)))
      yield* turned.waitPast(seen)
    }))

    const run = (stopping: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.gen(function*() {
        let stopped = false
        const stop = Effect.sync(() => {
          stopped = true
          watch.state = "stopping"
        })
        watch.state = "running"
        yield* Effect.fork(Effect.zipRight(Effect.zipRight(stopping, stop), bell.signal))
        const announce = (seen: number): Effect.Effect<never> =>
          Effect.flatMap(
            Effect.zipRight(membership.changes.waitPast(seen), membership.changes.version),
            (version) => Effect.zipRight(Effect.zipRight(countLeases, bell.signal), announce(version))
          )
        const announcing = yield* Effect.fork(Effect.flatMap(membership.changes.version, announce))
        const reporting = yield* Effect.fork(Effect.zipRight(turned.waitPast(0), report))
        const purging = settings.retention === undefined ? undefined : yield* Effect.fork(purge(settings.retention))
        yield* Effect.forEach(lanes, (lane) => runLane(lane, () => stopped), {
          concurrency: "unbounded",
          discard: true
        })
        yield* Fiber.interrupt(announcing)
        yield* Fiber.interrupt(reporting)
        if (purging !== undefined) yield* Fiber.interrupt(purging)
      }).pipe(
        Effect.ensuring(Effect.sync(() => watch.state = watch.state === "stopping" ? "stopped" : "dead")),
        Effect.withTracerEnabled(false),
        (running) =>
          Effect.acquireUseRelease(
            Metric.increment(Metrics.relaysRunning),
            () => running,
            () => Metric.incrementBy(Metrics.relaysRunning, -1)
          )
      )

    const status: Effect.Effect<Status> = Effect.zipWith(
      membership.holding,
      Clock.currentTimeNanos,
      ({ buckets, trustedUntil }, now) =>
        watch.status(suspensions, { buckets: buckets.length, isTrusted: now < trustedUntil })
    )

    return { tick, drain, run, status }
  })
