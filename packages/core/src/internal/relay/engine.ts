import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Broker } from "../../Broker.ts"
import { BucketOwner } from "../../BucketOwner.ts"
import { OutboxStorage, type StorageError } from "../../OutboxStorage.ts"
import type { Progress } from "../../Relay.ts"
import * as Wake from "../../Wake.ts"
import { backoffAfter } from "../scheduleDelay.ts"
import { type Ground, makeLane } from "./lane.ts"
import { add, nothing } from "./progress.ts"
import type { Settings } from "./settings.ts"
import { Suspensions } from "./suspensions.ts"

/** Kept entries that are deleted by one statement. */
const purgeStep = 1000

/** The lanes of a relay, and what moves them. */
export const makeEngine = (settings: Settings, count: (progress: Progress) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage
    const broker = yield* Broker
    const membership = yield* Effect.flatMap(BucketOwner, (owner) => owner.join)
    const suspensions = new Suspensions(settings.backoff, yield* Wake.make)
    const gate = yield* Effect.makeSemaphore(settings.lanes)

    /** Said once, not once per lane. */
    let isStorageOut = false
    let looked: { readonly at: number; readonly revision: number } | undefined
    /** Looked at once per poll, for all lanes, and whenever the storage has signalled. */
    const revision: Effect.Effect<number, StorageError> = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (looked !== undefined && now - looked.at < settings.pollMillis) return looked.revision
      looked = { at: now, revision: yield* storage.revision }
      return looked.revision
    })

    const ground: Ground = { storage, broker, membership, settings, suspensions, gate, revision, count }
    const lanes = Array.from(
      { length: Math.min(settings.lanes, storage.buckets) },
      (_, lane, all = Math.min(settings.lanes, storage.buckets)) => makeLane(ground, (bucket) => bucket % all === lane)
    )
    type Lane = typeof lanes[number]

    const steps = Effect.map(
      Effect.forEach(lanes, (lane) => lane.step, { concurrency: "unbounded" }),
      (all) => ({
        progress: all.map((one) => one.progress).reduce(add, nothing),
        more: all.some((one) => one.more)
      })
    )

    const fresh = Effect.sync(() => looked = undefined)

    const tick = Effect.withTracerEnabled(Effect.zipRight(fresh, Effect.map(steps, ({ progress }) => progress)), false)

    const drain: Effect.Effect<Progress, StorageError> = Effect.zipRight(
      fresh,
      Effect.iterate({ total: nothing, more: true }, {
        while: ({ more }) => more,
        body: ({ total }) => Effect.map(steps, ({ more, progress }) => ({ total: add(total, progress), more }))
      })
    ).pipe(Effect.map(({ total }) => total), Effect.withTracerEnabled(false))

    /** How long there is no point in another step, if nothing comes in. An idle lane looks less and less often. */
    const pause = (lane: Lane, idle: number) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const { brokerUntil } = suspensions
        if (brokerUntil !== undefined && brokerUntil > now) return { millis: brokerUntil - now, wakes: false }
        const poll = Math.min(settings.pollMillis, settings.pollMillis / 16 * 2 ** idle)
        const next = Math.min(lane.nextDue(now), suspensions.nextTrial(now)) - now
        return { millis: Math.max(0, Math.min(poll, next)), wakes: true }
      })

    const runLane = (lane: Lane, stopping: Effect.Effect<void>, isStopped: () => boolean): Effect.Effect<void> => {
      let failures = 0
      let idle = 0
      const once = Effect.gen(function*() {
        // before the step: what comes in behind it is then seen by the wait
        const arrivals = storage.arrivals.of(lane.buckets())
        const seen = yield* arrivals.version
        const held = yield* membership.changes.version
        const well = yield* suspensions.recovered.version
        const { more, progress } = yield* lane.step
        failures = 0
        isStorageOut = false
        idle = progress.read === 0 ? Math.min(idle + 1, 8) : 0
        if (more) return
        const { millis, wakes } = yield* pause(lane, idle)
        const sleep = Effect.sleep(millis)
        const wake = Effect.raceAll([
          arrivals.waitPast(seen),
          membership.changes.waitPast(held),
          suspensions.recovered.waitPast(well)
        ])
        yield* Effect.raceFirst(wakes ? Effect.raceFirst(sleep, wake) : sleep, stopping)
      }).pipe(
        Effect.catchAllCause((cause) =>
          Cause.isInterruptedOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.gen(function*() {
            failures += 1
            if (!isStorageOut) yield* Effect.logWarning("The relay cannot reach its storage and tries again", cause)
            isStorageOut = true
            yield* Effect.raceFirst(Effect.sleep(yield* backoffAfter(settings.backoff, failures)), stopping)
          })
        )
      )
      return Effect.asVoid(Effect.whileLoop({ while: () => !isStopped(), body: () => once, step: () => {} }))
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

    const run = (stopping: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.gen(function*() {
        let stopped = false
        yield* Effect.fork(Effect.zipRight(stopping, Effect.sync(() => stopped = true)))
        const purging = settings.retention === undefined ? undefined : yield* Effect.fork(purge(settings.retention))
        yield* Effect.forEach(lanes, (lane) => runLane(lane, stopping, () => stopped), {
          concurrency: "unbounded",
          discard: true
        })
        if (purging !== undefined) yield* Fiber.interrupt(purging)
      }).pipe(Effect.withTracerEnabled(false))

    return { tick, drain, run }
  })
