/** What a history says of the promises: a pure function, which is itself tested with histories that break each rule. */
import type { Announced, History, Struck } from "./History.ts"
import type { Kind as FaultKind } from "./Kinds.ts"
import { factsOf, names } from "./Kinds.ts"
import type { Found } from "./servers/Server.ts"
import { timing } from "./Setting.ts"

export type Rule =
  | "truth"
  | "lost"
  | "phantom"
  | "order"
  | "once"
  | "applied order"
  | "dead letters"
  | "attempts"
  | "duplicate"
  | "takeover"
  | "crash"
  | "rest"

/** What each rule asks for, as the report says it. */
export const rules: Readonly<Record<Rule, string>> = {
  "truth": "the ledger has each version of each account once (or the harness is wrong)",
  "lost": "each committed event was delivered, or is a dead letter that was planned",
  "phantom": "nothing was delivered that was not committed",
  "order": "the first deliveries of a key have rising versions",
  "once": "each delivered event was applied once, and no other",
  "applied order": "the events of a key were applied in the order of their versions",
  "dead letters": "the dead letters are the planned ones",
  "attempts": "only events that the broker refuses have attempts counted",
  "duplicate": "an event is delivered again only after a fault that can be the reason",
  "takeover": "what a dead relay held has other owners within the lease and one poll",
  "crash": "no process ends by itself without a fault that can be the reason",
  "rest": "in the end nothing is pending, and no consumer lags behind"
}

interface Violation {
  readonly rule: Rule
  readonly message: string
}

export interface Recovery {
  readonly kind: string
  /**
   * Until all was delivered and applied that had been committed by the end of the fault: from that end on, or from the
   * beginning of one that has nothing to take back, as a death.
   */
  readonly millis: number
}

export interface Verdict {
  readonly violations: ReadonlyArray<Violation>
  readonly committed: number
  readonly delivered: number
  readonly lost: number
  readonly phantom: number
  readonly outOfOrder: number
  /** Deliveries of what had been delivered before. */
  readonly duplicates: number
  readonly unexplained: number
  readonly deadLetters: number
  readonly recoveries: ReadonlyArray<Recovery>
  /** Of relays that died with buckets, while nothing else held the others up: how long until those had other owners. */
  readonly takeovers: ReadonlyArray<number>
}

/**
 * How long after a fault its consequences may show: a relay that lost its lease or its connection repeats what it did not
 * settle, at the latest when the one that has the buckets then has begun and waited as long as it waits.
 */
export const grace = timing.lease + timing.publish + timing.backoff + timing.allowance

/** A relay looks three times a lease for those whose leases have run out, and publishes with its next poll at the latest. */
export const takeoverLimit = timing.lease + timing.lease / 3 + timing.poll + timing.allowance

