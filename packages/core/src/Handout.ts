/**
 * For adapters of brokers: hands out what was received, so that a key is handled in order whatever the concurrency.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Delivery, Held, Source } from "./Broker.ts"

/**
 * Something received that is not settled yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Item {
  /**
   * What is handed out, read when it is: many may wait here, for long, and what was received is smaller than a delivery.
   * Its `redeliveries` are those that the broker knows of; what is handed out again here is added. If it throws, whoever
   * takes it dies, and it is handed out again.
   */
  readonly deliver: () => Delivery
  /** What is in order: as a rule the topic and the key, as one text. `undefined`: nothing is. */
  readonly lane: string | undefined
  /**
   * Where it came from, as a partition or a channel, an object if it is one: {@link Handout.withdraw} takes it back by this.
   * It is the `origin` of the delivery that is handed out.
   */
  readonly origin: unknown
  /** Called once, when it was handled; never after it was withdrawn. */
  readonly onSettled: () => void
}

/**
 * Received messages by lane. Whoever takes some of a lane is its only taker until they are settled or given back.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handout {
  /** How many are neither settled nor withdrawn. */
  readonly size: () => number
  /** How many were handed out and have not ended, those that were withdrawn meanwhile among them. */
  readonly out: () => number
  /** While it is held, nothing more is handed out; what is out can be settled. */
  readonly hold: (isHeld: boolean) => void
  /** Puts one behind the others of its lane. */
  readonly offer: (item: Item) => void
  /**
   * Takes back whatever came from an origin, handed out or not: it is nobody's to settle any more, and what its takers do
   * with it means nothing. Lanes go on with what else they hold.
   */
  readonly withdraw: (origin: unknown) => void
  /**
   * A view for one member of a group. When its scope closes, what it has out is given back, to be handed out again.
   */
  readonly join: Effect.Effect<Source, never, Scope.Scope>
  /**
   * Takes, without waiting, all that is there and not out. Each is settled or given back by {@link Taken.end}; a lane is
   * handed out again when all that was taken of it has ended.
   */
  readonly takeAll: () => ReadonlyArray<Taken>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Taken {
  readonly delivery: Delivery
  /** `settled`: it was handled. `failed`: it is handed out again, and counts one redelivery more. `kept`: it does not. */
  readonly end: (how: "settled" | "failed" | "kept") => void
}

/**
 * An empty one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): Handout => {
  const lanes = new Set<Lane>()
  const named = new Map<string, Lane>()
  const ready = new Ready()
  /** Those who wait for one. Each lane that becomes ready wakes one of them: it takes what is there, or wakes another. */
  const waiting = new Set<() => void>()
  let size = 0
  let out = 0
  let isHeld = false

  const makeReady = (lane: Lane): void => {
    ready.push(lane)
    wake(1)
  }

  const wake = (most: number): void => {
    if (isHeld) return
    for (const one of waiting) {
      if (most-- <= 0) break
      waiting.delete(one)
      one()
    }
  }

  const untilReady = Effect.async<void>((resume) => {
    const woken = () => resume(Effect.void)
    if (ready.size > 0 && !isHeld) return woken()
    waiting.add(woken)
    return Effect.sync(() => waiting.delete(woken))
  })

  /** Interrupted, it may have been woken in vain. */
  const passOn = Effect.sync(() => {
    if (ready.size > 0) wake(1)
  })

  const laneOf = (name: string | undefined): Lane => {
    const known = name === undefined ? undefined : named.get(name)
    if (known !== undefined) return known
    const lane = new Lane(name)
    lanes.add(lane)
    if (name !== undefined) named.set(name, lane)
    return lane
  }

  /** Nothing of it is out: it has something to hand out, or is forgotten. */
  const reopen = (lane: Lane): void => {
    if (lane.length > 0) return makeReady(lane)
    lanes.delete(lane)
    if (lane.name !== undefined) named.delete(lane.name)
  }

  const grab = (limit: number): Array<Slot> => {
    const taken: Array<Slot> = []
    if (isHeld) return taken
    while (taken.length < limit) {
      const lane = ready.shift()
      if (lane === undefined) break
      lane.take(limit - taken.length, taken)
    }
    out += taken.length
    return taken
  }

  const end = (slot: Slot, how: How): void => {
    if (!slot.isOut) return
    slot.isOut = false
    out -= 1
    if (!slot.isGone) {
      if (how === "settled") {
        slot.isGone = true
        size -= 1
        slot.item.onSettled()
      } else if (how === "failed") slot.failures += 1
    }
    if (slot.lane.end()) reopen(slot.lane)
  }

  /** Waits and then takes, in two steps: an interruption of the wait has nothing in hand that could be lost. */
  const takeSlots = (limit: number, restore: Restore): Effect.Effect<ReadonlyArray<Slot>> =>
    Effect.suspend(() => {
      const taken = grab(limit)
      return taken.length > 0
        ? Effect.succeed(taken)
        : Effect.zipRight(Effect.onInterrupt(restore(untilReady), () => passOn), takeSlots(limit, restore))
    })

  return {
    size: () => size,
    out: () => out,
    hold: (held) => {
      isHeld = held
      wake(ready.size)
    },
    offer: (item) => {
      size += 1
      const lane = laneOf(item.lane)
      lane.push({ item, lane, failures: 0, isOut: false, isGone: false })
      if (!lane.isOut && lane.length === 1) makeReady(lane)
    },
    withdraw: (origin) => {
      for (const lane of [...lanes]) {
        const gone = lane.withdraw(origin)
        size -= gone
        if (gone === 0 || lane.isOut || lane.length > 0) continue
        ready.remove(lane)
        reopen(lane)
      }
    },
    join: Effect.gen(function*() {
      const out = new Set<(exit: Exit.Exit<unknown, unknown>) => void>()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const close of [...out]) close(left)
        })
      )
      const takeMany = (limit: number) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(takeSlots(limit, restore), (slots) => {
            const close = (exit: Exit.Exit<unknown, unknown>) => {
              if (!out.delete(close)) return
              const how = Exit.isSuccess(exit) ? "settled" : "failed"
              for (const slot of slots) end(slot, how)
            }
            out.add(close)
            const settle = (slot: Slot) => {
              if (out.has(close)) end(slot, "settled")
            }
            return Effect.flatMap(
              Effect.scope,
              (scope) =>
                Effect.map(
                  Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => close(exit))),
                  // not before: what cannot be read is given back
                  () => slots.map((slot) => heldOf(slot, settle))
                )
            )
          })
        )
      return {
        take: Effect.map(takeMany(1), (held) => held[0]!),
        takeMany
      } satisfies Source
    }),
    takeAll: () =>
      grab(Number.POSITIVE_INFINITY).map((slot) => {
        let hasEnded = false
        return {
          get delivery() {
            return deliveryOf(slot)
          },
          end: (how) => {
            if (hasEnded) return
            hasEnded = true
            end(slot, how)
          }
        }
      })
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type How = "settled" | "failed" | "kept"

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Slot {
  readonly item: Item
  readonly lane: Lane
  failures: number
  /** Somebody has it, and has not said how it ended. */
  isOut: boolean
  /** Settled or withdrawn. */
  isGone: boolean
}

