/** A run from its servers to its history. */
import { DeadLetters, OutboxStorage, type Transactor } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import type { SqlClient } from "@effect/sql"
import { Clock, Effect, Fiber, Layer, Schedule, type Scope } from "effect"
import { mkdirSync, rmSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { check, type Verdict } from "./Checker.ts"
import { eventually } from "./Eventually.ts"
import { longest, strike, type World } from "./Faults.ts"
import * as Fleet from "./Fleet.ts"
import * as History from "./History.ts"
import type { Kind } from "./Kinds.ts"
import { plan, type Planned } from "./Plan.ts"
import { Database } from "./programs/Parts.ts"
import { kafka } from "./servers/Kafka.ts"
import { mariadb } from "./servers/MariaDb.ts"
import { postgres } from "./servers/Postgres.ts"
import { rabbitmq } from "./servers/RabbitMq.ts"
import { buckets } from "./Setting.ts"
import * as Truth from "./Truth.ts"

export interface Options extends History.Asked {
  readonly kinds: ReadonlyArray<Kind>
}

/** How far a run is. */
export interface Progress {
  readonly elapsed: number
  readonly committed: number
  readonly delivered: number
  readonly applied: number
  readonly pending: number
  readonly faults: number
  readonly fleet: Fleet.Fleet
  /** What is being done. */
  readonly now: ReadonlyArray<string>
}

/** Who is told what happens. */
export interface View {
  /** Something that happened once. */
  readonly say: (text: string) => Effect.Effect<void>
  readonly show: (progress: Progress) => Effect.Effect<void>
}

export interface Result {
  readonly history: History.History
  readonly verdict: Verdict
  /** Where the history is, if it was kept. */
  readonly kept: string | undefined
}

const databases = { mariadb, postgres }
const brokers = { kafka, rabbitmq }

export const run = (options: Options, view: View): Effect.Effect<Result, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = folderOf(options, yield* Clock.currentTimeMillis)
    yield* view.say(`starts ${options.database} and ${options.broker}`)
    const [database, broker] = yield* Effect.all([databases[options.database], brokers[options.broker]], {
      concurrency: "unbounded"
    })
    const services = yield* Layer.build(
      DeadLetters.layer.pipe(
        Layer.provideMerge(SqlStorage.layer({ migrate: true, buckets })),
        Layer.provideMerge(Database({ kind: options.database, url: database.urlAt(database.port) }, 10))
      )
    )
    return yield* Effect.provide(onServers(options, view, folder, { database, broker }), services)
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type Services =
  | SqlClient.SqlClient
  | OutboxStorage.OutboxStorage
  | DeadLetters.DeadLetters
  | Transactor.Transactor

const root = fileURLToPath(new URL("../../../.cache/chaos", import.meta.url))

const folderOf = ({ broker, database, seed }: Options, now: number): string => {
  const folder = path.join(root, `${database}-${broker}-${seed}-${now.toString(36)}`)
  mkdirSync(folder, { recursive: true })
  return folder
}

const onServers = (
  options: Options,
  view: View,
  folder: string,
  { broker, database }: Pick<World, "broker" | "database">
): Effect.Effect<Result, unknown, Services | Scope.Scope> =>
  Effect.gen(function*() {
    yield* Truth.create
    const context = yield* Effect.context<never>()
    const saying = (text: string) => Effect.runFork(Effect.provide(view.say(text), context))
    const fleet = yield* Fleet.make({
      database: { ...database, kind: options.database },
      broker: { ...broker, kind: options.broker },
      seed: options.seed,
      folder,
      onExit: (process, how) => saying(`${process} ended: ${how}`)
    })
    const world: World = { database, broker, fleet }
    yield* view.say("starts the processes")
    yield* fleet.ready
    const letters = yield* burying
    const faults: Array<History.Struck> = []
    const now = new Map<number, string>()
    const began = yield* Clock.currentTimeMillis
    yield* showing(view, { world, began, faults, now })
    const unended = yield* doing(view, options, { world, faults, now, began })

    yield* view.say("no more faults: the writers end, and all is to come to rest")
    const unrest = [
      ...unended,
      ...yield* complaint(fleet.rest),
      ...yield* complaint(resting(world))
    ]
    yield* view.say("reads what the topics took")
    const truth = yield* Truth.read
    const history: History.History = {
      asked: options,
      faults,
      ledger: truth.ledger,
      accounts: truth.accounts,
      delivered: yield* broker.read,
      applied: truth.effects,
      deadLetters: [
        ...[...letters].map(([id, reason]) => ({ id, reason, where: "outbox" as const })),
        ...(yield* broker.deadLetters).map((one) => ({ ...one, where: "consumer" as const }))
      ],
      attempts: truth.attempts,
      exits: fleet.exits,
      unrest
    }
    const verdict = check(history)
    if (verdict.violations.length === 0) {
      rmSync(folder, { recursive: true, force: true })
      return { history, verdict, kept: undefined }
    }
    const kept = path.join(folder, "history.jsonl")
    yield* History.write(kept, history)
    return { history, verdict, kept }
  })

const complaint = <E, R>(effect: Effect.Effect<void, E, R>): Effect.Effect<ReadonlyArray<string>, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => [error instanceof Error ? error.message : String(error)],
    onSuccess: () => []
  })

