import { OutboxStorage } from "@effect-cqrs/core"
import { Duration } from "effect"
import { message } from "../fixtures.ts"
import type { Nature } from "./history.ts"
import type { Recorder } from "./recorder.ts"

/** How many there are. */
export const buckets = 4

interface Row {
  readonly sequence: bigint
  readonly topic: string
  readonly key: string | undefined
  readonly version: number
  readonly bucket: number
  isVisible: boolean
  isMalformed: boolean
  attempts: number
  availableAt: number | undefined
  dead: "halt" | "skip" | undefined
  /** Delivered, and kept. */
  deliveredAt: number | undefined
}

/** Who owns a bucket, and what speaks against it. */
export interface Lease {
  readonly bucket: number
  readonly relay: bigint | undefined
  readonly deaths: number
  readonly suspect: bigint | undefined
  readonly suspectDeaths: number
}

/**
 * A statement on its way through the server. It begins, which is when it reads what it only reads; and it takes effect at its
 * end, for which it waits until nobody holds what it needs.
 */
export interface Statement<A> {
  /** Relays whose rows it changes: it waits for those who read them with a lock. */
  readonly needs?: ReadonlyArray<bigint>
  readonly begin: () => () => A
}

/** How `settle` looks at the token: as it is, with a look that locks nothing, or not at all. */
export type Fence = "locked" | "looked" | "none"

/**
 * What the databases do that hold an outbox, as the statements of `@effect-cqrs/sql` use them: a sequence is taken before
 * its row is seen, and rows are seen in the order of commits; a read shows one moment; a relay's row that is locked by a
 * settlement is neither renewed nor removed before that has ended.
 */
export class Database {
  private readonly rows = new Map<bigint, Row>()
  private readonly versions = new Map<string, number>()
  private readonly locked = new Set<string>()
  private readonly relays = new Map<bigint, { until: number; readonly process: number }>()
  private leases: ReadonlyArray<Lease> = Array.from({ length: buckets }, (_, bucket) => ({
    bucket,
    relay: undefined,
    deaths: 0,
    suspect: undefined,
    suspectDeaths: 0
  }))
  /** Relays whose rows are read with a lock, and how often. */
  private readonly shared = new Map<bigint, number>()
  private waiters: Array<{ readonly needs: ReadonlyArray<bigint>; readonly run: () => void }> = []
  private lastSequence = 0n
  private lastRelay = 0n
  private redrives = 0

  constructor(private readonly now: () => number, private readonly record: Recorder, private readonly fence: Fence) {}

  // writers

  /** Opens a transaction that stores events. Locked keys are left out: their aggregates are locked by another one. */
  open(events: ReadonlyArray<{ readonly topic: string; readonly key: string | undefined; readonly nature: Nature }>) {
    const names = new Set<string>()
    const opened = events.flatMap(({ key, nature, topic }) => {
      const name = key === undefined ? undefined : `${topic}/${key}`
      if (name !== undefined && !names.has(name)) {
        if (this.locked.has(name)) return []
        names.add(name)
        this.locked.add(name)
      }
      const sequence = ++this.lastSequence
      const version = name === undefined ? 1 : (this.versions.get(name) ?? 0) + 1
      if (name !== undefined) this.versions.set(name, version)
      const row: Row = {
        sequence,
        topic,
        key,
        version,
        bucket: OutboxStorage.bucketOf({ topic, key, id: String(sequence) }, buckets),
        isVisible: false,
        isMalformed: nature._tag === "malformed",
        attempts: 0,
        availableAt: undefined,
        dead: undefined,
        deliveredAt: undefined
      }
      this.rows.set(sequence, row)
      const { bucket } = row
      this.record({ _tag: "Reserved", sequence, topic, key, version, bucket, nature })
      return [{ sequence, bucket: row.bucket, nature, row }]
    })
    const sequences = opened.map(({ sequence }) => sequence)
    const unlock = () => {
      for (const name of names) this.locked.delete(name)
    }
    return {
      opened,
      commit: (wakes: number | undefined) => {
        for (const { row } of opened) row.isVisible = true
        unlock()
        if (sequences.length > 0) this.record({ _tag: "Committed", sequences, wakes })
      },
      rollback: () => {
        for (const { row: { key, sequence, topic } } of opened) {
          this.rows.delete(sequence)
          if (key !== undefined) this.versions.set(`${topic}/${key}`, this.versions.get(`${topic}/${key}`)! - 1)
        }
        unlock()
        if (sequences.length > 0) this.record({ _tag: "RolledBack", sequences })
      }
    }
  }

  // operators

  get dead(): ReadonlyArray<bigint> {
    return [...this.rows.values()].flatMap(({ dead, sequence }) => dead === undefined ? [] : [sequence])
  }

