import { Broker, BucketOwner, type Message, OutboxStorage, Relay, Wake } from "@effect-cqrs/core"
import { Duration, Effect, Exit, Fiber, Layer, Random, Schedule, Scope } from "effect"
import { quiet } from "../fixtures.ts"
import { noConsumers, retriable, type SimulatedBroker } from "./broker.ts"
import { buckets, type Database, type Statement } from "./database.ts"
import type { FaultKind } from "./history.ts"
import type { Loop } from "./loop.ts"
import { Process } from "./loop.ts"
import { type Hand, makeOwner } from "./owner.ts"
import type { Recorder } from "./recorder.ts"
import type { Schedule as Plan, StepFault, StepKind } from "./schedule.ts"

/** The services of one process. */
export interface Ports {
  readonly storage: OutboxStorage.OutboxStorage["Type"]
  readonly owner: BucketOwner.BucketOwner["Type"]
  readonly broker: Broker.Broker["Type"]
}

/** What all processes stand on. */
export interface Ground {
  readonly loop: Loop
  readonly database: Database
  readonly broker: SimulatedBroker
  readonly record: Recorder
  readonly plan: Plan
  readonly options: Relay.Options
  readonly lease: number
  readonly beat: number
  /** What a process is given in place of its services. */
  readonly change: (ports: Ports) => Ports
  /** A process has died by itself. */
  readonly died: (machine: Machine) => void
  /** Says what a step of a slot meets. */
  readonly meets: (slot: number, kind: StepKind) => StepFault | undefined
}

const gone = new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })

/** A process with a relay, and its connections to the database and the broker. */
export class Machine {
  readonly process: Process
  readonly hand: Hand = { token: 0n, trustedUntil: 0, regainedAt: undefined, leases: [], surplus: [] }
  private readonly arrivals = Effect.runSync(Wake.make)
  private scope: Scope.CloseableScope | undefined
  private starting: Fiber.RuntimeFiber<unknown, unknown> | undefined
  private isStopping = false
  /** What it has sent and has not arrived yet never arrives. */
  private isCutOff = false
  private isOver = false

  constructor(private readonly ground: Ground, readonly id: number, readonly slot: number) {
    this.process = new Process(ground.loop, ground.plan.operations)
  }

  /** Starts the relay, again and again until it has come up. */
  start(): void {
    const { options, record } = this.ground
    const ports = this.ground.change({ storage: this.storage(), owner: this.owner(), broker: this.broker() })
    const layer = Relay.layer(options).pipe(
      Layer.provide(Layer.succeed(OutboxStorage.OutboxStorage, ports.storage)),
      Layer.provide(Layer.succeed(Broker.Broker, ports.broker)),
      Layer.provide(Layer.succeed(BucketOwner.BucketOwner, ports.owner))
    )
    const once = Effect.flatMap(Scope.make(), (scope) =>
      Effect.onExit(Layer.buildWithScope(layer, scope), (exit) => {
        if (Exit.isFailure(exit)) return Scope.close(scope, exit)
        this.scope = scope
        return Effect.void
      }))
    record({ _tag: "Started", process: this.id })
    this.starting = this.run(Effect.retry(once, Schedule.spaced("200 millis")))
  }

  get isRunning(): boolean {
    return this.scope !== undefined && !this.isStopping && this.process.state !== "dead"
  }

  get isAlive(): boolean {
    return this.process.state !== "dead" && !this.isStopping
  }

  /** Ends it well. */
  stop(): void {
    this.isStopping = true
    this.ground.record({ _tag: "Stopping", process: this.id })
    this.run(Scope.close(this.scope!, Exit.void))
  }

  kill(arrives: boolean): void {
    if (this.process.state === "dead") return
    this.process.kill()
    this.isCutOff = !arrives
    this.ground.record({ _tag: "Killed", process: this.id })
  }

  freeze(millis: number): void {
    const { loop, record } = this.ground
    record({ _tag: "Fault", kind: "freeze", process: this.id, until: loop.now + millis })
    this.process.freeze()
    loop.after(millis, () => this.process.thaw())
  }

  signal(some: ReadonlyArray<number>): void {
    Effect.runSync(this.arrivals.signalFor(some))
  }

  signalAll(): void {
    Effect.runSync(this.arrivals.signal)
  }

  /** Interrupts what is left of it when the simulation is over. */
  dispose(): void {
    this.isOver = true
    this.process.revive()
    const { scope, starting } = this
    if (starting !== undefined) this.run(Fiber.interrupt(starting))
    if (scope !== undefined) this.run(Scope.close(scope, Exit.void))
  }

  private run<A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> {
    const { loop, plan } = this.ground
    return Effect.runFork(
      effect.pipe(
        Effect.provide(quiet),
        Effect.withRandom(Random.make(plan.seed)),
        Effect.withClock(loop.clock)
      ),
      { scheduler: this.process }
    )
  }

  // steps

  private latency(): number {
    return 1 + this.ground.loop.below(3)
  }

  /** What a step meets; a process that is to stop or to die with it does so once it is sent. */
  private step(kind: StepKind): StepFault | undefined {
    const { died, loop, meets, record } = this.ground
    const fault = meets(this.slot, kind)
    if (fault === undefined) return undefined
    const { delays: { held, late, slow } } = fault
    if (fault._tag === "freeze") loop.afterTasks(() => this.freeze(fault.millis))
    else if (fault._tag === "crash") {
      loop.afterTasks(() => {
        this.kill(fault.arrives)
        died(this)
      })
    }
    const fate = kindOf(kind, fault)
    if (fate !== undefined) {
      record({ _tag: "Fault", kind: fate, process: this.id, until: loop.now + late + held + slow })
    }
    return fault
  }

