/**
 * How long after its commit an event is with the broker, in one process at half the load that it could bear.
 */
import { Broker } from "@effect-cqrs/core/Broker"
import * as Relay from "@effect-cqrs/core/Relay"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { Server } from "../Database.ts"
import { Run } from "../Run.ts"
import { quantile } from "../Statistics.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Ledger from "./Ledger.ts"
import * as Program from "./Program.ts"
import * as Rooms from "./Rooms.ts"

const concurrency = 16

export const latency = (server: Server): Measurement => ({
  name: `latency ${server.title}`,
  needs: [server.variable],
  rounds: { full: 5, quick: 3 },
  rows: [
    {
      id: `latency-p50/${server.id}`,
      title: "commit to broker at half load, p50, against a transaction by itself",
      unit: "ms",
      subject: { contender: "half load", figure: "p50" },
      twin: { contender: "by itself", figure: "p50" },
      target: { atMost: 5 }
    },
    {
      id: `latency-p99/${server.id}`,
      title: "  p99",
      unit: "ms",
      subject: { contender: "half load", figure: "p99" },
      twin: { contender: "by itself", figure: "p50" },
      target: { atMost: 20 }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count, fault, millis, status } = yield* Run
    const { context } = yield* Program.make(server, concurrency + 4)
    const provide = Effect.provide(context)

    /** Runs with a relay beside it, until the last event is with the broker. */
    const withRelay = <A>(
      use: (commits: Commits) => Effect.Effect<A, unknown, Program.Services>
    ) =>
      Effect.gen(function*() {
        yield* Rooms.reset
        yield* Backlog.clear(server)
        const commits = new Commits()
        const ledger = Ledger.make({
          fault,
          onBatch: (batch) => {
            const now = performance.now()
            for (const message of batch) commits.arrived(message.id, now)
          }
        })
        yield* Layer.build(Layer.fresh(Layer.provide(Relay.layer(), Layer.succeed(Broker, ledger.broker))))
        const result = yield* use(commits)
        yield* commits.all
        yield* ledger.check(commits.count)
        return result
      }).pipe(Effect.scoped, provide)

    const change = (commits: Commits) =>
      Rooms.change(server, {
        events: 1,
        also: ([id]) => Transaction.afterCommit(Effect.sync(() => commits.committed(id!, performance.now())))
      })

    yield* status(`${server.id}: looks for the rate that can be sustained`)
    const [elapsed, most] = yield* Program.timed(
      withRelay((commits) => Effect.as(Rooms.repeat(change(commits), { concurrency, millis: millis(4_000) }), commits))
    )
    const rate = most.count / elapsed * 1000 / 2

    const byItself: Round = withRelay((commits) =>
      Effect.gen(function*() {
        const times: Array<number> = []
        for (let at = 0; at < count(500); at++) times.push((yield* Program.timed(change(commits)))[0])
        return { p50: quantile(times, 0.5) }
      })
    )

    const halfLoad: Round = withRelay((commits) =>
      Effect.gen(function*() {
        const times: Array<number> = []
        const started = performance.now()
        const total = Math.ceil(rate * millis(6_000) / 1000)
        // at its time, whether or not those before it have come to their end
        yield* Effect.forEach(Array.from({ length: total }, (_, at) => at * 1000 / rate), (at) =>
          Effect.zipRight(
            Effect.suspend(() => {
              const wait = started + at - performance.now()
              return wait > 0 ? Effect.sleep(wait) : Effect.void
            }),
            Effect.map(Program.timed(change(commits)), ([took]) => times.push(took))
          ), { concurrency: 4 * concurrency, discard: true })
        yield* commits.all
        return {
          p50: quantile(commits.times, 0.5),
          p99: quantile(commits.times, 0.99),
          transactionP50: quantile(times, 0.5),
          rate
        }
      })
    )

    return { "by itself": byItself, "half load": halfLoad }
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** When each event was committed, and how long after that the broker had it. */
class Commits {
  readonly times: Array<number> = []
  count = 0
  readonly #open = new Map<string, number>()
  readonly #early = new Map<string, number>()

  committed(id: string, at: number): void {
    this.count += 1
    const arrival = this.#early.get(id)
    if (arrival === undefined) this.#open.set(id, at)
    else {
      // it was there before this process had heard of its commit
      this.#early.delete(id)
      this.times.push(Math.max(0, arrival - at))
    }
  }

  arrived(id: string, at: number): void {
    const commit = this.#open.get(id)
    if (commit === undefined) this.#early.set(id, at)
    else {
      this.#open.delete(id)
      this.times.push(at - commit)
    }
  }

  /** Waits until all that is committed is with the broker. */
  readonly all: Effect.Effect<void, Cause.TimeoutException> = Effect.repeat(Effect.sync(() => this.#open.size), {
    until: (open) => open === 0,
    schedule: Schedule.spaced("5 millis")
  }).pipe(Effect.asVoid, Effect.timeout("1 minute"))
}
