import { Clock, Duration, Effect, type Scheduler } from "effect"
import { PCGRandom } from "effect/Utils"

interface Timer {
  readonly at: number
  readonly fire: () => void
  isCancelled: boolean
}

/** So many tasks run without time passing, unless something is spinning. */
const tasksPerInstant = 100_000

/**
 * The only source of time and of order: everything that happens in a simulation is a task or a timer of its loop, which
 * runs in one synchronous call. The same seed gives the same run, task by task.
 */
export class Loop {
  private time = 0
  private timers: Array<Timer> = []
  private readonly tasks: Array<{ readonly process: Process; readonly run: () => void }> = []
  /** What waits until no task is left: a process is not stopped between a check and what it guards. */
  private readonly afterwards: Array<() => void> = []
  private readonly random: PCGRandom

  /** `isShuffled`: of the tasks that are ready any may come next, not the first one. */
  constructor(seed: number, private readonly isShuffled: boolean) {
    this.random = new PCGRandom(seed)
  }

  get now(): number {
    return this.time
  }

  /** A whole number from 0 to below a limit. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.random.integer(limit)
  }

  /** Answers how to cancel it. */
  after(millis: number, fire: () => void): () => void {
    const timer = { at: this.time + Math.max(0, Math.ceil(millis)), fire, isCancelled: false }
    let low = 0
    let high = this.timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      // the latest first, and of two at one time the one that was set first is the last
      if (this.timers[middle]!.at > timer.at) low = middle + 1
      else high = middle
    }
    this.timers.splice(low, 0, timer)
    return () => {
      timer.isCancelled = true
    }
  }

  /** Once nothing is left that is ready to run. */
  afterTasks(run: () => void): void {
    this.afterwards.push(run)
  }

  ready(process: Process, run: () => void): void {
    this.tasks.push({ process, run })
  }

  /** Lets time pass. Whatever is ready runs first. */
  advance(millis: number): void {
    const target = this.time + millis
    this.settle()
    while (true) {
      const timer = this.timers.at(-1)
      if (timer === undefined || timer.at > target) break
      this.timers.pop()
      if (timer.isCancelled) continue
      this.time = Math.max(this.time, timer.at)
      timer.fire()
      this.settle()
    }
    this.time = target
  }

  private settle(): void {
    for (let count = 0;; count++) {
      if (count > tasksPerInstant) throw new Error(`Something spins at ${this.time}`)
      if (this.tasks.length === 0) {
        const next = this.afterwards.shift()
        if (next === undefined) return
        next()
        continue
      }
      const at = this.isShuffled ? this.below(this.tasks.length) : 0
      const [{ process, run }] = this.tasks.splice(at, 1) as [typeof this.tasks[number]]
      if (process.state === "running") run()
      else process.held.push(run)
    }
  }

  readonly clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => this.time,
    unsafeCurrentTimeNanos: () => BigInt(this.time) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => this.time),
    currentTimeNanos: Effect.sync(() => BigInt(this.time) * 1_000_000n),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const millis = Duration.toMillis(duration)
        return Number.isFinite(millis) ? Effect.sync(this.after(millis, () => resume(Effect.void))) : undefined
      })
  }
}

/**
 * A process of the operating system: the fibers that run on it. Frozen (SIGSTOP) it keeps what has become ready until it is
 * continued; dead (SIGKILL) it never does anything again, not even a finalizer.
 */
export class Process implements Scheduler.Scheduler {
  state: "running" | "frozen" | "dead" = "running"
  readonly held: Array<() => void> = []

  /** After so many operations a fiber lets others go first. */
  constructor(private readonly loop: Loop, private readonly operations: number) {}

  shouldYield(fiber: { readonly currentOpCount: number }): number | false {
    return fiber.currentOpCount > this.operations ? 0 : false
  }

  scheduleTask(task: () => void): void {
    this.loop.ready(this, task)
  }

  freeze(): void {
    if (this.state === "running") this.state = "frozen"
  }

  thaw(): void {
    if (this.state === "frozen") this.revive()
  }

  kill(): void {
    this.state = "dead"
  }

  /** For the end of the simulation: what is left of its fibers can be interrupted then. */
  revive(): void {
    this.state = "running"
    for (const run of this.held.splice(0)) this.loop.ready(this, run)
  }
}
