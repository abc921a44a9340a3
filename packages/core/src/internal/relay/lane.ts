import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Broker } from "../../Broker.ts"
import type { Holding, Membership } from "../../BucketOwner.ts"
import { type Entry, type OutboxStorage, type StorageError } from "../../OutboxStorage.ts"
import type { Progress } from "../../Relay.ts"
import { apart, arrange, within } from "./batch.ts"
import { countBatch } from "./counting.ts"
import type { Gate } from "./gate.ts"
import { bury, judge, type Judgement, type Published } from "./judgement.ts"
import { LoneFailures } from "./loneFailures.ts"
import { add, nothing } from "./progress.ts"
import { makePublishing } from "./publishing.ts"
import type { Settings } from "./settings.ts"
import type { Suspensions } from "./suspensions.ts"
import { Trust } from "./trust.ts"
import { Waitlist } from "./waitlist.ts"
import { Windows } from "./window.ts"

/** What the lanes of a relay have in common. */
export interface Ground {
  readonly storage: Context.Tag.Service<OutboxStorage>
  readonly broker: Pick<Context.Tag.Service<Broker>, "publish">
  readonly membership: Membership
  readonly settings: Settings
  readonly suspensions: Suspensions
  readonly gate: Gate
  /** What the storage's revision is, as far as anybody has looked lately. */
  readonly revision: Effect.Effect<number, StorageError>
}

/** What a step of a lane did, and whether another one may find something at once. */
export interface Step {
  readonly progress: Progress
  readonly more: boolean
  /** Another lane was trying the broker: once that has tried it may. */
  readonly isTaken?: boolean
}

/** Entries of each kind that are tried again in one step; each may be as large as a payload can be. */
const duePerStep = 16

/** Entries that are read to find one that can be published alone. */
const perAlone = 16

const idle: Step = { progress: nothing, more: false }

/**
 * One lane of a relay: the steps by which some of its buckets are read, published and settled, one batch after the other.
 * No other lane touches these buckets, and no step of this lane overlaps another one.
 */
