import { FastCheck } from "effect"
import type { Nature } from "./history.ts"

/** Topics, and keys or none; dead letters of the one topic halt their keys, those of the other do not. */
export const places: ReadonlyArray<{ readonly topic: string; readonly key: string | undefined }> = [
  "k0",
  "k1",
  "k2",
  undefined
].flatMap((key) => [{ topic: "halting", key }, { topic: "skipping", key }])

export const skipping = ["skipping"]

/** Processes with a relay each, at most. */
const maxRelays = 3

/** By how many milliseconds a step takes longer to arrive, to take effect (a statement waits for a lock), to be answered. */
interface Delays {
  readonly late: number
  readonly held: number
  readonly slow: number
}

/**
 * What happens at a step of a relay: a statement, or a publish.
 *
 * - `delay`: it takes longer.
 * - `fails`: it is answered with a failure. It has no effect, or has it nevertheless, later perhaps: its outcome is unknown.
 *   Of a publish a part may arrive.
 * - `freeze`: it is sent, takes its time, and its process stops for a while.
 * - `crash`: it is sent, takes its time, and its process dies; what was sent arrives, or does not.
 */
export type StepFault =
  & { readonly delays: Delays }
  & (
    | { readonly _tag: "delay" }
    | { readonly _tag: "fails"; readonly effect: "none" | "part" | "all" }
    | { readonly _tag: "freeze"; readonly millis: number }
    | { readonly _tag: "crash"; readonly arrives: boolean }
  )

const stepKinds = ["read", "settle", "lease", "publish"] as const

export type StepKind = typeof stepKinds[number]

export type Operation =
  | {
    readonly _tag: "write"
    readonly events: ReadonlyArray<{ readonly place: number; readonly nature: Nature }>
    /** How long the transaction is open. */
    readonly millis: number
    readonly rollsBack: boolean
    /** The process that it commits in, and whose relay it wakes, if there is one. */
    readonly slot: number | undefined
  }
  | { readonly _tag: "pass"; readonly millis: number }
  /** The next but so many steps of a kind meet a fault. */
  | {
    readonly _tag: "step"
    readonly slot: number
    readonly kind: StepKind
    readonly skip: number
    readonly fault: StepFault
  }
  | { readonly _tag: "kill"; readonly slot: number; readonly arrives: boolean; readonly down: number }
  | { readonly _tag: "freeze"; readonly slot: number; readonly millis: number }
  | { readonly _tag: "restart"; readonly slot: number }
  | { readonly _tag: "broker"; readonly state: "out" | "hangs"; readonly millis: number }
  | { readonly _tag: "outage"; readonly place: number; readonly of: "topic" | "key"; readonly millis: number }
  | {
    readonly _tag: "redrive" | "discard"
    readonly nth: number
    readonly healed: boolean
    readonly slot: number | undefined
  }

/** All that is not the relay's own doing: with the same schedule the same happens. */
export interface Schedule {
  /** Of the latencies, and of the order of what is ready at one time if it is `isShuffled`. */
  readonly seed: number
  readonly isShuffled: boolean
  /** After so many operations a fiber lets others go first. */
  readonly operations: number
  readonly relays: number
  readonly lanes: number
  readonly batchSize: number
  readonly poll: number
  readonly isKept: boolean
  readonly steps: ReadonlyArray<Operation>
}

const { array, boolean, constant, constantFrom, integer, nat, oneof, option, record } = FastCheck

const tagged = <T extends string>(_tag: T) => constant(_tag)

const slot = nat(maxRelays - 1)

const someSlot = option(slot, { nil: undefined, freq: 4 })

const nature: FastCheck.Arbitrary<Nature> = oneof(
  { weight: 24, arbitrary: record({ _tag: tagged("well") }) },
  { weight: 3, arbitrary: record({ _tag: tagged("rejected"), times: constantFrom(1, 2, Infinity) }) },
  { weight: 1, arbitrary: record({ _tag: constantFrom("lone" as const, "culprit" as const) }) },
  { weight: 1, arbitrary: record({ _tag: tagged("malformed") }) },
  { weight: 1, arbitrary: record({ _tag: tagged("killer") }) }
)

const place = nat(places.length - 1)

/** Up to what no lease survives. */
const long = oneof(integer({ min: 200, max: 5000 }), integer({ min: 2500, max: 5000 }))

const prompt = { late: 0, held: 0, slow: 0 }

