import type { Event, History, Nature } from "./history.ts"

/**
 * What relays promise.
 *
 * - `lost`: what was committed reaches the broker, or is a dead letter that somebody discards.
 * - `phantom`: what was rolled back, or is not committed yet, does not.
 * - `order`: of a topic and key, no event reaches the broker for the first time before an earlier one; but for one of a
 *   transaction that was open for so long that it may be overlooked (see `Terms.overlooked`).
 * - `acknowledged`: nothing leaves the outbox that the broker has not acknowledged to the relay that removes it.
 * - `duplicate`: nothing is published twice unless a fault explains it: the relay died or lost its lease, it gave the
 *   publish up at the end of its window, it was told that it is not known what became of it, or its grace period had
 *   ended.
 * - `attempts`: only verdicts count, no outage.
 * - `dead letter`: those and only those die that the broker rejects each time, that are no messages, or with which alone in
 *   flight relays died again and again.
 * - `fence`: no decision takes effect after its token was superseded.
 * - `window`: no publish starts outside of the window of its relay, or of buckets that it does not hold.
 * - `given up`: no publish is given up inside of that window, unless the relay stops.
 * - `lease`: none runs out without a fault.
 * - `wake`, `poll`: without a fault, what is committed reaches the broker at once if the relay that owns its bucket is
 *   woken, or else with its next poll.
 * - `takeover`: after the death of a relay, within the lease and one beat more.
 * - `recovery`: after any other fault, within what leases and waits add up to.
 * - `quiescence`: once faults have ceased, nothing stays pending.
 */
export const rules = [
  "lost",
  "phantom",
  "order",
  "acknowledged",
  "duplicate",
  "attempts",
  "dead letter",
  "fence",
  "window",
  "given up",
  "lease",
  "wake",
  "poll",
  "takeover",
  "recovery",
  "quiescence"
] as const

export type Rule = typeof rules[number]

export interface Violation {
  readonly rule: Rule
  readonly at: number
  readonly what: string
}

type Of<T extends Event["_tag"]> = Extract<Event, { readonly _tag: T }>

/** A time, and the place in the history, which tells what came first at one time. */
interface Moment {
  readonly at: number
  readonly place: number
}

interface Publish extends Moment {
  readonly event: Of<"Published">
  answered: (Moment & Pick<Of<"Answered">, "inTime" | "outcomes">) | undefined
  cut: Moment | undefined
}

interface Entry {
  readonly event: Of<"Reserved">
  nature: Nature
  committed: Moment | undefined
  wakes: number | undefined
  /** The process that owned its bucket when it was committed. */
  owner: number | undefined
  isHealed: boolean
  wasSkipped: boolean
  hasDied: boolean
  discarded: Moment | undefined
  /** When it first was no longer in the way of those behind it. */
  resolved: Moment | undefined
  /** The publishes by which it reached the broker. */
  readonly accepted: Array<Publish>
  /** Since it was committed or redriven. */
  verdicts: number
  refusals: number
  /** Deaths that were held against it. */
  blames: number
  /** What a relay has decided about it last. */
  decided: Of<"Settled"> | undefined
}

/** Something that delays: what comes in before it or until its end may take until `until`. */
interface Disturbance {
  readonly at: number
  readonly until: number
  readonly rule: Rule
}