/** A queue of which the first ones may be out, until all of these have ended. */
class Lane {
  private slots: Array<Slot> = []
  private head = 0
  private taken = 0
  private open = 0
  isReady = false
  /** Something behind those that are out was withdrawn. */
  private hasHoles = false

  constructor(readonly name: string | undefined) {}

  get isOut(): boolean {
    return this.open > 0
  }

  get length(): number {
    return this.slots.length - this.head
  }

  push(slot: Slot): void {
    this.slots.push(slot)
  }

  take(limit: number, into: Array<Slot>): void {
    const end = Math.min(this.slots.length, this.head + limit)
    for (let i = this.head; i < end; i++) {
      const slot = this.slots[i]!
      slot.isOut = true
      into.push(slot)
    }
    this.taken = this.open = end - this.head
  }

  /** One that was out has ended. Answers whether it was the last: those that are not gone are first again then. */
  end(): boolean {
    this.open -= 1
    if (this.open > 0) return false
    const next = this.head + this.taken
    let first = next
    for (let i = next - 1; i >= this.head; i--) {
      const slot = this.slots[i]!
      if (!slot.isGone) this.slots[--first] = slot
    }
    this.head = first
    this.taken = 0
    if (this.hasHoles) this.compact()
    else if (this.head === this.slots.length || this.head > 1024 && this.head * 2 > this.slots.length) {
      this.slots = this.slots.slice(this.head)
      this.head = 0
    }
    return true
  }

  withdraw(origin: unknown): number {
    let gone = 0
    for (let i = this.head; i < this.slots.length; i++) {
      const slot = this.slots[i]!
      if (slot.isGone || slot.item.origin !== origin) continue
      slot.isGone = true
      gone += 1
    }
    if (gone === 0) return 0
    if (this.isOut) this.hasHoles = true
    else this.compact()
    return gone
  }

  private compact(): void {
    this.slots = this.slots.slice(this.head).filter((slot) => !slot.isGone)
    this.head = 0
    this.hasHoles = false
  }
}

/**
 * Lanes with something to hand out and nothing out, first come first served. Not a Set: to find the first of one is to go
 * past all that was deleted before it.
 */
class Ready {
  size = 0
  private lanes: Array<Lane> = []
  private head = 0

  push(lane: Lane): void {
    if (lane.isReady) return
    lane.isReady = true
    this.lanes.push(lane)
    this.size += 1
  }

  shift(): Lane | undefined {
    while (this.head < this.lanes.length) {
      const lane = this.lanes[this.head++]!
      if (this.head > 1024 && this.head * 2 > this.lanes.length) {
        this.lanes = this.lanes.slice(this.head)
        this.head = 0
      }
      if (lane.isReady) {
        this.remove(lane)
        return lane
      }
    }
    this.lanes = []
    this.head = 0
    return undefined
  }

  /** Its place is skipped when its turn comes. */
  remove(lane: Lane): void {
    if (!lane.isReady) return
    lane.isReady = false
    this.size -= 1
  }
}

const deliveryOf = ({ failures, item }: Slot): Delivery => {
  const delivery = item.deliver()
  return failures === 0 ? delivery : { ...delivery, redeliveries: delivery.redeliveries + failures }
}

const heldOf = (slot: Slot, settle: (slot: Slot) => void): Held => {
  const delivery = slot.item.deliver()
  return {
    message: delivery.message,
    unreadable: delivery.unreadable,
    isTombstone: delivery.isTombstone,
    redeliveries: delivery.redeliveries + slot.failures,
    origin: slot.item.origin,
    forward: delivery.forward,
    settle: Effect.sync(() => settle(slot))
  }
}

const left = Exit.fail("The member has left its group")
