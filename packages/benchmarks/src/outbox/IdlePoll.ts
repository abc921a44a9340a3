/**
 * What a step of the relay costs that finds nothing: in an empty outbox, after a million was delivered, beside a key
 * that is halted.
 */
import { Broker, Outcome } from "@effect-cqrs/core/Broker"
import * as Relay from "@effect-cqrs/core/Relay"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schedule from "effect/Schedule"
import type { Server } from "../Database.ts"
import { Run } from "../Run.ts"
import { quantile } from "../Statistics.ts"
import type { Measurement, Round } from "../Suite.ts"
import * as Backlog from "./Backlog.ts"
import * as Ledger from "./Ledger.ts"
import * as Program from "./Program.ts"

export const idlePoll = (server: Server): Measurement => ({
  name: `idle poll ${server.title}`,
  needs: [server.variable],
  rounds: { full: 15, quick: 9 },
  rows: [
    {
      id: `idle-delivered/${server.id}`,
      title: "a poll after 1,000,000 were delivered, against an empty outbox",
      unit: "ms",
      subject: { contender: "delivered", figure: "p50" },
      twin: { contender: "empty", figure: "p50" }
    },
    {
      id: `idle-halted/${server.id}`,
      title: "  with 200,000 pending behind a halted key",
      unit: "ms",
      subject: { contender: "halted", figure: "p50" },
      twin: { contender: "empty", figure: "p50" }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count, fault, status } = yield* Run

    const polls = (relay: Effect.Effect.Success<ReturnType<typeof Program.relay>>): Round =>
      Effect.gen(function*() {
        const times: Array<number> = []
        // what it learns of a backlog that waits takes effect after 2 seconds: until then each poll scans it
        yield* relay.tick
        yield* Effect.sleep("2500 millis")
        for (let at = 0; at < 50; at++) {
          const [millis, { read }] = yield* Program.timed(relay.tick)
          if (read > 0) return yield* Effect.dieMessage(`An idle relay has read ${read} entries`)
          times.push(millis)
        }
        return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
      })

    const empty = Effect.gen(function*() {
      const { context } = yield* Program.make(server, 4)
      return polls(yield* Effect.provide(Program.relay(Ledger.make({})), context))
    })

    const delivered = Effect.gen(function*() {
      const { context } = yield* Program.make(server, 4)
      return yield* Effect.gen(function*() {
        const backlog = yield* Backlog.make(server, "bench_delivered", { count: count(100_000), keys: 1000 })
        const total = yield* Backlog.fill(server, backlog, 10)
        const ledger = Ledger.make({ versions: backlog.versions, fault })
        const relay = yield* Program.relay(ledger)
        yield* status(`${server.id}: delivers ${total} events`)
        yield* relay.drain
        yield* ledger.check(total)
        // as autovacuum does where it is on
        yield* server.rest("cqrs_outbox")
        return polls(relay)
      }).pipe(Effect.provide(context))
    })

    const halted = Effect.gen(function*() {
      const { context } = yield* Program.make(server, 4)
      return yield* Effect.gen(function*() {
        const backlog = yield* Backlog.make(server, "bench_halted", { count: count(100_000), keys: 1 })
        const total = yield* Backlog.fill(server, backlog, 2)
        const relay = yield* Effect.provideService(
          Relay.make({ retry: Schedule.recurs(0), exhausted: "halt" }),
          Broker,
          rejecting
        )
        // the dead letter is what this is about, and nobody needs to hear of it
        yield* Logger.withMinimumLogLevel(relay.drain, LogLevel.None)
        yield* Backlog.left(total)
        return polls(relay)
      }).pipe(Effect.provide(context))
    })

    return { empty: yield* empty, delivered: yield* delivered, halted: yield* halted }
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Refuses the first of each batch; what comes behind it is of the same key, and held back. */
const rejecting = Broker.of({
  publish: (batch) =>
    Effect.succeed(batch.map((_, at) =>
      at === 0
        ? Outcome.Rejected({ reason: "It is refused" })
        : Outcome.Retriable({ scope: "destination", reason: "It comes behind one that is refused" })
    )),
  consume: () => Effect.dieMessage("Nobody consumes here"),
  sift: () => Effect.dieMessage("Nobody consumes here")
})
