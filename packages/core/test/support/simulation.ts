import type { BucketOwner } from "@effect-cqrs/core"
import { Broker, OutboxStorage, Wake } from "@effect-cqrs/core"
import { Duration, Effect, type Scope } from "effect"
import { message } from "../fixtures.ts"

/** A row of the simulated outbox, with all that ever happened to it. */
export interface Row {
  readonly sequence: bigint
  readonly topic: string
  readonly key: string
  readonly bucket: number
  isVisible: boolean
  attempts: number
  availableAt: number | undefined
  dead: "halt" | "skip" | undefined
  isGone: boolean
  isDiscarded: boolean
  wasSkipped: boolean
  /** Verdicts on it that may count as attempts, since it was committed or redriven. */
  verdicts: number
  refusals: number
  /** Deaths of its process while it was alone in flight. */
  deaths: number
}

/** What a statement does beside its work: it fails before or after it, or takes its time before or after it. */
export type Fault = "none" | "before" | "after" | "slow" | "late"

/** What the broker makes of a key: `culprit` takes its topic's whole batch along, `lone` is refused by itself. */
export type Health = "well" | "rejected" | "lone" | "culprit" | "part"

/** A process with a relay, as the simulation sees it. */
export interface Process {
  readonly ports: {
    readonly storage: OutboxStorage.OutboxStorage["Type"]
    readonly broker: Broker.Broker["Type"]
    readonly owner: BucketOwner.BucketOwner["Type"]
  }
  /** Its statements and renewals stand still until it is continued; what it sent before may still arrive. */
  isFrozen: boolean
  /** It is gone: nothing it does has an effect, and nothing answers it. */
  isKilled: boolean
  readonly inFlight: Set<Row>
  /** With its next settlement it is frozen for so long; that then meets a fault. */
  stall: { readonly millis: number; readonly fault: Fault } | undefined
  faults: ReadonlyArray<Fault>
}

const buckets = 4
const term = 4000
/** The database trusts a lease longer than the relay does. */
const margin = 1000

export const maxLoneFailures = 3
export const maxDeaths = 2

/**
 * A database, a broker and processes around the real relay, on a virtual clock. What must never happen is written down in
 * `violations` as it happens.
 */
export class Simulation {
  readonly rows = new Map<bigint, Row>()
  readonly delivered: Array<Row> = []
  readonly violations: Array<string> = []
  readonly health = new Map<string, Health>()
  readonly topicsOut = new Set<string>()
  broker: "well" | "out" | "hangs" = "well"
  private last = 0n
  private tokens = 0n
  private revision = 0
  private readonly leases: Array<{
    readonly bucket: number
    token: bigint
    deaths: number
    suspect: bigint | undefined
    suspectDeaths: number
  }> = Array.from({ length: buckets }, (_, bucket) => ({
    bucket,
    token: 0n,
    deaths: 0,
    suspect: undefined,
    suspectDeaths: 0
  }))
  private readonly members = new Map<bigint, { until: number; readonly process: Process }>()
  private readonly firsts = new Map<string, bigint>()

  constructor(private readonly now: () => number, readonly arrivals: Wake.Wake, private readonly moves: Wake.Wake) {}

  get pending(): ReadonlyArray<Row> {
    return [...this.rows.values()].filter((row) => this.isPending(row))
  }

  get dead(): ReadonlyArray<Row> {
    return [...this.rows.values()].filter(({ dead, isGone }) => dead !== undefined && !isGone)
  }

  private isPending = (row: Row): boolean => row.isVisible && !row.isGone && row.dead === undefined

  /** Takes a sequence; the row is seen once `show` was called. A key has one such row at a time: it is locked. */
  insert(topic: string, key: string): Row | undefined {
    if ([...this.rows.values()].some((row) => !row.isVisible && row.key === key && row.topic === topic)) {
      return undefined
    }
    const row: Row = {
      sequence: ++this.last,
      topic,
      key,
      bucket: OutboxStorage.bucketOf({ topic, key, id: "" }, buckets),
      isVisible: false,
      attempts: 0,
      availableAt: undefined,
      dead: undefined,
      isGone: false,
      isDiscarded: false,
      wasSkipped: false,
      verdicts: 0,
      refusals: 0,
      deaths: 0
    }
    this.rows.set(row.sequence, row)
    return row
  }

  show(row: Row): void {
    row.isVisible = true
  }

  redrive(row: Row): void {
    row.dead = undefined
    row.attempts = 0
    row.availableAt = undefined
    row.verdicts = 0
    row.refusals = 0
    row.deaths = 0
    this.revision += 1
  }

