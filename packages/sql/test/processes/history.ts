/** An event as a committed transaction wrote it into the ledger. */
export interface Announced {
  readonly id: string
  readonly key: string
  readonly version: number
}

/** An event as a broker took it from a relay. */
export interface Delivered extends Announced {
  readonly relay: string
}

/** What processes did to one database, when all is quiet. */
export interface History {
  readonly ledger: ReadonlyArray<Announced>
  /** In the order in which the broker took them. */
  readonly deliveries: ReadonlyArray<Delivered>
  /** Relays that were killed or stopped: they may have repeated something, and others what was theirs. */
  readonly disturbed: ReadonlyArray<string>
  readonly deadLetters: ReadonlyArray<{ readonly id: string; readonly reason: string }>
  /** Events that were dead letters and were given up on purpose. */
  readonly discarded?: ReadonlyArray<string> | undefined
  /** The deliveries, by their places, while all of some relays were up and had work. */
  readonly shared?: {
    readonly relays: ReadonlyArray<string>
    readonly from: number
    readonly to: number
  } | undefined
}

export interface Violation {
  readonly rule: "lost" | "invented" | "order" | "duplicate" | "deadLetter" | "share"
  readonly message: string
}

/** No relay may have delivered more than this many times what another has. */
const fairness = 2

/** Fewer deliveries of a relay say nothing about its share. */
const leastForShares = 50

/**
 * Which promises of the relay a history breaks: nothing lost, nothing invented, first deliveries of a key in the order of
 * its versions, repetitions only where a relay was disturbed, no dead letters, work shared.
 */
export const judge = (history: History): ReadonlyArray<Violation> => [
  ...lost(history),
  ...invented(history),
  ...outOfOrder(history),
  ...duplicates(history),
  ...history.deadLetters.map(({ id, reason }): Violation => ({
    rule: "deadLetter",
    message: `${id} is a dead letter: ${reason}`
  })),
  ...unfair(history)
]

const lost = ({ deadLetters, deliveries, discarded = [], ledger }: History): ReadonlyArray<Violation> => {
  const accounted = new Set([...deliveries.map(idOf), ...deadLetters.map(idOf), ...discarded])
  const missing = ledger.filter(({ id }) => !accounted.has(id))
  return missing.length === 0 ? [] : [{
    rule: "lost",
    message: `${missing.length} of ${ledger.length} events were never delivered: ${few(missing.map(named))}`
  }]
}

const invented = ({ deliveries, ledger }: History): ReadonlyArray<Violation> => {
  const known = new Map(ledger.map((one) => [one.id, one]))
  const strange = deliveries.filter(({ id, key, version }) => {
    const one = known.get(id)
    return one === undefined || one.key !== key || one.version !== version
  })
  return strange.length === 0 ? [] : [{
    rule: "invented",
    message: `${strange.length} deliveries are of no committed event: ${few(strange.map(placed))}`
  }]
}

const outOfOrder = ({ deliveries }: History): ReadonlyArray<Violation> => {
  const seen = new Set<string>()
  const latest = new Map<string, Delivered>()
  return deliveries.flatMap((one): ReadonlyArray<Violation> => {
    if (seen.has(one.id)) return []
    seen.add(one.id)
    const before = latest.get(one.key)
    if (before === undefined || before.version < one.version) {
      latest.set(one.key, one)
      return []
    }
    return [{ rule: "order", message: `${placed(one)} came after ${placed(before)}` }]
  })
}

/** Of the deliveries of an event one is due; each other one takes a relay that was disturbed. */
const duplicates = ({ deliveries, disturbed }: History): ReadonlyArray<Violation> => {
  const excused = new Set(disturbed)
  const byId = new Map<string, Array<Delivered>>()
  for (const one of deliveries) {
    const others = byId.get(one.id)
    if (others === undefined) byId.set(one.id, [one])
    else others.push(one)
  }
  return [...byId.values()].flatMap((all): ReadonlyArray<Violation> =>
    all.filter(({ relay }) => !excused.has(relay)).length < 2 ? [] : [{
      rule: "duplicate",
      message: `${named(all[0]!)} was delivered ${all.length} times, by ${all.map(({ relay }) => relay).join(", ")}`
    }]
  )
}

const unfair = ({ deliveries, shared }: History): ReadonlyArray<Violation> => {
  if (shared === undefined) return []
  const counts = new Map(shared.relays.map((relay) => [relay, 0]))
  for (const { relay } of deliveries.slice(shared.from, shared.to)) counts.set(relay, (counts.get(relay) ?? 0) + 1)
  const [least, most] = [Math.min(...counts.values()), Math.max(...counts.values())]
  return least >= leastForShares && most <= least * fairness ? [] : [{
    rule: "share",
    message: `the relays delivered ${[...counts].map(([relay, count]) => `${relay} ${count}`).join(", ")}: ` +
      `each should have at least ${leastForShares}, and none more than ${fairness} times another`
  }]
}

const idOf = ({ id }: { readonly id: string }): string => id

const named = ({ id, key, version }: Announced): string => `${key} v${version} (${id})`

const placed = (one: Delivered): string => `${named(one)} by ${one.relay}`

const few = (all: ReadonlyArray<string>): string =>
  all.length <= 10 ? all.join(", ") : `${all.slice(0, 10).join(", ")} and ${all.length - 10} more`