const one = (name: keyof Delays, millis: FastCheck.Arbitrary<number>): FastCheck.Arbitrary<Delays> =>
  millis.map((value) => ({ ...prompt, [name]: value }))

const delays = oneof(one("late", long), one("held", long), one("slow", long))

const someDelays = oneof(constant(prompt), delays)

const fault: FastCheck.Arbitrary<StepFault> = oneof(
  record({ _tag: tagged("delay"), delays }),
  record({
    _tag: tagged("fails"),
    effect: constantFrom("none" as const, "part" as const, "all" as const),
    delays: oneof(constant(prompt), one("late", integer({ min: 1, max: 1500 })))
  }),
  record({ _tag: tagged("freeze"), millis: long, delays: someDelays }),
  record({ _tag: tagged("crash"), arrives: oneof(constant(true), boolean()), delays: someDelays })
)

const write: FastCheck.Arbitrary<Operation> = record({
  _tag: tagged("write"),
  events: array(record({ place, nature }), { minLength: 1, maxLength: 4 }),
  millis: oneof({ weight: 3, arbitrary: nat(20) }, { weight: 1, arbitrary: long }),
  rollsBack: oneof({ weight: 5, arbitrary: constant(false) }, { weight: 1, arbitrary: constant(true) }),
  slot: someSlot
})

/** One of many, with nothing peculiar about it. */
const plainWrite: FastCheck.Arbitrary<Operation> = record({
  _tag: tagged("write"),
  events: array(record({ place, nature: record({ _tag: tagged("well") }) }), { minLength: 1, maxLength: 4 }),
  millis: nat(20),
  rollsBack: constant(false),
  slot
})

const pass: FastCheck.Arbitrary<Operation> = record({
  _tag: tagged("pass"),
  millis: oneof(integer({ min: 1, max: 30 }), integer({ min: 1, max: 4000 }))
})

const operation: FastCheck.Arbitrary<Operation> = oneof(
  { weight: 8, arbitrary: write },
  { weight: 6, arbitrary: pass },
  {
    weight: 14,
    arbitrary: record({
      _tag: tagged("step"),
      slot,
      kind: oneof(
        { weight: 3, arbitrary: constant<StepKind>("settle") },
        { weight: 2, arbitrary: constant<StepKind>("publish") },
        { weight: 4, arbitrary: constantFrom(...stepKinds) }
      ),
      skip: oneof(constant(0), nat(3)),
      fault
    })
  },
  { weight: 1, arbitrary: record({ _tag: tagged("kill"), slot, arrives: boolean(), down: nat(3000) }) },
  { weight: 1, arbitrary: record({ _tag: tagged("freeze"), slot, millis: long }) },
  { weight: 1, arbitrary: record({ _tag: tagged("restart"), slot }) },
  {
    weight: 1,
    arbitrary: record({ _tag: tagged("broker"), state: constantFrom("out" as const, "hangs" as const), millis: long })
  },
  {
    weight: 1,
    arbitrary: record({
      _tag: tagged("outage"),
      place,
      of: constantFrom("topic" as const, "key" as const),
      millis: long
    })
  },
  {
    weight: 4,
    arbitrary: record({
      _tag: constantFrom("redrive" as const, "discard" as const),
      nth: nat(3),
      healed: boolean(),
      slot: someSlot
    })
  }
)

/** Once all have come, and have their shares. */
const settled = (
  steps: ReadonlyArray<Operation>
): ReadonlyArray<Operation> => [{ _tag: "pass", millis: 4000 }, ...steps]

export const schedule: FastCheck.Arbitrary<Schedule> = record({
  seed: nat(),
  isShuffled: boolean(),
  operations: constantFrom(2048, 30),
  relays: integer({ min: 1, max: maxRelays }),
  lanes: integer({ min: 1, max: 2 }),
  batchSize: constantFrom(1, 2, 3, 8),
  poll: constantFrom(500, 32_000),
  isKept: oneof({ weight: 4, arbitrary: constant(false) }, { weight: 1, arbitrary: constant(true) }),
  steps: oneof(
    { weight: 4, arbitrary: array(operation, { minLength: 1, maxLength: 24, size: "max" }) },
    // nothing goes wrong, and what is to happen at once does
    {
      weight: 1,
      arbitrary: array(oneof(plainWrite, write, pass), { minLength: 1, maxLength: 16, size: "max" }).map(settled)
    }
  )
})
