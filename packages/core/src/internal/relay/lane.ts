import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Broker, Outcome } from "../../Broker.ts"
import type { Holding, Membership } from "../../BucketOwner.ts"
import { type Entry, type OutboxStorage, type StorageError } from "../../OutboxStorage.ts"
import type { Progress } from "../../Relay.ts"
import { bury, judge, type Judgement, type Published } from "./judgement.ts"
import { LoneFailures } from "./loneFailures.ts"
import { add, nothing } from "./progress.ts"
import type { Settings } from "./settings.ts"
import type { Suspensions } from "./suspensions.ts"
import { Trust } from "./trust.ts"
import { type Item, Waitlist } from "./waitlist.ts"
import { Windows } from "./window.ts"

/** What the lanes of a relay have in common. */
export interface Ground {
  readonly storage: Context.Tag.Service<OutboxStorage>
  readonly broker: Context.Tag.Service<Broker>
  readonly membership: Membership
  readonly settings: Settings
  readonly suspensions: Suspensions
  /** One permit a lane: taken for each publish, and all of them for one that has to be alone. */
  readonly gate: Effect.Semaphore
  /** What the storage's revision is, as far as anybody has looked lately. */
  readonly revision: Effect.Effect<number, StorageError>
  readonly count: (progress: Progress) => Effect.Effect<void>
}

/** What a step of a lane did, and whether another one may find something at once. */
export interface Step {
  readonly progress: Progress
  readonly more: boolean
}

/** Entries that are tried again, in one step; each may be as large as a payload can be. */
const duePerStep = 16

/** Entries that are read to find one that can be published alone. */
const perAlone = 16

/** Entries that are published one by one to find out whether what was out is back. */
const perTrial = 8

const idle: Step = { progress: nothing, more: false }

/**
 * One lane of a relay: the steps by which some of its buckets are read, published and settled, one batch after the other.
 * No other lane touches these buckets, and no step of this lane overlaps another one.
 */