export const check = (history: History): Verdict => {
  const known = new Map(history.ledger.map((one) => [one.id, one]))
  const buried = history.deadLetters.filter(({ where }) => where === "outbox")
  const given = new Set(buried.map(({ id }) => id))
  const inOrder = ordered(history.delivered)
  const firsts = new Map<string, Found>()
  const repeated: Array<Found> = []
  for (const one of inOrder) {
    if (firsts.has(one.id)) repeated.push(one)
    else firsts.set(one.id, one)
  }

  const lost = history.ledger.filter(({ id }) => !firsts.has(id) && !given.has(id))
  const phantom = inOrder.filter((one) => !isSame(known.get(one.id), one))
  const order = outOfOrder([...firsts.values()])
  const unexplained = repeated.filter(({ at }) => !isExplained(at, history))
  const takeovers = takeoversOf(history.faults)

  const violations: ReadonlyArray<Violation> = [
    ...said("truth", untrue(history)),
    ...said("lost", lost.map((one) => `${named(one)} was committed and never delivered`)),
    ...said("phantom", phantom.map((one) => `${named(one)} was delivered and never committed`)),
    ...said("order", order),
    ...said("once", notOnce(history, firsts)),
    ...said("applied order", appliedOutOfOrder(history)),
    ...said("dead letters", wrongLetters(history)),
    ...said(
      "attempts",
      history.attempts.filter(({ id }) => known.get(id)?.kind !== "poison").map(({ attempts, id, reason }) =>
        `${nameOf(known, id)} has ${attempts} attempts counted: ${reason}`
      )
    ),
    ...said(
      "duplicate",
      unexplained.map((one) => `${named(one)} was delivered again at ${timeOf(one.at)}, and no fault was before that`)
    ),
    ...said(
      "takeover",
      takeovers.filter(({ millis }) => millis > takeoverLimit).map(({ fault, millis }) =>
        `fault ${fault.number} (${fault.kind} ${fault.target}): its ${fault.buckets} buckets had other owners after ${
          Number.isFinite(millis) ? `${millis} ms` : "no time that was waited for"
        }, and not after ${takeoverLimit} ms`
      )
    ),
    ...said(
      "crash",
      history.exits.filter((exit) => !isDue(exit, history)).map(({ at, how, process }) =>
        `${process} ended by itself at ${timeOf(at)}: ${how}`
      )
    ),
    ...said("rest", history.unrest)
  ]
  return {
    violations,
    committed: history.ledger.length,
    delivered: firsts.size,
    lost: lost.length,
    phantom: phantom.length,
    outOfOrder: order.length,
    duplicates: repeated.length,
    unexplained: unexplained.length,
    deadLetters: new Set(history.deadLetters.map(({ id }) => id)).size,
    recoveries: recoveriesOf(history, firsts),
    takeovers: takeovers.map(({ millis }) => millis)
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const said = (rule: Rule, messages: ReadonlyArray<string>): ReadonlyArray<Violation> =>
  messages.map((message) => ({ rule, message }))

interface Named {
  readonly id: string
  readonly key: string
  readonly version: number
}

const named = ({ id, key, version }: Named): string => `${key} v${version} (${id})`

const nameOf = (known: ReadonlyMap<string, Announced>, id: string): string => {
  const one = known.get(id)
  return one === undefined ? id : named(one)
}

const timeOf = (at: number): string => new Date(at).toISOString().slice(11, 23)

const isSame = (one: Named | undefined, other: Named): boolean =>
  one !== undefined && one.key === other.key && one.version === other.version

/** A topic that was made again goes on where the one before ended. */
const ordered = (delivered: ReadonlyArray<Found>): ReadonlyArray<Found> =>
  [...groupBy(delivered, ({ lane }) => lane).entries()]
    .map(([lane, all]) => ({ making: makingOf(lane), all: [...all].sort((a, b) => a.place - b.place) }))
    .sort((a, b) => a.making - b.making)
    .flatMap(({ all }) => all)

const makingOf = (lane: string): number => Number(lane.split("/")[1])

const groupBy = <A>(all: ReadonlyArray<A>, key: (one: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const one of all) {
    const name = key(one)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [one])
    else group.push(one)
  }
  return groups
}

const outOfOrder = (firsts: ReadonlyArray<Found>): ReadonlyArray<string> =>
  [...groupBy(firsts, ({ key }) => key)].flatMap(([key, all]) => {
    const wrong: Array<string> = []
    const homes = groupBy(all, ({ lane }) => lane.split("/").slice(0, 2).join("/"))
    for (const [home, there] of homes) {
      const lanes = new Set(there.map(({ lane }) => lane))
      if (lanes.size > 1) wrong.push(`${key} is in ${lanes.size} parts of ${home}: ${[...lanes].join(", ")}`)
    }
    for (let n = 1; n < all.length; n++) {
      if (all[n]!.version <= all[n - 1]!.version) wrong.push(`${named(all[n]!)} came after ${named(all[n - 1]!)}`)
    }
    return wrong
  })

const untrue = ({ accounts, ledger }: History): ReadonlyArray<string> => {
  const entries = groupBy(ledger, ({ key }) => key)
  return accounts.flatMap(({ key, version }) => {
    const versions = (entries.get(key) ?? []).map((one) => one.version).sort((a, b) => a - b)
    return versions.length === version && versions.every((one, n) => one === n + 1)
      ? []
      : [`${key} is at version ${version}, and the ledger has ${versions.length} entries up to ${versions.at(-1) ?? 0}`]
  })
}

const notOnce = (
  { applied, deadLetters }: History,
  firsts: ReadonlyMap<string, Found>
): ReadonlyArray<string> => {
  const letters = new Set(deadLetters.filter(({ where }) => where === "consumer").map(({ id }) => id))
  const effects = groupBy(applied, ({ id }) => id)
  return [
    ...[...firsts.values()].flatMap((one) => {
      const times = effects.get(one.id)?.length ?? 0
      const due = letters.has(one.id) ? 0 : 1
      return times === due ? [] : [`${named(one)} was applied ${times} times in place of ${due}`]
    }),
    ...[...effects.values()].filter(([one]) => !firsts.has(one!.id)).map(([one]) =>
      `${named(one!)} was applied and never delivered`
    )
  ]
}

const appliedOutOfOrder = ({ applied }: History): ReadonlyArray<string> =>
  [...groupBy(applied, ({ key }) => key).values()].flatMap((all) =>
    all.flatMap((one, n) =>
      n > 0 && one.version < all[n - 1]!.version
        ? [`${named(one)} was applied by ${one.consumer} after ${named(all[n - 1]!)} by ${all[n - 1]!.consumer}`]
        : []
    )
  )

const wrongLetters = ({ deadLetters, ledger }: History): ReadonlyArray<string> => {
  const known = new Map(ledger.map((one) => [one.id, one]))
  const places = [{ where: "outbox", kind: "poison" }, { where: "consumer", kind: "deadly" }] as const
  return places.flatMap(({ kind, where }) => {
    const there = new Map(deadLetters.filter((one) => one.where === where).map((one) => [one.id, one.reason]))
    return [
      ...[...there].filter(([id]) => known.get(id)?.kind !== kind).map(([id, reason]) =>
        `${nameOf(known, id)} is a dead letter of the ${where}, and was not planned: ${reason}`
      ),
      ...ledger.filter((one) => one.kind === kind && !there.has(one.id)).map((one) =>
        `${named(one)} was to be a dead letter of the ${where}, and is none`
      )
    ]
  })
}

const isKind = (kind: string): kind is FaultKind => (names as ReadonlyArray<string>).includes(kind)

/** Whether a relay may have had to repeat something then. */
const isExplained = (at: number, { asked, faults }: History): boolean =>
  faults.some(({ from, kind, target, to }) => {
    const repeats = isKind(kind) && isOfRelays(target) && factsOf(kind).repeats
    return (repeats === true || repeats === asked.broker) && from <= at && at <= to + grace
  })

const isOfRelays = (target: string): boolean => !/^(consumer|writer)/.test(target)

/** Whether a process may have ended then: it could not begin, or it had a message that kills. */
const isDue = ({ at, how, process }: History["exits"][number], { faults, ledger }: History): boolean =>
  how === "SIGKILL"
    ? process.startsWith("consumer") && ledger.some((one) => one.kind === "deadly" && one.at <= at)
    : faults.some((fault) => fault.from <= at && at <= fault.to + grace)

/** Those beside which nothing else held up relays. */
const takeoversOf = (faults: ReadonlyArray<Struck>) => {
  const delaying = faults.filter(({ kind, target }) => isKind(kind) && isOfRelays(target) && factsOf(kind).delays)
  return faults.flatMap((fault) => {
    if (fault.kind !== "kill-relay" || fault.refused !== undefined || !((fault.buckets ?? 0) > 0)) return []
    const isAlone = delaying.every((other) =>
      other === fault || other.to + grace < fault.from || other.from > fault.from + takeoverLimit
    )
    return isAlone ? [{ fault, millis: (fault.takenOver ?? Infinity) - fault.from }] : []
  })
}

const recoveriesOf = (
  { applied, faults, ledger }: History,
  firsts: ReadonlyMap<string, Found>
): ReadonlyArray<Recovery> => {
  const ends = new Map(applied.map(({ at, id }) => [id, at]))
  const done = ledger
    // a transaction that stays open commits when it is over, and not when it says
    .filter(({ kind }) => kind === "plain")
    .map(({ at, id }) => ({ at, done: Math.max(firsts.get(id)?.at ?? at, ends.get(id) ?? at) }))
    .sort((a, b) => a.at - b.at)
  const latest = running(done.map((one) => one.done))
  return faults.filter(({ refused }) => refused === undefined).map(({ from, kind, to }) => {
    const before = countUpTo(done, to)
    const since = isKind(kind) && factsOf(kind).lasts[1] > 0 ? to : from
    return { kind, millis: before === 0 ? 0 : Math.max(0, latest[before - 1]! - since) }
  })
}

/** The largest so far, at each place. */
const running = (numbers: ReadonlyArray<number>): ReadonlyArray<number> => {
  let most = -Infinity
  return numbers.map((one) => most = Math.max(most, one))
}

/** How many of what is sorted by time were by then. */
const countUpTo = (all: ReadonlyArray<{ readonly at: number }>, time: number): number => {
  let [low, high] = [0, all.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (all[middle]!.at <= time) low = middle + 1
    else high = middle
  }
  return low
}
