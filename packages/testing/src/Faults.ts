/**
 * A broker that fails when a test says so: out, out for a topic, refusing an event, or losing its acknowledgements.
 *
 * @since 0.1.0
 */
import { Broker, Outcome } from "@effect-cqrs/core/Broker"
import type * as Event from "@effect-cqrs/core/Event"
import type { Message } from "@effect-cqrs/core/Message"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { faultyBroker } from "./internal/faultyBroker.ts"

/**
 * What goes wrong with a message: the broker does not get it, and answers with `outcome`; or it gets it, and its answer is lost.
 * `undefined`: nothing goes wrong.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = (message: Message) => {
  readonly outcome: Outcome
  readonly arrives: boolean
} | undefined

/**
 * The faults that are there now, asked in the order in which they came.
 *
 * @since 0.1.0
 * @category tags
 */
export class Faults extends Context.Tag("@effect-cqrs/testing/Faults")<Faults, {
  readonly add: (fault: Fault) => Effect.Effect<void>
  /** Ends all of them. */
  readonly clear: Effect.Effect<void>
  readonly of: Fault
}>() {}

/**
 * The broker, well until {@link out} and its like are called.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Broker | Faults, never, Broker> = Layer.effectContext(Effect.map(Broker, (broker) => {
  const all: Array<Fault> = []
  const faults = Faults.of({
    add: (fault) => Effect.sync(() => void all.push(fault)),
    clear: Effect.sync(() => {
      all.length = 0
    }),
    of: (message) => {
      for (const fault of all) {
        const found = fault(message)
        if (found !== undefined) return found
      }
    }
  })
  return Context.make(Faults, faults).pipe(Context.add(Broker, faultyBroker(broker, faults.of)))
}))

/**
 * The broker takes nothing. What has been consumed stays with its consumers.
 *
 * @example
 * ```ts
 * import { Faults, Quiescence, Testbed } from "@effect-cqrs/testing"
 * import { Effect } from "effect"
 *
 * export const outage = Effect.gen(function*() {
 *   yield* Faults.out()
 *   // what is announced now waits in the outbox
 *   yield* Faults.recover
 *   yield* Quiescence.settle()
 * }).pipe(Effect.provide(Testbed.layerRunning()))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const out = (reason = "the test says that the broker is out"): Effect.Effect<void, never, Faults> =>
  add(() => ({ outcome: Outcome.Retriable({ scope: "broker", reason }), arrives: false }))

/**
 * One topic takes nothing, as where it is missing.
 *
 * @since 0.1.0
 * @category combinators
 */
export const outOf = (
  topic: string,
  reason = `the test says that the topic ${topic} is out`
): Effect.Effect<void, never, Faults> =>
  add((message) =>
    message.topic === topic
      ? { outcome: Outcome.Retriable({ scope: "destination", reason }), arrives: false }
      : undefined
  )

/**
 * The broker refuses an event, by its class or by its message: a verdict, which counts as an attempt.
 *
 * @since 0.1.0
 * @category combinators
 */
export const reject = (
  what: Event.ClassOf<Event.Integration> | { readonly where: (message: Message) => boolean },
  reason = "the test says that it is refused"
): Effect.Effect<void, never, Faults> =>
  add((message) => isMeant(what, message) ? { outcome: Outcome.Rejected({ reason }), arrives: false } : undefined)

/**
 * The broker takes an event and its acknowledgement is lost, as often as said (once): it is published again, and consumers get
 * it twice.
 *
 * @since 0.1.0
 * @category combinators
 */
export const loseAcknowledgement = (
  what: Event.ClassOf<Event.Integration> | { readonly where: (message: Message) => boolean },
  options?: { readonly times?: number | undefined } | undefined
): Effect.Effect<void, never, Faults> =>
  Effect.suspend(() => {
    let left = options?.times ?? 1
    return add((message) => {
      if (left <= 0 || !isMeant(what, message)) return undefined
      left -= 1
      const reason = "the test says that the acknowledgement is lost"
      return { outcome: Outcome.Retriable({ scope: "destination", reason }), arrives: true }
    })
  })

/**
 * The broker is well again. Relays find out when their pause is over.
 *
 * @since 0.1.0
 * @category combinators
 */
export const recover: Effect.Effect<void, never, Faults> = Effect.flatMap(Faults, ({ clear }) => clear)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const add = (fault: Fault): Effect.Effect<void, never, Faults> => Effect.flatMap(Faults, (faults) => faults.add(fault))

const isMeant = (
  what: Event.ClassOf<Event.Integration> | { readonly where: (message: Message) => boolean },
  message: Message
): boolean => "where" in what ? what.where(message) : message.name === what.eventName
