/** How each kind of fault is done, and taken back. */
import { Transaction, type Transactor } from "@effect-cqrs/core"
import type { SqlClient } from "@effect/sql"
import { Clock, Effect } from "effect"
import { accounts, idle } from "./Domain.ts"
import { eventually } from "./Eventually.ts"
import type { Fleet, Slot } from "./Fleet.ts"
import type { Struck } from "./History.ts"
import type { Kind } from "./Kinds.ts"
import type { Planned } from "./Plan.ts"
import type { BrokerServer, DatabaseServer } from "./servers/Server.ts"
import { timing } from "./Setting.ts"
import * as Truth from "./Truth.ts"

export interface World {
  readonly database: DatabaseServer
  readonly broker: BrokerServer
  readonly fleet: Fleet
}

/** What is known afterwards, beside when it was. */
type More = Partial<Pick<Struck, "takenOver" | "buckets" | "from">>

type Do = (
  world: World,
  planned: Planned
) => Effect.Effect<More | void, unknown, SqlClient.SqlClient | Transactor.Transactor>

/** Does it, takes it back, and says when that was; what could not be done says why. */
export const strike = (world: World, number: number, planned: Planned) =>
  Effect.gen(function*() {
    const { kind, target, way } = planned
    const from = yield* Clock.currentTimeMillis
    const done = yield* Effect.either(Effect.suspend(() => ways[kind](world, planned)))
    const to = yield* Clock.currentTimeMillis
    const struck: Struck = {
      number,
      kind,
      target,
      way,
      from,
      to,
      ...(done._tag === "Left" ? { refused: String(done.left) } : done.right)
    }
    return struck
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Waits for the one that comes after this generation. */
const successor = (slot: Slot, generation: number) =>
  eventually(
    `the next ${slot.name} is ready`,
    Effect.sync(() => slot.generation() > generation && slot.isReady()),
    "60 seconds"
  )

const end = (signal: "SIGKILL" | "SIGTERM"): Do => ({ fleet }, { target }) =>
  Effect.gen(function*() {
    const slot = fleet.slot(target)
    const generation = slot.generation()
    const buckets = slot.buckets()
    const from = yield* Clock.currentTimeMillis
    slot.signal(signal)
    const isTaken = () => {
      const held = new Set(
        fleet.slots.flatMap((one) => one === slot && one.generation() === generation ? [] : one.buckets())
      )
      return buckets.every((bucket) => held.has(bucket))
    }
    const takenOver = slot.role !== "relay" || buckets.length === 0
      ? Effect.succeed({})
      : Effect.sync(isTaken).pipe(
        Effect.zipLeft(Effect.sleep("20 millis")),
        Effect.repeat({ until: (is) => is }),
        Effect.zipRight(Clock.currentTimeMillis),
        Effect.timeoutOption("60 seconds"),
        Effect.map((at) => ({
          from,
          buckets: buckets.length,
          ...(at._tag === "Some" ? { takenOver: at.value } : {})
        }))
      )
    const [more] = yield* Effect.all([takenOver, successor(slot, generation)], { concurrency: "unbounded" })
    return more
  })

const stop: Do = ({ fleet }, { lasts, target }) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const slot = fleet.slot(target)
      slot.signal("SIGSTOP")
      return slot
    }),
    () => Effect.sleep(lasts),
    (slot) => Effect.sync(() => slot.signal("SIGCONT"))
  )

const proxyOf = ({ fleet }: World, { target, way }: Planned) =>
  way === "database" ? fleet.slot(target).database : fleet.slot(target).broker

/** A transaction of the harness's own. */
const committed = <E>(effect: Effect.Effect<unknown, E, SqlClient.SqlClient | Transaction.Transaction>) =>
  Effect.asVoid(Transaction.run(effect))

const announce = (kind: "poison" | "deadly"): Do => (_, { at }) =>
  // any of them, and the same one for the same plan
  committed(Truth.raise(accounts[Math.round(at) % accounts.length]!, kind))

const ways: Readonly<Record<Kind, Do>> = {
  "kill-relay": end("SIGKILL"),
  "end-relay": end("SIGTERM"),
  "kill-consumer": end("SIGKILL"),
  "kill-writer": end("SIGKILL"),
  "stop-relay": stop,
  "stop-consumer": stop,
  "restart-database": ({ database }, { way }) => database.restart(way === "killed" ? "killed" : "stopped"),
  "restart-broker": ({ broker }, { way }) => broker.restart(way === "killed" ? "killed" : "stopped"),
  "cut": (world, planned) =>
    Effect.suspend(() => {
      const proxy = proxyOf(world, planned)
      return Effect.ensuring(Effect.zipRight(proxy.cut, Effect.sleep(planned.lasts)), proxy.restore)
    }),
  "half-open": (world, planned) =>
    Effect.suspend(() => {
      const proxy = proxyOf(world, planned)
      // no driver of a database limits how long it waits for an answer: the network comes back with resets
      const healed = planned.way === "database" ? Effect.zipRight(proxy.cut, proxy.restore) : proxy.restore
      return Effect.ensuring(Effect.zipRight(proxy.stall, Effect.sleep(planned.lasts)), healed)
    }),
  "idle-transaction": (_, { lasts }) =>
    // the database holds it up once more, when its event is stored and not committed
    committed(Effect.zipRight(Truth.raise(idle, "late"), Effect.sleep(lasts - timing.uncommitted))),
  "exhaust-pool": ({ fleet }, { lasts, target }) =>
    Effect.suspend(() => {
      fleet.slot(target).tell({ _tag: "Exhaust", millis: lasts })
      return Effect.sleep(lasts)
    }),
  "remove-topic": ({ broker }, { lasts }) =>
    Effect.zipRight(broker.remove, Effect.ensuring(Effect.sleep(lasts), Effect.ignoreLogged(broker.restore))),
  "poison-event": announce("poison"),
  "deadly-message": announce("deadly")
}

/** How long all faults together may take to be over after the last one has begun. */
export const longest = timing.lease * 5 + 60_000
