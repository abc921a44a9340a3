/**
 * A broker that takes everything at once, and knows of each key what has to come next.
 */
import { Broker, Outcome } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import * as Effect from "effect/Effect"
import { type Fault, WrongResult } from "../Run.ts"

export interface Options {
  /** The events of a key carry 0, 1, 2, … and begin again after so many; they never do unless given. */
  readonly versions?: number | undefined
  /** Whether others take some: what comes first of a key may be any, and what follows may leave some out. */
  readonly among?: boolean | undefined
  /** How many it takes; after that it is out, until this says more. */
  readonly capacity?: (() => number) | undefined
  /** Loses, swaps or repeats what comes in the place of the tenth message. */
  readonly fault?: Fault | undefined
  /** Called with what it takes of a batch, before that is acknowledged. */
  readonly onBatch?: ((batch: ReadonlyArray<Message>) => void) | undefined
}

export interface Ledger {
  readonly broker: Broker["Type"]
  readonly taken: () => number
  /** Fails if there was anything but the next of its key, or if not as many came as should have. */
  readonly check: (count: number) => Effect.Effect<void, WrongResult>
}

export const make = (options: Options): Ledger => {
  const { among = false, capacity = () => Infinity, fault, onBatch, versions = Infinity } = options
  const next = new Map<string, number>()
  let taken = 0
  let first: string | undefined

  const take = (message: Message) => {
    const key = message.key ?? ""
    const version = versionOf(message.payload)
    const wanted = next.get(key) ?? 0
    if (among ? version < wanted : version !== wanted) {
      first ??= `of ${key} came ${version} where ${wanted} should have come, at the ${taken + 1}th message`
    }
    next.set(key, version + 1 === versions ? 0 : version + 1)
    taken += 1
  }

  const takeAll = (batch: ReadonlyArray<Message>) => {
    if (fault === undefined || taken > faultAt || taken + batch.length <= faultAt) return batch.forEach(take)
    const at = faultAt - taken
    // in the place of one message: none, another one of its key before it, or it and it again
    const other = batch.findIndex((message, index) => index > at && message.key === batch[at]!.key)
    batch.forEach((message, index) => {
      if (fault === "drop" && index === at) return
      if (fault === "swap" && index === at && other > at) return take(batch[other]!)
      if (fault === "swap" && index === other) return take(batch[at]!)
      if (fault === "repeat" && index === at) take(message)
      take(message)
    })
  }

  return {
    broker: Broker.of({
      publish: (batch) =>
        Effect.sync(() => {
          const fitting = batch.slice(0, Math.max(0, capacity() - taken))
          takeAll(fitting)
          onBatch?.(fitting)
          return batch.map((_, index) => index < fitting.length ? delivered : out)
        }),
      consume: () => Effect.dieMessage("Nobody consumes here"),
      sift: () => Effect.dieMessage("Nobody consumes here")
    }),
    taken: () => taken,
    check: (count) =>
      Effect.suspend(() =>
        first !== undefined
          ? Effect.fail(new WrongResult({ message: `Lost, repeated or out of order: ${first}` }))
          : taken !== count
          ? Effect.fail(new WrongResult({ message: `${taken} events came of ${count}` }))
          : Effect.void
      )
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const faultAt = 10

const delivered = Outcome.Delivered()

const out = Outcome.Retriable({ scope: "broker", reason: "It has what it was to have" })

const prefix = "{\"version\":"

/** Read from the bytes: parsing each payload as a whole would be a part of what is measured. */
const versionOf = (payload: Uint8Array): number => {
  let version = 0
  for (let at = prefix.length; at < payload.length; at++) {
    const digit = payload[at]! - 48
    if (digit < 0 || digit > 9) break
    version = version * 10 + digit
  }
  return version
}
