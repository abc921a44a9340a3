/** Runs orders through the whole: handler, transaction, outbox, relay, broker, consumers; then judges by the ledger. */
import { Mediator, OutboxStorage, Relay, Transaction } from "@effect-cqrs/core"
import { Clock, Effect, Either, Ref, Stream } from "effect"
import type { Malformed, Order } from "./Input.ts"
import { Ledger } from "./Ledger.ts"

export interface Counts {
  readonly succeeded: number
  readonly refused: number
  readonly rolledBack: number
  readonly malformed: number
}

export interface Report {
  readonly commands: number
  readonly succeeded: number
  readonly refused: number
  readonly rolledBack: number
  readonly malformed: number
  readonly eventsCommitted: number
  readonly eventsDelivered: number
  readonly duplicates: number
  readonly lost: number
  readonly phantom: number
  readonly outOfOrder: number
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number }
}

/** Fails after the handler has succeeded: everything it wrote and announced is rolled back with the outer transaction. */
const handle = ({ request, rollback }: Order): Effect.Effect<keyof Counts, Transaction.TransactionError, Services> => {
  const sent = Effect.matchEffect(Mediator.send(request), {
    onSuccess: () => Effect.succeed("succeeded" as const),
    onFailure: (error) => error._tag === "TransactionError" ? Effect.fail(error) : Effect.succeed("refused" as const)
  })
  return rollback
    ? Transaction.run(Effect.filterOrFail(sent, (outcome) => outcome === "refused", () => "rolledBack" as const)).pipe(
      Effect.catchAll((error) => error === "rolledBack" ? Effect.succeed(error) : Effect.fail(error))
    )
    : sent
}

type Services =
  | Effect.Effect.Context<ReturnType<typeof Mediator.send<Order["request"]>>>
  | Effect.Effect.Context<
    ReturnType<typeof Transaction.run<never, never, never>>
  >

/** Waits until every committed event has arrived, or nothing has happened for ten seconds. */
export const quiescence = <E, R>(onwards: Effect.Effect<void, E, R>) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    const ledger = yield* Ledger
    let seen = -1
    let since = yield* Clock.currentTimeMillis
    while (true) {
      yield* onwards
      const { pending } = yield* storage.statistics
      const { delivered, lost } = yield* ledger.judge
      const now = yield* Clock.currentTimeMillis
      if (pending === 0 && lost === 0) return
      if (delivered !== seen) since = now
      seen = delivered
      if (now - since > 10_000) return
      yield* Effect.sleep("50 millis")
    }
  })

const percentile = (ascending: ReadonlyArray<number>, p: number): number =>
  Math.round((ascending[Math.ceil(ascending.length * p) - 1] ?? 0) * 1000) / 1000

/**
 * Embedded SQLite never waits, so timers, signals and the relay would have no turn: a server lets go of the event loop
 * between requests, and so does this. `Effect.yieldNow` would not do: its fibers come back before any timer or signal.
 */
const letOthersRun = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/** Handles the orders, one after the other. */
export const write = <E, R>(
  orders: Stream.Stream<Either.Either<Order, Malformed>, E, R>,
  options: {
    readonly counts: Ref.Ref<Counts>
    readonly onMalformed: (malformed: Malformed) => Effect.Effect<void>
  }
) => {
  const count = (what: keyof Counts) =>
    Ref.update(options.counts, (counts) => ({ ...counts, [what]: counts[what] + 1 }))
  return Stream.runForEach(orders, (order) =>
    Effect.zipRight(
      letOthersRun,
      Either.isLeft(order)
        ? Effect.zipRight(options.onMalformed(order.left), count("malformed"))
        : Effect.flatMap(handle(order.right), count)
    ))
}

/** What the ledger says when it is all over. */
export const report = (counts: Counts) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger
    const { committed, delivered, duplicates, lost, outOfOrder, phantom } = yield* ledger.judge
    const latencies = yield* ledger.latencies
    const { malformed, refused, rolledBack, succeeded } = counts
    return {
      commands: succeeded + refused + rolledBack,
      succeeded,
      refused,
      rolledBack,
      malformed,
      eventsCommitted: committed,
      eventsDelivered: delivered,
      duplicates,
      lost,
      phantom,
      outOfOrder,
      latencyMs: {
        p50: percentile(latencies, 0.5),
        p95: percentile(latencies, 0.95),
        p99: percentile(latencies, 0.99)
      }
    } satisfies Report
  })

/** All of it in this process. */
export const run = <E, R>(
  orders: Stream.Stream<Either.Either<Order, Malformed>, E, R>,
  options: Parameters<typeof write>[1]
) =>
  Effect.gen(function*() {
    yield* write(orders, options)
    yield* quiescence(Effect.flatMap(Relay.Relay, (relay) => relay.drain))
    return yield* report(yield* options.counts)
  })

/** Nothing lost, nothing from a rolled-back transaction, nothing out of order. */
export const isSound = (report: Report): boolean => report.lost === 0 && report.phantom === 0 && report.outOfOrder === 0