  redrive(sequence: bigint, healed: boolean): void {
    const row = this.rows.get(sequence)!
    row.dead = undefined
    row.attempts = 0
    row.availableAt = undefined
    if (healed) row.isMalformed = false
    this.redrives += 1
    this.record({ _tag: "Redriven", sequence, healed })
  }

  discard(sequence: bigint): void {
    this.rows.delete(sequence)
    this.redrives += 1
    this.record({ _tag: "Discarded", sequence })
  }

  get isWriting(): boolean {
    return [...this.rows.values()].some(({ isVisible }) => !isVisible)
  }

  /** What is pending, but for what a dead letter halts. */
  get pending(): ReadonlyArray<bigint> {
    const halted = new Set(
      [...this.rows.values()].flatMap((row) =>
        row.dead === "halt" && row.key !== undefined ? [`${row.topic}/${row.key}`] : []
      )
    )
    return [...this.rows.values()].flatMap((row) =>
      this.isPending(row) && !halted.has(`${row.topic}/${row.key}`) ? [row.sequence] : []
    )
  }

  private isPending(row: Row): boolean {
    return row.isVisible && row.dead === undefined && row.deliveredAt === undefined
  }

  // relays: the outbox

  private reading<A>(read: () => A): Statement<A> {
    return {
      begin: () => {
        const seen = read()
        return () => seen
      }
    }
  }

  read(
    options: Parameters<OutboxStorage.OutboxStorage["Type"]["read"]>[0]
  ): Statement<ReadonlyArray<OutboxStorage.Entry>> {
    return this.reading(() => {
      const entries: Array<OutboxStorage.Entry> = []
      const counts = new Map<number, number>()
      const ranges = new Map(options.from.map((range) => [range.bucket, range]))
      for (const row of this.rows.values()) {
        if (entries.length >= options.limit) break
        const range = ranges.get(row.bucket)
        if (range === undefined || !this.isPending(row) || row.availableAt !== undefined) continue
        const count = counts.get(row.bucket) ?? 0
        if (
          count >= (range.limit ?? options.limit) || row.sequence <= (range.after ?? 0n) ||
          options.exceptTopics.includes(row.topic) ||
          range.except?.some(({ key, topic }) => key === row.key && topic === row.topic) === true
        ) continue
        counts.set(row.bucket, count + 1)
        entries.push(entryOf(row))
      }
      return entries
    })
  }

  entries(sequences: ReadonlyArray<bigint>): Statement<ReadonlyArray<OutboxStorage.Entry>> {
    return this.reading(() =>
      sequences.flatMap((sequence) => {
        const row = this.rows.get(sequence)
        return row !== undefined && this.isPending(row) ? [entryOf(row)] : []
      }).sort((a, b) => a.sequence < b.sequence ? -1 : 1)
    )
  }

  waiting(some: ReadonlyArray<number>): Statement<ReadonlyArray<OutboxStorage.Waiting>> {
    return this.reading(() =>
      [...this.rows.values()].flatMap((row) => {
        const { availableAt, bucket, dead, key, sequence, topic } = row
        if (!row.isVisible || row.deliveredAt !== undefined || !some.includes(bucket)) return []
        const waits = dead === undefined ? availableAt !== undefined : dead === "halt" && key !== undefined
        const due = dead === undefined ? Duration.millis(Math.max(0, (availableAt ?? 0) - this.now())) : undefined
        return waits ? [{ sequence, bucket, topic, key, due }] : []
      })
    )
  }

  readonly revision = this.reading(() => this.redrives)

  readonly tail = this.reading(() =>
    [...this.rows.values()].reduce((last, row) => row.isVisible && row.sequence > last ? row.sequence : last, 0n)
  )

  settle(token: bigint, process: number, settlements: ReadonlyArray<OutboxStorage.Settlement>, keep: boolean) {
    return {
      begin: () => {
        const isHeld = this.fence === "none" || this.relays.has(token)
        if (isHeld && this.fence === "locked") this.share(token)
        return () => {
          if (!isHeld) {
            this.record({ _tag: "Fenced", token })
            return false
          }
          for (const settlement of settlements) {
            const row = this.rows.get(settlement.sequence)
            if (row === undefined || !this.isPending(row)) continue
            this.change(row, settlement, keep)
            this.record({ _tag: "Settled", token, process, settlement })
          }
          if (this.fence === "locked") this.unshare(token)
          return true
        }
      }
    } satisfies Statement<boolean>
  }

  private change(row: Row, settlement: OutboxStorage.Settlement, keep: boolean): void {
    switch (settlement._tag) {
      case "Delivered": {
        if (keep) row.deliveredAt = this.now()
        else this.rows.delete(row.sequence)
        return
      }
      case "Deferred": {
        row.attempts = settlement.attempts
        row.availableAt = this.now() + Duration.toMillis(settlement.delay)
        return
      }
      case "Dead": {
        row.attempts = settlement.attempts
        row.dead = settlement.policy
      }
    }
  }