export const makeLane = (ground: Ground, isMine: (bucket: number) => boolean) => {
  const { broker, membership, settings, storage, suspensions } = ground
  const waitlist = new Waitlist()
  const lone = new LoneFailures()
  const trust = new Trust(settings.batchSize)
  const windows = new Windows((topic, key) => waitlist.blocker(topic, key) ?? lone.blocker(topic, key))
  const { oneByOne, publish } = makePublishing(broker, membership, (topic) => suspensions.isDoubtful(topic))
  const halts = (topic: string): boolean => settings.rejection(topic).exhausted === "halt"
  let token: bigint | undefined
  let known: ReadonlyArray<number> = []
  let revision: number | undefined
  /** Superseded, although the membership does not know it yet. */
  let lost: bigint | undefined
  /** What was decided and the storage does not know yet: settled before anything else is read. */
  let unsettled: { readonly token: bigint; readonly judgement: Judgement } | undefined
  /** Buckets whose entries have passed and of which the owners do not know that yet. */
  const passed = new Set<number>()
  /** The last entry that was tried to find out whether something is back. */
  let tried = 0n

  const forget = (buckets: ReadonlyArray<number>): void => {
    if (buckets.length === 0) return
    const gone = new Set(buckets)
    waitlist.forget((bucket) => gone.has(bucket))
    lone.clear((bucket) => gone.has(bucket))
    for (const bucket of buckets) {
      windows.forget(bucket)
      trust.forget(bucket)
      passed.delete(bucket)
    }
    known = known.filter((bucket) => !gone.has(bucket))
  }

  /** Brings what the lane knows in step with what it holds. */
  const adopt = (holding: Holding): Effect.Effect<void, StorageError> =>
    Effect.gen(function*() {
      if (holding.token !== token) {
        forget(known)
        windows.clear()
        token = holding.token
      }
      const surplus = holding.surplus.filter(isMine)
      if (surplus.length > 0) {
        forget(surplus)
        yield* membership.release(surplus)
      }
      const mine = holding.buckets.filter((bucket) => isMine(bucket) && !holding.surplus.includes(bucket))
      forget(known.filter((bucket) => !mine.includes(bucket)))
      const current = yield* ground.revision
      const fresh = current === revision ? mine.filter((bucket) => !known.includes(bucket)) : mine
      if (fresh.length === 0) return
      const waiting = yield* storage.waiting(fresh)
      const now = yield* Clock.currentTimeMillis
      const isFresh = new Set(fresh)
      waitlist.forget((bucket) => isFresh.has(bucket))
      for (const one of waiting) waitlist.add(one, now)
      for (const bucket of fresh) {
        const suspicion = known.includes(bucket) ? undefined : holding.suspicions.get(bucket)
        if (suspicion !== undefined) trust.doubt(bucket, suspicion)
      }
      if (current !== revision) windows.reset()
      revision = current
      known = mine
    })

  /** Once the storage knows a decision, the lane acts by it. */
  const apply = ({ entries, settlements }: Judgement, now: number): void => {
    for (const settlement of settlements) {
      const entry = entries.get(settlement.sequence)!
      const { bucket, message: { key, topic }, sequence } = entry
      lone.forget(sequence)
      if (settlement._tag === "Deferred") {
        waitlist.add({ sequence, bucket, topic, key, due: settlement.delay }, now)
      } else if (settlement._tag === "Dead" && settlement.policy === "halt" && key !== undefined) {
        waitlist.add({ sequence, bucket, topic, key, due: undefined }, now)
      } else waitlist.remove(sequence)
    }
  }

  const settle: Effect.Effect<void, StorageError> = Effect.suspend(() => {
    if (unsettled === undefined) return Effect.void
    const { judgement, token: own } = unsettled
    if (judgement.settlements.length === 0) {
      unsettled = undefined
      return Effect.void
    }
    const keep = settings.retention !== undefined
    return Effect.flatMap(storage.settle(own, judgement.settlements, { keep }), (tookEffect) => {
      unsettled = undefined
      if (tookEffect) return Effect.map(Clock.currentTimeMillis, (now) => apply(judgement, now))
      lost = own
      return Effect.logWarning(
        "The relay's buckets went to another relay before it could settle: what it published may be published again"
      )
    })
  })

  /** Judges, settles and counts. */
  const conclude = (
    own: bigint,
    published: ReadonlyArray<Published>,
    buried: ReadonlyArray<{ readonly entry: Entry; readonly reason: string }>,
    isTrial: boolean
  ): Effect.Effect<Judgement, StorageError> =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const judged = yield* judge({
        published,
        isTrial,
        settings,
        lone,
        takings: (topic) => suspensions.takings(topic),
        now
      })
      const dead = buried.map(({ entry, reason }) => bury(entry, reason, settings))
      const judgement: Judgement = {
        settlements: dead.length === 0 ? judged.settlements : [...dead, ...judged.settlements],
        entries: dead.length === 0
          ? judged.entries
          : new Map([...judged.entries, ...buried.map(({ entry }) => [entry.sequence, entry] as const)]),
        progress: add(judged.progress, { ...nothing, read: dead.length, dead: dead.length }),
        report: judged.report
      }
      unsettled = { token: own, judgement }
      yield* suspensions.learn(judged.report)
      for (const settlement of judgement.settlements) {
        if (settlement._tag === "Dead") yield* logDead(own, judgement.entries.get(settlement.sequence)!, settlement)
      }
      countBatch(judgement.progress, published, now)
      yield* settle
      return judgement
    })

  /** Entries of buckets had outcomes: a bucket of which enough had is free of what was held against it. */
  const learnPassed = (published: ReadonlyArray<Published>): void => {
    if (trust.doubted.length === 0) return
    for (const { entry: { bucket } } of published) if (trust.passed(bucket, 1)) passed.add(bucket)
  }

  const acquit: Effect.Effect<void, StorageError> = Effect.suspend(() => {
    if (passed.size === 0) return Effect.void
    const free = [...passed]
    return Effect.map(membership.acquit(free), () => {
      for (const bucket of free) passed.delete(bucket)
    })
  })

  /** Whether a bucket of which a read found nothing holds nothing: nothing was left out, or is tried again later. */
  const isIdle = (bucket: number): boolean => !windows.leavesOut(bucket) && !waitlist.hasDeferred(bucket)

  /** Nothing is there that could be held against some buckets. */
  const clear = (buckets: ReadonlyArray<number>): void => {
    for (const bucket of buckets) {
      trust.forget(bucket)
      passed.add(bucket)
    }
  }

  /** What is to be tried again by now, in order. */
  const dueOf = (buckets: ReadonlySet<number>, now: number): ReadonlySet<bigint> => {
    const isMeant = (bucket: number, topic: string) => buckets.has(bucket) && !suspensions.isOut(topic, now)
    return new Set([
      ...waitlist.due(
        now,
        duePerStep,
        ({ bucket, sequence, topic }) => isMeant(bucket, topic) && !lone.isHeld(sequence, now)
      ),
      ...lone.due(now, duePerStep, (entry) => isMeant(entry.bucket, entry.message.topic) && !waitlist.blocks(entry))
    ])
  }

  /** What is due, then the first ones of the buckets. */
  const compose = (buckets: ReadonlyArray<number>, limit: number) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const isOut = (topic: string) => suspensions.isOut(topic, now)
      windows.review((topic) => suspensions.isDoubtful(topic))
      const due = dueOf(new Set(buckets), now)
      const again = due.size === 0 ? [] : yield* storage.pending([...due])
      const there = new Set(again.map(({ sequence }) => sequence))
      for (const sequence of due) {
        if (there.has(sequence)) continue
        // somebody has removed it
        waitlist.remove(sequence)
        lone.forget(sequence)
      }
      const maxBytes = settings.maxBatchBytes
      const ranges = windows.ranges(buckets, { now, limit, isOut })
      const tail = windows.wantsTail(buckets, now) ? yield* storage.tail : undefined
      const entries = yield* storage.read({ from: ranges, exceptTopics: windows.exceptTopics(isOut), limit, maxBytes })
      const ended = yield* Clock.currentTimeMillis
      const dropped: Array<Entry> = []
      const usable = entries.filter((entry) => {
        const isUsable = !isOut(entry.message.topic) && !waitlist.blocks(entry) && !lone.blocks(entry)
        if (!isUsable) dropped.push(entry)
        return isUsable
      })
      const more = windows.learn(ranges, isOut, { entries, dropped, limit, maxBytes, tail, started: now, ended })
      const inFlight = trust.doubted.length === 0 ? usable : within(usable, (bucket) => trust.window(bucket))
      return {
        again,
        usable: inFlight,
        more: more || due.size >= duePerStep || inFlight.length < usable.length,
        isEmpty: entries.length === 0 && again.length === 0
      }
    })

  /**
   * Several entries of the buckets together, and by themselves those that have failed before and those that are to show
   * whether something is back. Behind these no others of their key are in the batch.
   */
  const ordinary = (holding: Holding, restore: Restore): Effect.Effect<Step, StorageError> =>
    Effect.gen(function*() {
      const buckets = known.filter((bucket) => !trust.isAlone(bucket))
      if (buckets.length === 0) return idle
      const { again, isEmpty, more, usable } = yield* restore(compose(buckets, settings.batchSize))
      if (isEmpty) {
        clear(trust.doubted.filter((bucket) => !trust.isAlone(bucket) && isIdle(bucket)))
        return idle
      }
      const retried = apart(again, halts)
      const first = apart(usable, halts)
      const isTrial = suspensions.brokerUntil !== undefined
      const { isCut, single, together, trial } = arrange({
        again: retried.publishable,
        usable: first.publishable,
        isDoubtful: (topic) => isTrial || suspensions.isDoubtful(topic),
        tried
      })
      const buried = [...first.buried, ...retried.buried]
      if (together.length + single.length + trial.length + buried.length === 0) return { progress: nothing, more }
      const published = yield* restore(ground.gate.shared(
        Effect.zipWith(
          publish(together, holding.token),
          oneByOne([...single, ...trial], holding.token),
          (a, b) => [...a, ...b]
        )
      ))
      if (trial.length > 0) tried = published.at(-1)?.entry.sequence ?? tried
      // the lease ran out: then somebody else publishes these
      if (published.length === 0 && buried.length === 0) return idle
      const { progress, report } = yield* conclude(holding.token, published, buried, isTrial)
      learnPassed(published)
      // what was behind one that is delivered at last, or given up, comes next
      const isUnblocked = progress.dead > 0 || (again.length > 0 && progress.delivered > 0)
      return {
        progress,
        more: report.brokerOut === undefined && (more || first.isCut || isUnblocked || (isCut && report.well.size > 0))
      }
    })

  /** One entry of a bucket whose owners died, with nothing else of this relay in flight, and its name written down before. */
  const alone = (bucket: number, holding: Holding, restore: Restore): Effect.Effect<Step, StorageError> =>
    Effect.gen(function*() {
      const { again, isEmpty, more, usable } = yield* restore(compose([bucket], perAlone))
      const entry = again[0] ?? usable[0]
      if (entry === undefined) {
        if (!isEmpty || !isIdle(bucket)) return { progress: nothing, more }
        clear([bucket])
        return { progress: nothing, more: true }
      }
      const suspect = trust.suspicion(bucket)?.suspect
      const deaths = suspect?.sequence === entry.sequence ? suspect.deaths : 0
      const reason = entry.malformed ??
        (deaths >= settings.maxDeaths
          ? `The relay's process died ${deaths} times in a row while this event was alone in flight`
          : undefined)
      const published = reason !== undefined ? [] : yield* restore(ground.gate.alone(
        Effect.gen(function*() {
          if (yield* membership.suspect(bucket, entry.sequence)) return yield* publish([entry], holding.token)
          lost = holding.token
          return []
        })
      ))
      if (reason === undefined && published.length === 0) return idle
      tried = entry.sequence
      const { progress, report } = yield* conclude(
        holding.token,
        published,
        reason === undefined ? [] : [{ entry, reason }],
        false
      )
      if (trust.passed(bucket, 1)) passed.add(bucket)
      // it is still there, and had its outcome: a death while it waits is none of its doing
      else if (progress.delivered === 0) yield* membership.suspect(bucket, undefined)
      return { progress, more: report.brokerOut === undefined }
    })

  const step: Effect.Effect<Step, StorageError> = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      yield* settle
      const holding = yield* membership.holding
      if (holding.token === lost) return idle
      yield* restore(adopt(holding))
      yield* acquit
      const now = yield* Clock.currentTimeMillis
      const entered = known.length === 0 ? "out" : suspensions.enter(now)
      if (entered === "out") return idle
      if (entered === "taken") return { ...idle, isTaken: true }
      return yield* Effect.ensuring(
        Effect.gen(function*() {
          let all = yield* ordinary(holding, restore)
          for (const bucket of trust.alone) {
            const until = suspensions.brokerUntil
            if (holding.token === lost || (until !== undefined && until > (yield* Clock.currentTimeMillis))) break
            const one = yield* alone(bucket, holding, restore)
            all = { progress: add(all.progress, one.progress), more: all.more || one.more }
          }
          yield* acquit
          return all
        }),
        entered.leave
      )
    })
  )

  const turn = Effect.unsafeMakeSemaphore(1)

  return {
    /** One step. Steps of a lane take turns. */
    step: turn.withPermits(1)(step),
    /** Settles what was decided and could not be settled yet. */
    finish: turn.withPermits(1)(Effect.uninterruptible(settle)),
    /** The buckets it has taken up. */
    buckets: () => known,
    /**
     * When there is a point in another step, if nothing comes in; infinite if there is none. What was due by the time
     * given has had its step.
     */
    nextDue: (after: number) => Math.min(waitlist.nextDue(after), lone.nextDue(after))
  }
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const logDead = (
  relay: bigint,
  { message }: Entry,
  dead: { readonly reason: string; readonly attempts: number }
): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError(`An event is a dead letter: ${dead.reason}`), {
    event: message.name,
    messageId: message.id,
    correlationId: message.correlationId,
    ...(message.causationId === undefined ? {} : { causationId: message.causationId }),
    topic: message.topic,
    attempts: dead.attempts,
    relay: String(relay)
  })