/** Says by which rules a history is not one of relays that keep their promises. */
export const judge = ({ events, terms }: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const entries = new Map<bigint, Entry>()
  const keys = new Map<string, Array<Entry>>()
  const publishes = new Map<number, Publish>()
  /** The process of each token, and when it was superseded. */
  const tokens = new Map<bigint, { readonly process: number; superseded: Moment | undefined }>()
  const owners = new Map<number, bigint>()
  const killed = new Map<number, Moment>()
  const stopping = new Map<number, Moment>()
  const faults: Array<Of<"Fault">> = []
  const disturbances: Array<Disturbance> = []
  /** Since when reads may leave something out. */
  let leftOut = Number.POSITIVE_INFINITY
  const recovery = 2 * (terms.lease + terms.beat + terms.backoff) + terms.prompt

  const blame = (rule: Rule, at: number, what: string) => void violations.push({ rule, at, what })
  const disturb = (at: number, until: number, rule: Rule) => void disturbances.push({ at, until, rule })
  const laneOf = ({ key, topic }: { readonly topic: string; readonly key: string | undefined }) =>
    key === undefined ? undefined : `${topic}/${key}`

  /** Those of its topic and key that were committed before it. */
  const before = (entry: Entry): ReadonlyArray<Entry> => {
    const lane = laneOf(entry.event)
    const all = lane === undefined ? [] : keys.get(lane)!
    return all.slice(0, all.indexOf(entry))
  }

  /** What is no message dies without being published: those behind it need not wait for that. */
  const isPassedOver = ({ event: { nature, topic }, isHealed }: Entry): boolean =>
    nature._tag === "malformed" && !isHealed && terms.skipping.includes(topic)

  const isOverlooked = ({ committed, event }: Entry, now: Moment): boolean =>
    leftOut < now.at && committed!.at - event.at >= terms.overlooked.after

  const arrive = (event: Of<"Arrived">, now: Moment): void => {
    const { publish, sequence, verdict } = event
    const entry = entries.get(sequence)!
    if (verdict === "rejected") entry.verdicts += 1
    if (verdict === "refused") entry.refusals += 1
    if (verdict === "refused" || verdict === "out") disturb(now.at, now.at + recovery, "recovery")
    if (verdict !== "accepted") {
      leftOut = Math.min(leftOut, now.at)
      return
    }
    if (entry.committed === undefined) {
      return blame("phantom", now.at, `${sequence} reached the broker and was not committed`)
    }
    if (entry.accepted.length === 0) {
      for (const one of before(entry)) {
        if (one.resolved !== undefined || one.wasSkipped || isPassedOver(one) || isOverlooked(one, now)) continue
        blame("order", now.at, `${sequence} reached the broker before ${one.event.sequence}`)
      }
    }
    entry.resolved ??= now
    entry.accepted.push(publishes.get(publish)!)
  }

  /** What explains that an entry is published once more, if anything does. */
  const isExplained = (earlier: Publish, sequence: bigint, again: Moment): boolean => {
    const isBefore = (moment: Moment | undefined) => moment !== undefined && moment.place < again.place
    const { answered, cut, event: { process, sequences, token } } = earlier
    if (again.at >= (stopping.get(process)?.at ?? Infinity) + terms.grace) return true
    if (isBefore(killed.get(process)) || isBefore(tokens.get(token)?.superseded) || isBefore(cut)) return true
    return isBefore(answered) && (!answered!.inTime || answered!.outcomes[sequences.indexOf(sequence)] !== "Delivered")
  }

  const settle = (event: Of<"Settled">, now: Moment): void => {
    const { process, settlement, token } = event
    const entry = entries.get(settlement.sequence)!
    const { sequence } = settlement
    if (tokens.get(token)?.superseded !== undefined) {
      blame("fence", now.at, `${sequence} was settled by ${token}, which was superseded`)
    }
    if (settlement._tag === "Delivered") {
      const isKnown = entry.accepted.some(({ answered, event }) =>
        event.process === process && answered?.outcomes[event.sequences.indexOf(sequence)] === "Delivered"
      )
      if (!isKnown) {
        blame("acknowledged", now.at, `${sequence} was settled as delivered by ${token}, which was not told so`)
      }
      return
    }
    const { decided } = entry
    entry.decided = event
    // not knowing whether it took effect, the relay settles it again; somebody may have redriven it meanwhile
    const isRepeated = decided?.token === token && decided.settlement._tag === settlement._tag &&
      decided.settlement.attempts === settlement.attempts
    const verdicts = entry.verdicts + Math.floor(entry.refusals / terms.maxLoneFailures)
    if (settlement.attempts > verdicts && !isRepeated) {
      blame("attempts", now.at, `${sequence} has ${settlement.attempts} attempts for ${verdicts} verdicts`)
    }
    if (settlement._tag === "Deferred") return
    const isPlanned = isRepeated || settlement.attempts >= terms.tries || entry.blames >= terms.maxDeaths ||
      (entry.event.nature._tag === "malformed" && !entry.isHealed)
    if (!isPlanned) blame("dead letter", now.at, `${sequence} is a dead letter without a cause: ${settlement.reason}`)
    entry.hasDied = true
    leftOut = Math.min(leftOut, now.at)
    if (settlement.policy === "skip") {
      entry.wasSkipped = true
      entry.resolved ??= now
    }
  }

  const supersede = (event: Of<"Superseded">, now: Moment): void => {
    const token = tokens.get(event.token)
    if (token === undefined) return
    token.superseded = now
    if (event.by === "left") return disturb(now.at, now.at + terms.beat + terms.prompt, "takeover")
    const since = now.at - terms.lease - 2 * terms.beat
    // one that is to stop may be in the middle of beginning anew
    const isExplained = killed.has(token.process) || stopping.has(token.process) ||
      faults.some(({ kind, until }) => (kind === "freeze" || kind.startsWith("statement")) && until >= since)
    if (!isExplained) blame("lease", now.at, `${event.token} ran out, and its relay was well`)
  }

  const happen = (event: Event, now: Moment): void => {
    switch (event._tag) {
      case "Reserved": {
        entries.set(event.sequence, {
          event,
          nature: event.nature,
          committed: undefined,
          wakes: undefined,
          owner: undefined,
          isHealed: false,
          wasSkipped: false,
          hasDied: false,
          discarded: undefined,
          resolved: undefined,
          accepted: [],
          verdicts: 0,
          refusals: 0,
          blames: 0,
          decided: undefined
        })
        return
      }
      case "Committed": {
        for (const sequence of event.sequences) {
          const entry = entries.get(sequence)!
          const owner = owners.get(entry.event.bucket)
          entry.committed = now
          entry.wakes = event.wakes
          entry.owner = owner === undefined ? undefined : tokens.get(owner)?.process
          const lane = laneOf(entry.event)
          if (lane === undefined) continue
          const all = keys.get(lane)
          if (all === undefined) keys.set(lane, [entry])
          else all.push(entry)
        }
        return
      }
      case "Started":
        return disturb(now.at, now.at + 2 * terms.beat + terms.prompt, "takeover")
      case "Stopping":
        stopping.set(event.process, now)
        return disturb(now.at, now.at + terms.beat + terms.prompt, "takeover")
      case "Killed": {
        killed.set(event.process, now)
        return disturb(now.at, now.at + terms.lease + terms.beat + terms.prompt, "takeover")
      }
      case "Joined": {
        tokens.set(event.token, { process: event.process, superseded: undefined })
        return disturb(now.at, now.at + 2 * terms.beat + terms.prompt, "takeover")
      }
      case "Superseded":
        return supersede(event, now)
      case "Claimed":
        return void owners.set(event.bucket, event.token)
      case "Released":
        return void owners.delete(event.bucket)
      case "Blamed": {
        entries.get(event.sequence)!.blames += 1
        return
      }
      case "Published": {
        publishes.set(event.publish, { ...now, event, answered: undefined, cut: undefined })
        if (event.at >= event.trustedUntil) {
          blame(
            "window",
            now.at,
            `${event.process} began a publish behind the end of its window at ${event.trustedUntil}`
          )
        }
        if (event.unheld.length > 0) {
          blame("window", now.at, `${event.process} published ${event.unheld} and does not hold them`)
        }
        return
      }
      case "Arrived":
        return arrive(event, now)
      case "Answered": {
        publishes.get(event.publish)!.answered = { ...now, ...event }
        return
      }
      case "Cut": {
        publishes.get(event.publish)!.cut = now
        if (!event.allowed) blame("given up", now.at, `the publish ${event.publish} was given up inside of its window`)
        return
      }
      case "Settled":
        return settle(event, now)
      case "Redriven": {
        const entry = entries.get(event.sequence)!
        entry.verdicts = 0
        entry.refusals = 0
        // deaths are held against it until it has an outcome, whatever it was
        entry.isHealed ||= event.healed
        return disturb(now.at, now.at + terms.poll + terms.prompt, "poll")
      }
      case "Discarded": {
        const entry = entries.get(event.sequence)!
        entry.discarded = now
        entry.resolved ??= now
        return disturb(now.at, now.at + terms.poll + terms.prompt, "poll")
      }
      case "Fault": {
        faults.push(event)
        return disturb(now.at, event.until + recovery, "recovery")
      }
      case "Ended": {
        if (event.pending.length > 0) blame("quiescence", now.at, `${event.pending} are pending still`)
        return end(event, now)
      }
    }
  }

  /** What can be said only when all is over. */
  const end = ({ pending }: Of<"Ended">, now: Moment): void => {
    for (const entry of entries.values()) {
      const { accepted, committed, discarded, event: { nature, sequence }, hasDied, isHealed } = entry
      if (committed === undefined) continue
      if (accepted.length === 0 && discarded === undefined && !pending.includes(sequence)) {
        blame("lost", now.at, `${sequence} was committed and never reached the broker`)
      }
      const isPoison = nature._tag === "malformed" || nature._tag === "killer" ||
        (nature._tag === "rejected" && nature.times === Infinity)
      if (isPoison && !isHealed && !hasDied && !pending.includes(sequence)) {
        blame("dead letter", now.at, `${sequence} is poison and did not become a dead letter`)
      }
      const starts = [...accepted].sort((a, b) => a.place - b.place)
      starts.forEach((again, n) => {
        for (const earlier of starts.slice(0, n)) {
          if (isExplained(earlier, sequence, again)) continue
          blame("duplicate", again.at, `${sequence} was published once more, and nothing explains it`)
        }
      })
      if (nature._tag === "well") expectInTime(entry, committed)
    }
  }

  const expectInTime = (entry: Entry, committed: Moment): void => {
    const first = entry.resolved
    const previous = before(entry).at(-1)
    if (first === undefined || entry.hasDied || (previous !== undefined && previous.resolved === undefined)) return
    const isWoken = entry.wakes !== undefined && entry.wakes === entry.owner
    let rule: Rule = isWoken ? "wake" : "poll"
    let deadline = Math.max(committed.at + (isWoken ? 0 : terms.poll), previous?.resolved?.at ?? 0) + terms.prompt
    for (const one of disturbances) {
      if (one.at > deadline) break
      if (one.until <= deadline) continue
      deadline = one.until
      rule = one.rule
    }
    const { after, until } = terms.overlooked
    if (leftOut < deadline && deadline - entry.event.at >= after) deadline += until + terms.poll
    if (first.at <= deadline) return
    blame(rule, first.at, `${entry.event.sequence} was committed at ${committed.at} and had until ${deadline}`)
  }

  events.forEach((event, place) => happen(event, { at: event.at, place }))
  return violations
}