  discard(row: Row): void {
    row.isGone = true
    row.isDiscarded = true
    this.revision += 1
  }

  /** Ends the leases that have run out, and shares the buckets out among those that are left. */
  readonly rebalance: Effect.Effect<void> = Effect.suspend(() => {
    for (const [token, { process, until }] of [...this.members]) {
      if (until <= this.now()) this.supersede(token, process)
    }
    return this.moves.signal
  })

  /** A token ends; if its process died, that speaks against what it held. */
  private supersede(token: bigint, died: Process | undefined): void {
    this.members.delete(token)
    if (died?.inFlight.size === 1) { for (const row of died.inFlight) row.deaths += 1 }
    for (const lease of this.leases) {
      if (lease.token !== token) continue
      lease.token = 0n
      if (died === undefined) continue
      lease.deaths += 1
      if (lease.suspect !== undefined) lease.suspectDeaths += 1
    }
  }

  kill(process: Process): void {
    process.isKilled = true
    for (const [token, member] of [...this.members]) if (member.process === process) this.supersede(token, process)
  }

  private claim(token: bigint): void {
    const share = Math.ceil(buckets / Math.max(1, this.members.size))
    for (const lease of this.leases) {
      const own = this.leases.filter((one) => one.token === token).length
      if (lease.token === 0n && own < share) lease.token = token
    }
  }

  private surplusOf(token: bigint): ReadonlyArray<number> {
    const share = Math.ceil(buckets / Math.max(1, this.members.size))
    return this.leases.filter((one) => one.token === token).slice(share).map(({ bucket }) => bucket)
  }