export const makeLane = (ground: Ground, isMine: (bucket: number) => boolean) => {
  const { broker, gate, membership, settings, storage, suspensions } = ground
  const waitlist = new Waitlist()
  const lone = new LoneFailures()
  const trust = new Trust(settings.batchSize)
  const windows = new Windows((topic, key) => waitlist.blocker(topic, key) ?? lone.blocker(topic, key))
  let token: bigint | undefined
  let known: ReadonlyArray<number> = []
  let revision: number | undefined
  /** Superseded, although the membership does not know it yet. */
  let lost: bigint | undefined
  /** What was decided and the storage does not know yet: settled before anything else is read. */
  let unsettled: { readonly token: bigint; readonly judgement: Judgement } | undefined

  const forget = (buckets: ReadonlyArray<number>): void => {
    const gone = new Set(buckets)
    waitlist.forget((bucket) => gone.has(bucket))
    lone.clear((bucket) => gone.has(bucket))
    for (const bucket of buckets) {
      windows.forget(bucket)
      trust.forget(bucket)
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
      const surplus = holding.surplus.filter((bucket) => known.includes(bucket))
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
      lone.forget(entry)
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

  /** A broker that dies, or gives too few answers, has delivered nothing as far as anybody knows. */
  const ask = (entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Published>> =>
    Effect.map(
      Effect.catchAllDefect(
        broker.publish(entries.map(({ message }) => message)),
        (defect) =>
          Effect.as(
            Effect.logError("The broker adapter died while it published a batch", Cause.die(defect)),
            entries.map(() => Outcome.Retriable({ scope: "broker", reason: "The broker adapter died" }))
          )
      ),
      (outcomes) =>
        entries.map((entry, i) => ({
          entry,
          outcome: outcomes[i] ?? Outcome.Retriable({ scope: "broker", reason: "The broker gave no answer" })
        }))
    )

  /** Ends when the lease does, whatever it was lengthened to in the meantime. */
  const untilLost = (own: bigint): Effect.Effect<void> =>
    Effect.flatMap(
      Effect.zip(membership.holding, Clock.currentTimeNanos),
      ([holding, now]) =>
        holding.token !== own || holding.trustedUntil <= now
          ? Effect.void
          : Effect.zipRight(
            Effect.sleep(Duration.nanos(holding.trustedUntil - now)),
            Effect.suspend(() => untilLost(own))
          )
    )

  /**
   * Publishes while the lease is trusted; what is out then is unknown, and stays. No adapter starts anything behind the
   * window: it is interrupted.
   */
  const publish = (entries: ReadonlyArray<Entry>, own: bigint): Effect.Effect<ReadonlyArray<Published>> =>
    entries.length === 0 ? Effect.succeed([]) : own === 0n ? ask(entries) : Effect.raceFirst(
      ask(entries),
      Effect.map(untilLost(own), () =>
        entries.map((entry): Published => ({
          entry,
          outcome: Outcome.Retriable({ scope: "broker", reason: "The relay's lease ran out while it published" })
        })))
    )

  /** One after the other; a broker that takes none of the first ones is out. */
  const oneByOne = (entries: ReadonlyArray<Entry>, own: bigint) =>
    Effect.gen(function*() {
      const results: Array<Published> = []
      for (const entry of entries) {
        for (const one of yield* publish([entry], own)) results.push(one)
        const isOut = results.length === 2 &&
          results.every(({ outcome }) => outcome._tag === "Retriable" && outcome.scope === "broker")
        if (isOut) break
      }
      return results
    })

  /** Judges, settles and counts. */
  const conclude = (
    own: bigint,
    published: ReadonlyArray<Published>,
    buried: ReadonlyArray<{ readonly entry: Entry; readonly reason: string }>,
    isTrial: boolean
  ): Effect.Effect<Judgement, StorageError> =>
    Effect.gen(function*() {
      const judged = yield* judge({ published, isTrial, settings, lone, now: yield* Clock.currentTimeMillis })
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
        if (settlement._tag === "Dead") yield* logDead(judgement.entries.get(settlement.sequence)!, settlement)
      }
      yield* settle
      yield* ground.count(judgement.progress)
      return judgement
    })

  const acquit = (published: ReadonlyArray<Published>): Effect.Effect<void, StorageError> => {
    if (trust.doubted.length === 0) return Effect.void
    const passed = new Map<number, number>()
    for (const { entry: { bucket } } of published) passed.set(bucket, (passed.get(bucket) ?? 0) + 1)
    const free = [...passed].flatMap(([bucket, count]) => trust.passed(bucket, count) ? [bucket] : [])
    return free.length === 0 ? Effect.void : membership.acquit(free)
  }

  /** Whether an entry that is due can be tried now. */
  const isFree = (now: number) => ({ sequence, topic }: Item): boolean =>
    !suspensions.isOut(topic, now) && !lone.isHeld(sequence, now)

  /** What is due, then the first ones of the buckets. */
  const compose = (buckets: ReadonlyArray<number>, limit: number) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const isOut = (topic: string) => suspensions.isOut(topic, now)
      windows.review((topic) => suspensions.isDoubtful(topic))
      const mine = new Set(buckets)
      const due = waitlist.due(now, duePerStep, (item) => mine.has(item.bucket) && isFree(now)(item))
      const again = due.length === 0 ? [] : yield* storage.pending(due)
      // somebody has removed them
      for (const sequence of due) if (!again.some((entry) => entry.sequence === sequence)) waitlist.remove(sequence)
      const maxBytes = settings.maxBatchBytes
      const ranges = windows.ranges(buckets, { now, limit, isOut, trusted: (bucket) => trust.window(bucket) })
      const tail = windows.wantsTail(buckets, now) ? yield* storage.tail : undefined
      const entries = yield* storage.read({ from: ranges, exceptTopics: windows.exceptTopics(isOut), limit, maxBytes })
      const ended = yield* Clock.currentTimeMillis
      const dropped: Array<Entry> = []
      const usable = entries.filter((entry) => {
        const isUsable = !isOut(entry.message.topic) && !waitlist.blocks(entry) && !lone.blocks(entry, now)
        if (!isUsable) dropped.push(entry)
        return isUsable
      })
      const more = windows.learn(ranges, isOut, { entries, dropped, limit, maxBytes, tail, started: now, ended })
      return {
        again,
        usable,
        more: more || due.length === duePerStep,
        isEmpty: entries.length === 0 && again.length === 0
      }
    })

  /** Entries that are no messages are not published, nor is what they halt. */
  const apart = (entries: ReadonlyArray<Entry>) => {
    if (entries.every(({ malformed }) => malformed === undefined)) return { buried: [], publishable: entries }
    const buried: Array<{ readonly entry: Entry; readonly reason: string }> = []
    const halted = new Set<string>()
    const publishable = entries.filter((entry) => {
      const { key, topic } = entry.message
      const name = key === undefined ? undefined : JSON.stringify([topic, key])
      if (name !== undefined && halted.has(name)) return false
      if (entry.malformed === undefined) return true
      buried.push({ entry, reason: entry.malformed })
      if (name !== undefined && settings.rejection(topic).exhausted === "halt") halted.add(name)
      return false
    })
    return { buried, publishable }
  }

  /**
   * Those that are published together, and those that are published by themselves, one after the other: what has failed
   * before, so that it takes nothing along with it, and a few to find out whether what was out is back.
   */
  const arrange = (again: ReadonlyArray<Entry>, usable: ReadonlyArray<Entry>) => {
    const single: Array<Entry> = [...again]
    const together: Array<Entry> = []
    const tried = new Set<string>()
    let isCut = false
    for (const entry of usable) {
      const { key, topic } = entry.message
      if (suspensions.brokerUntil !== undefined || suspensions.isDoubtful(topic)) {
        const name = JSON.stringify([topic, key ?? String(entry.sequence)])
        if (tried.size >= perTrial || tried.has(name)) isCut = true
        else {
          tried.add(name)
          single.push(entry)
        }
      } else if (lone.has(entry.sequence)) single.push(entry)
      else together.push(entry)
    }
    return { single, together, isCut }
  }

  /** Behind one that failed by itself others of its key are not in the batch: the waitlist and `lone` keep them out. */
  const ordinary = (holding: Holding, restore: Restore): Effect.Effect<Step, StorageError> =>
    Effect.gen(function*() {
      const buckets = known.filter((bucket) => !trust.isAlone(bucket))
      if (buckets.length === 0) return idle
      const { again, isEmpty, more, usable } = yield* restore(compose(buckets, settings.batchSize))
      if (isEmpty) {
        const free = trust.doubted.filter((bucket) => !trust.isAlone(bucket) && !waitlist.hasDeferred(bucket))
        if (free.length > 0) {
          yield* membership.acquit(free)
          for (const bucket of free) trust.forget(bucket)
        }
        return idle
      }
      const { buried, publishable } = apart(usable)
      const badAgain = again.filter(({ malformed }) => malformed !== undefined)
      const { isCut, single, together } = arrange(
        again.filter(({ malformed }) => malformed === undefined),
        publishable
      )
      // the lease may have run out while the storage took its time: then somebody else publishes these
      if ((yield* Clock.currentTimeNanos) >= holding.trustedUntil) return idle
      const isTrial = suspensions.brokerUntil !== undefined
      const published = yield* restore(
        gate.withPermits(1)(
          Effect.zipWith(publish(together, holding.token), oneByOne(single, holding.token), (a, b) => [...a, ...b])
        )
      )
      const { progress, report } = yield* conclude(
        holding.token,
        published,
        [...buried, ...badAgain.map((entry) => ({ entry, reason: entry.malformed! }))],
        isTrial
      )
      yield* acquit(published)
      // what was behind one that is delivered at last, or given up, comes next
      const isUnblocked = progress.dead > 0 || (again.length > 0 && progress.delivered > 0)
      return {
        progress,
        more: report.brokerOut === undefined && (more || isUnblocked || (isCut && report.well.size > 0))
      }
    })

  /** One entry of a bucket whose owners died, with nothing else of this relay in flight, and its name written down before. */
  const alone = (bucket: number, holding: Holding, restore: Restore): Effect.Effect<Step, StorageError> =>
    Effect.gen(function*() {
      const { again, isEmpty, usable } = yield* restore(compose([bucket], perAlone))
      const entry = again[0] ?? usable[0]
      if (entry === undefined) {
        if (!isEmpty || waitlist.hasDeferred(bucket)) return idle
        yield* membership.acquit([bucket])
        trust.forget(bucket)
        return { progress: nothing, more: true }
      }
      const suspect = trust.suspicion(bucket)?.suspect
      const deaths = suspect?.sequence === entry.sequence ? suspect.deaths : 0
      const reason = entry.malformed ??
        (deaths >= settings.maxDeaths
          ? `The relay's process died ${deaths} times in a row while this event was alone in flight`
          : undefined)
      const published = reason !== undefined ? [] : yield* restore(
        gate.withPermits(settings.lanes)(
          Effect.gen(function*() {
            if (!(yield* membership.suspect(bucket, entry.sequence))) {
              lost = holding.token
              return []
            }
            if ((yield* Clock.currentTimeNanos) >= holding.trustedUntil) return []
            return yield* publish([entry], holding.token)
          })
        )
      )
      if (reason === undefined && published.length === 0) return idle
      const { progress, report } = yield* conclude(
        holding.token,
        published,
        reason === undefined ? [] : [{ entry, reason }],
        false
      )
      if (trust.passed(bucket, 1)) yield* membership.acquit([bucket])
      return { progress, more: report.brokerOut === undefined }
    })

  const step: Effect.Effect<Step, StorageError> = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      yield* settle
      const holding = yield* membership.holding
      if (holding.token === lost) return idle
      yield* restore(adopt(holding))
      const now = yield* Clock.currentTimeMillis
      const leave = known.length === 0 ? undefined : suspensions.enter(now)
      if (leave === undefined) return idle
      return yield* Effect.ensuring(
        Effect.gen(function*() {
          let all = yield* ordinary(holding, restore)
          for (const bucket of trust.alone) {
            if (suspensions.brokerUntil !== undefined || holding.token === lost) break
            const one = yield* alone(bucket, holding, restore)
            all = { progress: add(all.progress, one.progress), more: all.more || one.more }
          }
          return all
        }),
        Effect.sync(leave)
      )
    })
  )

  const turn = Effect.unsafeMakeSemaphore(1)

  return {
    /** One step. Steps of a lane take turns. */
    step: turn.withPermits(1)(step),
    /** The buckets it has taken up. */
    buckets: () => known,
    /** When there is a point in another step, if nothing comes in; infinite if there is none. */
    nextDue: (now: number) => Math.min(waitlist.nextDue(now, isFree(now)), lone.nextDue(now))
  }
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const logDead = (entry: Entry, dead: { readonly reason: string; readonly attempts: number }): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError(`An event is a dead letter: ${dead.reason}`), {
    event: entry.message.name,
    messageId: entry.message.id,
    topic: entry.message.topic,
    attempts: dead.attempts
  })
