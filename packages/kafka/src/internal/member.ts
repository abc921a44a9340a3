import type { BrokerError, Source } from "@effect-cqrs/core/Broker"
import { consumerLag } from "@effect-cqrs/core/Metrics"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as MetricLabel from "effect/MetricLabel"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Consumer, ConsumerStartBatchProcessEvent, EachBatchPayload, OffsetsByTopicPartition } from "kafkajs"
import kafkajs from "kafkajs"
import { detailsOf } from "./classification.ts"
import * as Holding from "./holding.ts"
import * as Membership from "./membership.ts"
import { kafkaConfig, retry, type Settings } from "./settings.ts"
import * as Sockets from "./socket.ts"
import { brokerError, unavailable } from "./topology.ts"

/** Durations are milliseconds. */
export interface Options extends Pick<Holding.Options, "deliver" | "laneOf" | "window"> {
  readonly group: string
  readonly topics: ReadonlyArray<string>
  readonly fromBeginning: boolean
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly heartbeatInterval: number
  readonly maxWait: number
  readonly maxBytesPerPartition: number
  readonly commitInterval: number
  /** How many partitions' batches kafkajs hands over at a time. */
  readonly concurrency: number
  /** How long what is out may take to be settled before the group is joined anew. */
  readonly drainTimeout: number
  /** Takes a member out of the group, on a connection that is not its own. */
  readonly leave: (memberId: string) => Effect.Effect<void, unknown>
}

/**
 * A member of a group: kafkajs fetches, and this holds what was fetched, in a window; commits what is settled; and lets
 * go of partitions in peace, if there is time.
 *
 * It stays a member until its scope closes: when kafkajs gives up, another of its consumers takes over.
 */