  /** A process with its own view of the database, the broker and its leases. */
  process(): Process {
    const never = Effect.never as Effect.Effect<never>
    const statement = <A>(work: () => A): Effect.Effect<A, OutboxStorage.StorageError> =>
      Effect.suspend(() => {
        if (self.isKilled) return never
        if (self.isFrozen) return Effect.zipRight(Effect.sleep(100), Effect.suspend(() => statement(work)))
        const [fault = "none", ...faults] = self.faults
        self.faults = faults
        const done = Effect.suspend(() => self.isKilled ? never : Effect.sync(work))
        const gone = new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })
        switch (fault) {
          case "none":
            return done
          case "before":
            return Effect.fail(gone)
          case "after":
            return Effect.zipRight(done, Effect.fail(gone))
          case "slow":
            return Effect.zipRight(Effect.sleep(700), done)
          case "late":
            return Effect.zipLeft(done, Effect.sleep(700))
        }
      })

    let token = 0n
    let trustedUntil = 0
    /** What it has seen delivered under which token. */
    const acknowledged = new Map<bigint, bigint>()

    const register = (): void => {
      token = ++this.tokens
      const until = this.now() + term
      trustedUntil = until - margin
      this.members.set(token, { until, process: self })
    }
    const beat = Effect.suspend(() => {
      if (self.isKilled) return never
      if (self.isFrozen) return Effect.void
      const member = this.members.get(token)
      if (member === undefined) register()
      else {
        member.until = this.now() + term
        trustedUntil = member.until - margin
      }
      this.claim(token)
      return this.rebalance
    })

    const owner: BucketOwner.BucketOwner["Type"] = {
      join: Effect.gen(this, function*() {
        register()
        this.claim(token)
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => self.isKilled ? undefined : this.supersede(token, undefined))
        )
        yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(1000), beat)))
        const membership: BucketOwner.Membership = {
          holding: Effect.suspend(() =>
            self.isKilled ? never : Effect.sync(() => {
              const own = this.leases.filter((lease) => lease.token === token)
              return {
                token,
                buckets: own.map(({ bucket }) => bucket),
                surplus: this.surplusOf(token),
                suspicions: new Map(
                  own.filter(({ deaths }) => deaths > 0).map((lease) => [lease.bucket, {
                    deaths: lease.deaths,
                    suspect: lease.suspect === undefined
                      ? undefined
                      : { sequence: lease.suspect, deaths: lease.suspectDeaths }
                  }])
                ),
                trustedUntil: BigInt(trustedUntil) * 1_000_000n
              }
            })
          ),
          changes: this.moves,
          release: (some) =>
            Effect.zipRight(
              statement(() => {
                for (const lease of this.leases) {
                  if (lease.token === token && some.includes(lease.bucket)) lease.token = 0n
                }
              }),
              this.moves.signal
            ),
          suspect: (bucket, sequence) =>
            statement(() => {
              const lease = this.leases[bucket]!
              if (!this.members.has(token) || lease.token !== token) return false
              if (lease.suspect !== sequence) lease.suspectDeaths = 0
              lease.suspect = sequence
              return true
            }),
          acquit: (some) =>
            statement(() => {
              for (const lease of this.leases) {
                if (lease.token === token && some.includes(lease.bucket)) {
                  lease.deaths = 0
                  lease.suspect = undefined
                  lease.suspectDeaths = 0
                }
              }
            })
        }
        return membership
      }) as Effect.Effect<BucketOwner.Membership, never, Scope.Scope>
    }

    const untilAnswered: Effect.Effect<void> = Effect.suspend(() =>
      this.broker === "hangs" ? Effect.zipRight(Effect.sleep(200), untilAnswered) : self.isKilled ? never : Effect.void
    )

    const broker: Broker.Broker["Type"] = {
      publish: (batch) =>
        Effect.suspend(() => {
          if (this.now() >= trustedUntil) this.violations.push(`a publish began at ${this.now()}, outside the window`)
          if (self.isKilled) return never
          const rows = batch.map(({ sequence }) => this.rows.get(sequence!)!)
          for (const row of rows) self.inFlight.add(row)
          return Effect.ensuring(
            Effect.zipRight(
              Effect.sleep(5),
              Effect.suspend(() => self.isKilled ? never : Effect.map(untilAnswered, () => this.take(rows)))
            ),
            Effect.sync(() => {
              for (const row of rows) self.inFlight.delete(row)
            })
          )
        }).pipe(Effect.tap((outcomes) => {
          outcomes.forEach((outcome, n) => {
            if (outcome._tag === "Delivered") acknowledged.set(batch[n]!.sequence!, token)
          })
        })),
      consume: () => Effect.die("nobody consumes here"),
      sift: () => Effect.die("nobody consumes here")
    }

    const storage: OutboxStorage.OutboxStorage["Type"] = {
      buckets,
      arrivals: this.arrivals,
      append: () => Effect.die("commits are made by the simulation"),
      read: ({ exceptTopics, from, limit, maxBytes }) =>
        statement(() => {
          const found: Array<OutboxStorage.Entry> = []
          const counts = new Map<number, number>()
          let bytes = 0
          for (const row of this.rows.values()) {
            if (found.length >= limit || bytes >= maxBytes) break
            const range = from.find(({ bucket }) => bucket === row.bucket)
            const count = counts.get(row.bucket) ?? 0
            if (
              range === undefined || count >= (range.limit ?? limit) || row.sequence <= (range.after ?? 0n) ||
              !this.isPending(row) || row.availableAt !== undefined || exceptTopics.includes(row.topic) ||
              (range.except ?? []).some(({ key, topic }) => key === row.key && topic === row.topic)
            ) continue
            counts.set(row.bucket, count + 1)
            found.push(entryOf(row))
            bytes += 1
          }
          return found
        }),
      pending: (sequences) =>
        statement(() =>
          sequences.flatMap((sequence) => {
            const row = this.rows.get(sequence)
            return row !== undefined && this.isPending(row) ? [entryOf(row)] : []
          })
        ),
      waiting: (some) =>
        statement(() =>
          [...this.rows.values()].flatMap((row) => {
            const waits = !row.isGone && some.includes(row.bucket) &&
              (row.dead === "halt" || (row.dead === undefined && row.availableAt !== undefined))
            if (!waits) return []
            const { bucket, key, sequence, topic } = row
            const due = row.dead === undefined ? Duration.millis(Math.max(0, row.availableAt! - this.now())) : undefined
            return [{ sequence, bucket, topic, key, due }]
          })
        ),
      revision: statement(() => this.revision),
      tail: statement(() =>
        [...this.rows.values()].reduce((max, row) => row.isVisible && row.sequence > max ? row.sequence : max, 0n)
      ),
      settle: (own, settlements) =>
        Effect.suspend(() => {
          const { stall } = self
          if (stall !== undefined) {
            self.stall = undefined
            self.isFrozen = true
            self.faults = [stall.fault, stall.fault, stall.fault, stall.fault, ...self.faults]
          }
          const settle = statement(() => {
            if (!this.members.has(own)) return false
            for (const settlement of settlements) this.settle(own, settlement, acknowledged)
            return true
          })
          return stall === undefined ? settle : Effect.zipRight(
            Effect.forkDaemon(Effect.delay(Effect.sync(() => self.isFrozen = false), stall.millis)),
            settle
          )
        }),
      purge: () => Effect.succeed(0),
      statistics: Effect.die("nobody asks"),
      deadLetters: () => Effect.succeed([]),
      deadLetterCounts: () => Effect.succeed([]),
      redrive: () => Effect.die("redriven by the simulation"),
      discard: () => Effect.die("discarded by the simulation")
    }

    const self: Process = {
      ports: { storage, broker, owner },
      isFrozen: false,
      isKilled: false,
      inFlight: new Set(),
      stall: undefined,
      faults: []
    }
    return self
  }

  private settle(
    own: bigint,
    settlement: OutboxStorage.Settlement,
    acknowledged: ReadonlyMap<bigint, bigint>
  ): void {
    const row = this.rows.get(settlement.sequence)
    if (row === undefined || !this.isPending(row)) return
    const holder = this.leases[row.bucket]!.token
    if (holder !== own) this.violations.push(`${row.sequence} was settled by ${own}, and belonged to ${holder}`)
    if (settlement._tag === "Delivered") {
      if (acknowledged.get(row.sequence) !== own) {
        this.violations.push(`${row.sequence} was settled under ${own}, which had not delivered it`)
      }
      row.isGone = true
      return
    }
    const verdicts = row.verdicts + Math.floor(row.refusals / maxLoneFailures)
    if (settlement.attempts > verdicts) {
      this.violations.push(`${row.sequence} has ${settlement.attempts} attempts for ${verdicts} verdicts`)
    }
    if (settlement._tag === "Dead" && settlement.reason.includes("died") && row.deaths < maxDeaths) {
      this.violations.push(`${row.sequence} died for ${row.deaths} deaths of its process`)
    }
    row.attempts = settlement.attempts
    if (settlement._tag === "Deferred") row.availableAt = this.now() + Duration.toMillis(settlement.delay)
    else {
      row.dead = settlement.policy
      row.wasSkipped ||= settlement.policy === "skip"
    }
  }

  /** What the broker makes of a batch. */
  private take(rows: ReadonlyArray<Row>): ReadonlyArray<Broker.Outcome> {
    const retriable = (scope: "broker" | "destination" | "part") => Broker.Outcome.Retriable({ scope, reason: "out" })
    const of = (row: Row): Health => this.health.get(`${row.topic}/${row.key}`) ?? "well"
    const spoilt = new Set(rows.flatMap((row) => of(row) === "culprit" ? [row.topic] : []))
    const failed = new Set<string>()
    return rows.map((row) => {
      if (this.broker === "out") return retriable("broker")
      const name = `${row.topic}/${row.key}`
      if (failed.has(name)) return retriable("destination")
      const isOut = this.topicsOut.has(row.topic)
      const health = of(row)
      if (!isOut && !spoilt.has(row.topic) && health === "well") {
        this.deliver(row)
        return Broker.Outcome.Delivered()
      }
      failed.add(name)
      if (isOut) return retriable("destination")
      if (health === "rejected" && !spoilt.has(row.topic)) {
        row.verdicts += 1
        return Broker.Outcome.Rejected({ reason: "malformed" })
      }
      if (health === "part") return retriable("part")
      if (health === "lone" || health === "culprit") row.refusals += 1
      return retriable("destination")
    })
  }

  private deliver(row: Row): void {
    if (!row.isVisible) this.violations.push(`${row.sequence} was delivered before it was committed`)
    if (row.isDiscarded) this.violations.push(`${row.sequence} was delivered after it was discarded`)
    if (!this.delivered.includes(row)) {
      const name = `${row.topic}/${row.key}`
      const before = this.firsts.get(name) ?? 0n
      if (row.sequence < before && !row.wasSkipped) this.violations.push(`${row.sequence} was overtaken by ${before}`)
      if (row.sequence > before) this.firsts.set(name, row.sequence)
      if (!row.wasSkipped) {
        for (const one of this.rows.values()) {
          const isBefore = one.topic === row.topic && one.key === row.key && one.sequence < row.sequence
          if (!isBefore || one.wasSkipped || one.isDiscarded || this.delivered.includes(one)) continue
          this.violations.push(`${one.sequence} was overtaken by ${row.sequence}`)
        }
      }
    }
    this.delivered.push(row)
  }
}

export const makeSimulation = (now: () => number): Effect.Effect<Simulation> =>
  Effect.zipWith(Wake.make, Wake.make, (arrivals, moves) => new Simulation(now, arrivals, moves))

const entryOf = ({ attempts, bucket, key, sequence, topic }: Row): OutboxStorage.Entry => ({
  sequence,
  bucket,
  attempts,
  message: message({ topic, key, sequence, id: String(sequence), payload: new Uint8Array(1) })
})