  private send = (kind: StepKind) => <A>(statement: Statement<A>): Effect.Effect<A, OutboxStorage.StorageError> =>
    Effect.async((resume) => {
      if (this.isOver) return resume(Effect.fail(gone))
      const { database, loop } = this.ground
      const fault = this.step(kind)
      const { held, late, slow } = fault?.delays ?? { held: 0, late: 0, slow: 0 }
      const answer = (result: Effect.Effect<A, OutboxStorage.StorageError>) =>
        void loop.after(this.latency() + slow, () => resume(result))
      const fails = fault?._tag === "fails" ? fault : undefined
      if (fails !== undefined) answer(Effect.fail(gone))
      if (fails?.effect === "none") return
      loop.after(this.latency() + late, () => {
        if (this.isCutOff) return
        const finish = statement.begin()
        loop.after(loop.below(2) + held, () =>
          database.whenFree(statement.needs ?? [], () => {
            const value = finish()
            if (fails === undefined) answer(Effect.succeed(value))
          }))
      })
    })

  // services

  private storage(): Ports["storage"] {
    const { database, loop } = this.ground
    const read = this.send("read")
    return {
      buckets,
      arrivals: this.arrivals,
      append: () => Effect.die("transactions are made by the schedule"),
      read: (options) => read(database.read(options)),
      pending: (sequences) => read(database.entries(sequences)),
      waiting: (some) => read(database.waiting(some)),
      revision: Effect.suspend(() => read(database.revision)),
      tail: Effect.suspend(() => read(database.tail)),
      settle: (token, settlements, options) =>
        this.send("settle")(database.settle(token, this.id, settlements, options?.keep === true)),
      purge: ({ olderThan }) => read(database.purge(loop.now - Duration.toMillis(olderThan))),
      purgeable: () => Effect.die("nobody asks"),
      statistics: Effect.die("nobody asks"),
      backlog: () => Effect.die("nobody asks"),
      backlogCounts: Effect.die("nobody asks"),
      deadLetters: () => Effect.die("nobody asks"),
      deadLetterCounts: () => Effect.die("nobody asks"),
      redrive: () => Effect.die("nobody asks"),
      discard: () => Effect.die("nobody asks")
    }
  }

  private owner(): Ports["owner"] {
    const { beat, database, lease } = this.ground
    return makeOwner({ database, process: this.id, send: this.send("lease"), hand: this.hand, lease, beat })
  }

  private broker(): Ports["broker"] {
    return {
      ...noConsumers,
      publish: (batch) =>
        Effect.suspend(() => {
          if (this.isOver) return Effect.never
          const { broker, died, record } = this.ground
          const publish = broker.nextPublish()
          const { token, trustedUntil } = this.hand
          const held = new Set(this.hand.leases.map(({ bucket }) => bucket))
          record({
            _tag: "Published",
            publish,
            process: this.id,
            token,
            trustedUntil,
            sequences: batch.map(({ sequence }) => sequence!),
            unheld: batch.flatMap((one) => held.has(OutboxStorage.bucketOf(one, buckets)) ? [] : [one.sequence!])
          })
          if (batch.some(({ sequence }) => broker.nature(sequence!)._tag === "killer")) {
            this.kill(true)
            died(this)
            return Effect.never
          }
          return this.ask(publish, batch).pipe(
            Effect.tap((outcomes) =>
              Effect.sync(() => {
                const inTime = !this.hasRunOut(token)
                record({ _tag: "Answered", publish, outcomes: outcomes.map(({ _tag }) => _tag), inTime })
              })
            ),
            Effect.onInterrupt(() =>
              Effect.sync(() => {
                const allowed = this.isStopping || this.hasRunOut(token)
                if (!this.isOver) record({ _tag: "Cut", publish, allowed })
              })
            )
          )
        })
    }
  }

  /** Whether a publish under a token may be given up at this moment. */
  private hasRunOut(token: bigint): boolean {
    const { hand, ground: { loop: { now } } } = this
    return token !== hand.token || now >= hand.trustedUntil || now === hand.regainedAt
  }

  private ask(publish: number, batch: ReadonlyArray<Message.Message>) {
    return Effect.async<ReadonlyArray<Broker.Outcome>>((resume) => {
      const { broker, loop } = this.ground
      const fault = this.step("publish")
      const { held, late, slow } = fault?.delays ?? { held: 0, late: 0, slow: 0 }
      const answer = (outcomes: ReadonlyArray<Broker.Outcome>) =>
        void loop.after(this.latency() + slow + held, () => resume(Effect.succeed(outcomes)))
      const fails = fault?._tag === "fails" ? fault : undefined
      if (fails !== undefined) answer(batch.map(() => retriable("broker")))
      if (fails?.effect === "none") return
      const arriving = fails?.effect === "part" ? batch.slice(0, Math.ceil(batch.length / 2)) : batch
      loop.after(this.latency() + late, () => {
        if (this.isCutOff) return
        broker.arrive(publish, arriving, (outcomes) => {
          if (fails === undefined) answer(outcomes)
        })
      })
    })
  }
}

const kindOf = (kind: StepKind, { _tag, delays: { held, late, slow }, ...rest }: StepFault): FaultKind | undefined => {
  const step = kind === "publish" ? "publish" : "statement"
  if ("effect" in rest) return `${step} ${rest.effect === "none" ? "failed" : "unknown"}`
  if (held > 0 && step === "statement") return "statement held"
  return held + late + slow > 0 ? `${step} delayed` : undefined
}