  purge(before: number): Statement<number> {
    return {
      begin: () => () => {
        const old = [...this.rows.values()].filter(({ deliveredAt }) =>
          deliveredAt !== undefined && deliveredAt < before
        )
        for (const { sequence } of old) this.rows.delete(sequence)
        return old.length
      }
    }
  }

  // relays: the leases

  register(process: number, term: number): Statement<bigint> {
    return {
      begin: () => () => {
        const token = ++this.lastRelay
        this.relays.set(token, { until: this.now() + term, process })
        this.record({ _tag: "Joined", process, token })
        return token
      }
    }
  }

  renew(token: bigint, term: number): Statement<boolean> {
    return {
      needs: [token],
      begin: () => () => {
        const relay = this.relays.get(token)
        if (relay === undefined || relay.until <= this.now()) return false
        relay.until = this.now() + term
        return true
      }
    }
  }

  readonly living: Statement<ReadonlyArray<{ readonly id: bigint; readonly isAlive: boolean }>> = this.reading(() =>
    [...this.relays].map(([id, { until }]) => ({ id, isAlive: until > this.now() }))
  )

  reap(tokens: ReadonlyArray<bigint>): Statement<void> {
    return {
      needs: tokens,
      begin: () => () => {
        for (const token of tokens) {
          const relay = this.relays.get(token)
          if (relay !== undefined && relay.until <= this.now()) this.supersede(token, "death")
        }
      }
    }
  }

  leave(token: bigint): Statement<void> {
    return { needs: [token], begin: () => () => this.supersede(token, "left") }
  }

  private supersede(token: bigint, by: "death" | "left"): void {
    if (this.relays.delete(token)) this.record({ _tag: "Superseded", token, by })
  }

  readonly owners: Statement<ReadonlyArray<Lease>> = this.reading(() => this.leases)

  /** Changes leases, and says who has them. */
  private changing(change: (lease: Lease) => Lease): Statement<void> {
    return {
      begin: () => () => {
        this.leases = this.leases.map(change)
      }
    }
  }

  claim(token: bigint, some: ReadonlyArray<number>, gone: ReadonlyArray<bigint>): Statement<void> {
    return this.changing((lease) => {
      const { bucket, deaths, relay, suspect, suspectDeaths } = lease
      if (!some.includes(bucket) || (relay !== undefined && !gone.includes(relay))) return lease
      const died = relay === undefined ? 0 : 1
      const isBlamed = died === 1 && suspect !== undefined
      if (isBlamed) this.record({ _tag: "Blamed", sequence: suspect })
      this.record({ _tag: "Claimed", token, bucket })
      return { ...lease, relay: token, deaths: deaths + died, suspectDeaths: suspectDeaths + (isBlamed ? 1 : 0) }
    })
  }

  release(token: bigint, some: ReadonlyArray<number>): Statement<void> {
    return this.changing((lease) => {
      if (lease.relay !== token || !some.includes(lease.bucket)) return lease
      this.record({ _tag: "Released", token, bucket: lease.bucket })
      return { ...lease, relay: undefined }
    })
  }

  acquit(token: bigint, some: ReadonlyArray<number>): Statement<void> {
    return this.changing((lease) =>
      lease.relay === token && some.includes(lease.bucket)
        ? { ...lease, deaths: 0, suspect: undefined, suspectDeaths: 0 }
        : lease
    )
  }

  suspect(token: bigint, bucket: number, sequence: bigint | undefined): Statement<boolean> {
    return {
      begin: () => () => {
        const lease = this.leases[bucket]!
        if (lease.relay !== token || !this.relays.has(token)) return false
        const suspectDeaths = lease.suspect === sequence ? lease.suspectDeaths : 0
        this.leases = this.leases.map((one) => one === lease ? { ...lease, suspect: sequence, suspectDeaths } : one)
        return true
      }
    }
  }

  // locks

  /** Lets a statement take effect, once nobody holds what it needs. */
  whenFree(needs: ReadonlyArray<bigint>, run: () => void): void {
    if (needs.some((token) => this.shared.has(token))) this.waiters.push({ needs, run })
    else run()
  }

  private share(token: bigint): void {
    this.shared.set(token, (this.shared.get(token) ?? 0) + 1)
  }

  private unshare(token: bigint): void {
    const others = this.shared.get(token)! - 1
    if (others > 0) {
      this.shared.set(token, others)
      return
    }
    this.shared.delete(token)
    const { waiters } = this
    this.waiters = []
    for (const { needs, run } of waiters) this.whenFree(needs, run)
  }
}

const entryOf = ({ attempts, bucket, isMalformed, key, sequence, topic }: Row): OutboxStorage.Entry => ({
  sequence,
  bucket,
  attempts,
  message: message({ topic, key, sequence, id: String(sequence), payload: new Uint8Array(1) }),
  ...(isMalformed ? { malformed: "It is not a message" } : {})
})