/** Does what is planned, one thing beside the other, and waits until all of it is over; answers what does not end. */
const doing = (
  view: View,
  options: Options,
  { began, faults, now, world }: {
    readonly world: World
    readonly faults: Array<History.Struck>
    readonly now: Map<number, string>
    readonly began: number
  }
) =>
  Effect.gen(function*() {
    const one = (planned: Planned, number: number) =>
      Effect.gen(function*() {
        const what = `${number} ${planned.kind} ${planned.target} (${planned.way})`
        now.set(number, what)
        yield* view.say(`fault ${what}`)
        const struck = yield* strike(world, number, planned)
        now.delete(number)
        faults.push(struck)
        const end = struck.refused === undefined
          ? `is over after ${((struck.to - struck.from) / 1000).toFixed(1)} s`
          : `could not be done: ${struck.refused}`
        yield* view.say(`  fault ${what} ${end}`)
      })
    const fibers = yield* Effect.forEach(plan(options), (planned, index) =>
      Effect.gen(function*() {
        const elapsed = (yield* Clock.currentTimeMillis) - began
        if (planned.at > elapsed) yield* Effect.sleep(planned.at - elapsed)
        return yield* Effect.fork(one(planned, index + 1))
      }))
    const left = options.minutes * 60_000 - ((yield* Clock.currentTimeMillis) - began)
    if (left > 0) yield* Effect.sleep(left)
    yield* Effect.ignore(Effect.timeout(Fiber.awaitAll(fibers), longest))
    yield* Fiber.interruptAll(fibers)
    return [...now.values()].map((what) => `The fault ${what} does not come to its end`)
  })

/** Notes dead letters, and gives them up, so that their keys go on. */
const burying = Effect.gen(function*() {
  const letters = yield* DeadLetters.DeadLetters
  const found = new Map<string, string>()
  const step = Effect.gen(function*() {
    const dead = yield* letters.list()
    for (const { message, reason } of dead) found.set(message.id, reason)
    if (dead.length > 0) yield* letters.discard({ sequences: dead.map(({ sequence }) => sequence) })
  })
  yield* Effect.forkScoped(
    Effect.repeat(Effect.ignore(Effect.timeout(step, "5 seconds")), Schedule.spaced("500 millis"))
  )
  return found
})

/** Until nothing is pending and the consumers have all that there is. */
const resting = ({ broker }: World) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    let pending = -1
    let lag = -1
    const isAtRest = Effect.gen(function*() {
      const found = yield* storage.statistics
      pending = found.pending
      lag = yield* broker.lag
      return pending === 0 && found.dead === 0 && lag === 0
    })
    yield* Effect.mapError(
      eventually("all is at rest", isAtRest, "2 minutes"),
      ({ message }) => `${message}: ${pending} events are pending, the consumers lag ${lag} behind`
    )
  })

/** Shows how far it is, every second. */
const showing = (
  view: View,
  { began, faults, now, world }: {
    readonly world: World
    readonly began: number
    readonly faults: ReadonlyArray<History.Struck>
    readonly now: ReadonlyMap<number, string>
  }
) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    let counts = { committed: 0, applied: 0, pending: 0 }
    const look = Effect.gen(function*() {
      const { pending } = yield* storage.statistics
      counts = { ...yield* Truth.counts, pending }
    })
    const step = Effect.gen(function*() {
      yield* Effect.ignore(Effect.timeout(look, "2 seconds"))
      const delivered = yield* world.broker.taken
      const elapsed = (yield* Clock.currentTimeMillis) - began
      yield* view.show({
        ...counts,
        delivered,
        elapsed,
        faults: faults.length,
        fleet: world.fleet,
        now: [...now.values()]
      })
    })
    yield* Effect.forkScoped(Effect.repeat(Effect.ignore(step), Schedule.spaced("1 second")))
  })
