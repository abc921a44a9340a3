import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type { Suspended } from "../../BucketOwner.ts"
import type { Wake } from "../../Wake.ts"
import { backoffAfter } from "../scheduleDelay.ts"
import { SuspensionCounts, wholeBroker } from "./counting.ts"

interface Suspension {
  readonly until: number
  readonly attempts: number
  readonly since: number
  /** Of the last try. */
  readonly reason: string
}

/** What a step of a lane has learned of the broker and its destinations. */
export interface Report {
  readonly brokerOut: string | undefined
  /** Destinations that took nothing, with the reason. */
  readonly out: ReadonlyMap<string, string>
  /** Whether the broker has answered for itself: it took something, or had something against a message or destination. */
  readonly isBrokerWell: boolean
  /** Destinations that took something. */
  readonly well: ReadonlySet<string>
}

/**
 * The broker and the destinations that are out, for all lanes of a relay. When its wait is over what is out is tried again,
 * by one lane at a time and with little; it is well when it takes something.
 */
export class Suspensions {
  private broker: Suspension | undefined
  private readonly destinations = new Map<string, Suspension>()
  /** How often each destination has taken something, of those that lanes have heard of. */
  private readonly taken = new Map<string, number>()
  private trying = false
  private readonly counts = new SuspensionCounts()

  constructor(
    private readonly backoff: Schedule.Schedule<unknown, unknown>,
    /** Raised when something goes out, or is back. */
    private readonly changed: Wake,
    /** Raised when something is back: other lanes may go on then. */
    private readonly recovered: Wake,
    /** Raised when a lane has tried the broker, or had nothing to try it with: for those that came meanwhile. */
    private readonly freed: Wake
  ) {}

  /** What is out now. */
  get all(): ReadonlyArray<Suspended> {
    const of = (topic: string | undefined, { reason, since }: Suspension): Suspended => ({
      topic,
      reason,
      since: DateTime.unsafeMake(since)
    })
    return [
      ...this.broker === undefined ? [] : [of(undefined, this.broker)],
      ...Array.from(this.destinations, ([topic, suspension]) => of(topic, suspension))
    ]
  }

  /** Until when nothing is to be published at all. */
  get brokerUntil(): number | undefined {
    return this.broker?.until
  }

  get brokerOut(): Pick<Suspension, "since" | "reason"> | undefined {
    return this.broker
  }

  get destinationsOut(): ReadonlyArray<readonly [topic: string, Pick<Suspension, "since" | "reason">]> {
    return [...this.destinations]
  }

  isOut(topic: string, now: number): boolean {
    const suspension = this.destinations.get(topic)
    return suspension !== undefined && suspension.until > now
  }

  /** Whether a topic is out, or was and has not taken anything since. */
  isDoubtful(topic: string): boolean {
    return this.destinations.has(topic)
  }

  /** How often a destination has taken something: whether it does while one entry fails is known from this. */
  takings(topic: string): number {
    return this.taken.get(topic) ?? 0
  }

  /** When the next of those that are out is to be tried again, after a time; infinite if none is. */
  nextTrial(after: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const { until } of this.destinations.values()) if (until > after) next = Math.min(next, until)
    return next
  }

  /**
   * Whether a lane may publish: while the broker is `out`, one at a time, once its wait is over; meanwhile it is `taken` for
   * others. Answers what to do when it has.
   */
  enter(now: number): { readonly leave: Effect.Effect<void> } | "out" | "taken" {
    if (this.broker === undefined) return { leave: Effect.void }
    if (this.broker.until > now) return "out"
    if (this.trying) return "taken"
    this.trying = true
    return {
      leave: Effect.zipRight(
        Effect.sync(() => {
          this.trying = false
        }),
        this.freed.signal
      )
    }
  }

  readonly learn = (report: Report): Effect.Effect<void> =>
    Effect.gen(this, function*() {
      if (report.brokerOut !== undefined) {
        const previous = this.broker
        this.broker = yield* this.suspend(previous, report.brokerOut)
        if (previous === undefined) {
          this.counts.out(wholeBroker)
          yield* Effect.logWarning(`The broker is out: ${report.brokerOut}`)
          yield* this.changed.signal
        }
      } else if (this.broker !== undefined && report.isBrokerWell) {
        this.broker = undefined
        this.counts.back(wholeBroker)
        yield* Effect.logInfo("The broker is back")
        yield* this.changed.signal
        yield* this.recovered.signal
      }
      for (const topic of report.well) {
        this.taken.set(topic, this.takings(topic) + 1)
        if (!report.out.has(topic) && this.destinations.delete(topic)) {
          this.counts.back(topic)
          yield* Effect.logInfo(`The destination ${topic} is back`)
          yield* this.changed.signal
          yield* this.recovered.signal
        }
      }
      for (const [topic, reason] of report.out) {
        const previous = this.destinations.get(topic)
        this.destinations.set(topic, yield* this.suspend(previous, reason))
        if (previous !== undefined) continue
        this.counts.out(topic)
        yield* Effect.logWarning(`The destination ${topic} is out: ${reason}`)
        yield* this.changed.signal
      }
    })

  /** The relay has ended: nothing is suspended by it any more. */
  end(): void {
    this.counts.end()
  }

  private suspend(previous: Suspension | undefined, reason: string): Effect.Effect<Suspension> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      // another lane was under way when it went out: that is no further try
      if (previous !== undefined && previous.until > now) return Effect.succeed(previous)
      const attempts = (previous?.attempts ?? 0) + 1
      return Effect.map(
        backoffAfter(this.backoff, attempts),
        // whole milliseconds, as the clock has them: a fraction left over would be waited for again and again
        (delay) => ({
          until: now + Math.ceil(Duration.toMillis(delay)),
          attempts,
          since: previous?.since ?? now,
          reason
        })
      )
    })
  }
}