export const join = (settings: Settings, options: Options): Effect.Effect<Source, BrokerError, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<never>()
    const run = Runtime.runPromise(runtime)
    const dirty = new Set<Holding.Part>()
    const holding = Holding.make({ ...options, onProgress: (part) => onProgress(part) })
    const { handout } = holding
    let isClosing = false
    let isMember = false
    /** Batches that wait for room, by their partition. */
    const waiting = new Map<Holding.Part, () => void>()
    let commitOffsets: EachBatchPayload["commitOffsetsIfNecessary"] | undefined
    let consumer: Consumer | undefined
    const silence = 2 * (options.sessionTimeout + options.rebalanceTimeout)

    const report = (part: Holding.Part, value: number) =>
      consumerLag.unsafeUpdate(value, [
        MetricLabel.make("group", options.group),
        MetricLabel.make("topic", part.topic),
        MetricLabel.make("partition", String(part.partition))
      ])

    const commit = Effect.suspend(() => {
      const moved = [...dirty].filter((part) => holding.isCurrent(part))
      dirty.clear()
      for (const part of moved) report(part, Math.max(0, part.end - part.prefix.position()))
      const due = moved.map((part) => ({ part, position: part.prefix.position() }))
        .filter(({ part, position }) => position > part.committed)
      if (due.length === 0 || commitOffsets === undefined) return Effect.void
      const commitNow = commitOffsets
      return attempt(() => commitNow(offsetsOf(due))).pipe(
        // it looks for the coordinator for as long as that takes
        Effect.timeoutFail({
          duration: settings.requestTimeout,
          onTimeout: () => unavailable("It was not answered")
        }),
        Effect.matchEffect({
          onSuccess: () =>
            Effect.sync(() => {
              for (const { part, position } of due) part.committed = position
            }),
          onFailure: (error) => {
            for (const { part } of due) dirty.add(part)
            return Effect.logDebug(
              `Kafka did not take offsets of the group ${options.group}: ${detailsOf(error).message}`
            )
          }
        })
      )
    })

    /** Before the group is joined anew: what is out is settled, as far as there is time, and committed. */
    const drain = Effect.suspend(() => {
      handout.hold(true)
      return Effect.sync(() => handout.out() === 0 || isClosing).pipe(
        Effect.repeat({ until: (isDone) => isDone, schedule: Schedule.spaced(10) }),
        Effect.timeoutOption(options.drainTimeout),
        Effect.zipRight(Effect.timeoutOption(commit, options.drainTimeout))
      )
    })

    const setPaused = (part: Holding.Part, isPaused: boolean): void => {
      if (part.isPaused === isPaused) return
      part.isPaused = isPaused
      const which = [{ topic: part.topic, partitions: [part.partition] }]
      // kafkajs throws while it is not running, and forgets who was paused
      Either.try(() => isPaused ? consumer?.pause(which) : consumer?.resume(which))
    }

    const onJoin = (assignment: Readonly<Record<string, ReadonlyArray<number>>>): void => {
      isMember = true
      for (const part of holding.assign(assignment)) {
        setPaused(part, false)
        report(part, 0)
      }
      handout.hold(false)
    }

    const onProgress = (part: Holding.Part): void => {
      dirty.add(part)
      if (!holding.hasRoom(part)) return
      waiting.get(part)?.()
      setPaused(part, false)
    }

    const roomOf = (part: Holding.Part) =>
      Effect.timeoutOption(
        Effect.async<void>((resume) => {
          waiting.set(part, () => resume(Effect.void))
          return Effect.sync(() => waiting.delete(part))
        }),
        patience
      )

    /**
     * Until most of what was fetched has been offered. If that takes long somebody holds on to messages: then others of its
     * node go on, if there are any that want more. kafkajs sends no heartbeat meanwhile.
     */
    const untilRoom = (part: Holding.Part, payload: EachBatchPayload): Promise<void> =>
      run(roomOf(part)).then(() => {
        if (holding.hasRoom(part) || !holding.isCurrent(part) || !payload.isRunning()) return
        if (holding.isWanting()) return setPaused(part, true)
        return payload.heartbeat().then(() => untilRoom(part, payload))
      })

    const eachBatch = (payload: EachBatchPayload): Promise<void> => {
      commitOffsets = payload.commitOffsetsIfNecessary
      const { batch } = payload
      const last = batch.lastOffset()
      const part = holding.receive({
        topic: batch.topic,
        partition: batch.partition,
        from: Number((batch as unknown as { readonly fetchedOffset: string }).fetchedOffset),
        last: Number(last),
        end: Number(batch.highWatermark),
        records: batch.messages
      })
      // what is not taken in is not behind it: it is fetched again
      if (part === undefined) return run(Effect.sleep(patience))
      payload.resolveOffset(last)
      if (holding.hasRoom(part)) return Promise.resolve()
      return untilRoom(part, payload)
    }

    /** kafkajs goes past what shows nothing, and tells nobody: control records, and what was given up. */
    const passBy = ({ payload }: ConsumerStartBatchProcessEvent): void => {
      const { batchSize, firstOffset, highWatermark, lastOffset, partition, topic } = payload
      if (batchSize > 0) return
      holding.receive({
        topic,
        partition,
        // none is within what was asked for where the rest of a batch was compacted away
        from: Number((firstOffset as string | null) ?? lastOffset),
        last: Number(lastOffset),
        end: Number(highWatermark),
        records: []
      })
    }

    /** kafkajs has no moment between knowing that it must join anew and doing so, but that it looks for the coordinator. */
    const beforeJoin = (): Promise<unknown> => {
      if (!isMember) return Promise.resolve()
      isMember = false
      return run(drain)
    }

    /** Others wait for a member that is gone until its session ends: after that, there is nobody to take out. */
    const leaving = (memberId: string) =>
      options.leave(memberId).pipe(
        Effect.retry({
          until: (error) => detailsOf(error).type === "UNKNOWN_MEMBER_ID",
          schedule: Schedule.spaced(restartDelay)
        }),
        Effect.ignore,
        Effect.timeoutOption(options.sessionTimeout)
      )

    /** One of kafkajs's consumers, until it gives up, which is what it fails with. */
    const consuming = Effect.gen(function*() {
      const sockets = Sockets.make(settings.redirect)
      const kafka = new kafkajs.Kafka(kafkaConfig(settings, sockets.factory))
      const membership = Membership.make({
        beforeJoin: () => consumer === current ? beforeJoin() : Promise.resolve()
      })
      const crashed = yield* Deferred.make<never, unknown>()
      const current: Consumer = kafka.consumer({
        groupId: options.group,
        allowAutoTopicCreation: false,
        partitionAssigners: [membership.assigner],
        sessionTimeout: options.sessionTimeout,
        rebalanceTimeout: options.rebalanceTimeout,
        heartbeatInterval: options.heartbeatInterval,
        maxWaitTimeInMs: options.maxWait,
        maxBytesPerPartition: options.maxBytesPerPartition,
        // a group that is joined by many at once asks all of them several times
        retry: { ...retry, retries: 10, restartOnFailure: () => Promise.resolve(false) }
      })
      let seen = yield* Clock.currentTimeMillis
      const { CRASH, FETCH, GROUP_JOIN, HEARTBEAT, REQUEST_TIMEOUT, START_BATCH_PROCESS } = current.events
      const clock = yield* Effect.clock
      const touch = () => {
        seen = clock.unsafeCurrentTimeMillis()
      }
      current.on(FETCH, touch)
      current.on(HEARTBEAT, touch)
      current.on(GROUP_JOIN, ({ payload }) => {
        touch()
        if (consumer === current) onJoin(payload.memberAssignment)
      })
      current.on(START_BATCH_PROCESS, (event) => {
        if (consumer === current) passBy(event)
      })
      current.on(CRASH, ({ payload }) => Deferred.unsafeDone(crashed, Effect.fail(payload.error)))
      // it would ask again on the same connection
      current.on(REQUEST_TIMEOUT, () => sockets.cut())
      const silent = Effect.suspend(() =>
        clock.unsafeCurrentTimeMillis() - seen > silence ? Effect.fail(unavailable("It does not go on")) : Effect.void
      ).pipe(Effect.repeat(Schedule.spaced(1000)), Effect.zipRight(Effect.never))
      consumer = current
      commitOffsets = undefined
      for (const part of holding.parts()) part.isPaused = false
      const leave = Effect.gen(function*() {
        const isPeaceful = isClosing && isMember
        if (isPeaceful) yield* atMost(leavingTimeout, commit)
        else {
          yield* atMost(
            leavingTimeout,
            Effect.repeat(Effect.sync(membership.isAsking), { until: (is) => !is, schedule: Schedule.spaced(10) })
          )
        }
        consumer = undefined
        const stopping = yield* Effect.forkDaemon(Effect.ignore(attempt(() => current.disconnect())))
        if (isPeaceful) yield* atMost(leavingTimeout, Fiber.join(stopping))
        membership.end()
        sockets.cut()
        const id = membership.id()
        if (id === undefined) return
        const left = yield* Effect.forkDaemon(leaving(id))
        if (isClosing) yield* atMost(leavingTimeout, Fiber.join(left))
      })
      yield* Effect.addFinalizer(() => leave)
      yield* attempt(() => current.connect())
      yield* attempt(() => current.subscribe({ topics: [...options.topics], fromBeginning: options.fromBeginning }))
      yield* Effect.raceFirst(
        Effect.zipRight(
          attempt(() =>
            current.run({
              autoCommit: false,
              eachBatchAutoResolve: false,
              eachBatch: (payload) => consumer === current ? eachBatch(payload) : Promise.resolve(),
              partitionsConsumedConcurrently: options.concurrency
            })
          ),
          Effect.never
        ),
        Effect.raceFirst(Deferred.await(crashed), silent)
      )
    })

    const forever = Effect.scoped(consuming).pipe(
      Effect.catchAll((error) => {
        isMember = false
        handout.hold(true)
        // whatever comes by this name later is another topic
        if (detailsOf(error).type === "UNKNOWN_TOPIC_OR_PARTITION") holding.reset()
        return logged(options.group, error)
      }),
      Effect.zipRight(Effect.sleep(restartDelay)),
      Effect.forever
    )

    const fiber = yield* Effect.forkDaemon(Effect.interruptible(forever))
    const committing = yield* Effect.forkDaemon(
      Effect.interruptible(Effect.repeat(commit, Schedule.spaced(options.commitInterval)))
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isClosing = true
        return Effect.zipRight(Fiber.interrupt(committing), Fiber.interrupt(fiber)).pipe(
          Effect.zipRight(Effect.sync(() => {
            for (const part of holding.parts()) report(part, 0)
          }))
        )
      })
    )
    return yield* handout.join
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Milliseconds that a fetch waits for room, before its partition is left out and others go on. */
const patience = 100

const leavingTimeout = 5000

const restartDelay = 500

/** In a finalizer, where nothing is interrupted that does not say that it can be. */
const atMost = (duration: number, effect: Effect.Effect<unknown, unknown>): Effect.Effect<void> =>
  Effect.ignore(Effect.timeoutOption(Effect.interruptible(effect), duration))

const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: run, catch: (error) => error })

const logged = (group: string, error: unknown) => {
  const { message, reason } = brokerError(error)
  return reason === "Configuration"
    ? Effect.logError(`The consumer of the group ${group} cannot go on until this is corrected: ${message}`)
    : Effect.logWarning(`The consumer of the group ${group} begins anew: ${message}`)
}

const offsetsOf = (
  due: ReadonlyArray<{ readonly part: Holding.Part; readonly position: number }>
): OffsetsByTopicPartition => {
  const topics = new Map<string, Array<{ partition: number; offset: string }>>()
  for (const { part, position } of due) {
    const offset = { partition: part.partition, offset: String(position) }
    const known = topics.get(part.topic)
    if (known === undefined) topics.set(part.topic, [offset])
    else known.push(offset)
  }
  return { topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })) }
}
