/**
 * Records what a program did: events added to the outbox and what became of them, events emitted, messages published and
 * consumed, requests sent to mocks; each in its order.
 *
 * The layers stand round those of the program, memory or real: what they are given does the work.
 *
 * @since 0.1.0
 */
import { Broker, type Outcome } from "@effect-cqrs/core/Broker"
import type * as Event from "@effect-cqrs/core/Event"
import type { EmissionError } from "@effect-cqrs/core/EventEmitter"
import type { Message } from "@effect-cqrs/core/Message"
import type * as Request from "@effect-cqrs/core/Request"
import * as Serialization from "@effect-cqrs/core/Serialization"
import * as Subscribers from "@effect-cqrs/core/Subscribers"
import { Transactor } from "@effect-cqrs/core/Transactor"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import { recordingBroker } from "./internal/recorder/broker.ts"
import { followingConsumers } from "./internal/recorder/consumers.ts"
import { isDeadLetter } from "./internal/recorder/deadLetter.ts"
import { recordingTransactor } from "./internal/recorder/transactor.ts"

/**
 * Something that was done.
 *
 * - `Added`: an event was added to the outbox, and its transaction has committed. In the order of commits.
 * - `RolledBack`: an event was added to the outbox, and is not stored, for its transaction or savepoint was rolled back.
 * - `Emitted`: a domain event has reached its handlers (see {@link layerSubscribers}).
 * - `EmissionFailed`: something became of an emitted event that should not have.
 * - `Published`: the broker was given a message, by a relay (then it has a `sequence`), by `EventEmitter.emit`, or as a dead
 *   letter of a consumer, and has answered.
 * - `Consumed`: a consumer has settled a message, or given it back to be handed out again.
 * - `Sent`: a mocked request was sent.
 *
 * @since 0.1.0
 * @category models
 */
export type Entry = Data.TaggedEnum<{
  Added: { readonly message: Message }
  RolledBack: { readonly message: Message }
  Emitted: { readonly event: Event.Domain }
  EmissionFailed: { readonly error: EmissionError }
  Published: { readonly message: Message; readonly outcome: Outcome }
  Consumed: { readonly group: string; readonly message: Message; readonly how: "settled" | "givenBack" }
  Sent: { readonly request: object }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const Entry = Data.taggedEnum<Entry>()

/**
 * What a consumer has taken and not settled.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held {
  readonly group: string
  readonly message: Message
  /** How often it was handed out before. */
  readonly redeliveries: number
  /** When it was taken, in milliseconds since 1970, by the clock of the test. */
  readonly since: number
}

/**
 * A member of a group of consumers, as the recording broker follows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  /** Takes messages, and is known to wait meanwhile. */
  readonly waiting: <A, E, R>(take: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** It holds a message from now on, until what this answers is called, once. */
  readonly took: (message: Message, redeliveries: number) => Effect.Effect<(how: "settled" | "givenBack") => void>
  readonly left: Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Recorder extends Context.Tag("@effect-cqrs/testing/Recorder")<Recorder, {
  /** All there is, in the order in which it happened. */
  readonly entries: Effect.Effect<ReadonlyArray<Entry>>
  readonly record: (entry: Entry) => Effect.Effect<void>
  /** Begins anew. What consumers hold stays. */
  readonly clear: Effect.Effect<void>
  /** What consumers hold now. */
  readonly held: Effect.Effect<ReadonlyArray<Held>>
  /** Groups of which a member has joined and neither waits for a message nor holds one. */
  readonly absent: Effect.Effect<ReadonlyArray<string>>
  /** A consumer joins a group. */
  readonly join: (group: string) => Effect.Effect<Member>
}>() {}

/**
 * An empty recorder. The layers below need it; provided once to all of them, it is one and the same.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Recorder> = Layer.sync(Recorder, () => {
  const entries: Array<Entry> = []
  const record = (entry: Entry): void => {
    entries.push(entry)
  }
  return {
    entries: Effect.sync(() => [...entries]),
    record: (entry) => Effect.sync(() => record(entry)),
    clear: Effect.sync(() => {
      entries.length = 0
    }),
    ...followingConsumers(record)
  }
})

/**
 * The transactor, with what transactions add to the outbox recorded once it is known what became of it: `Added` or
 * `RolledBack`; neither, if the outcome of the commit is unknown.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTransactor: Layer.Layer<Transactor, never, Transactor | Recorder> = Layer.effect(
  Transactor,
  Effect.zipWith(Transactor, Recorder, recordingTransactor)
)

/**
 * The broker, with what is published and consumed recorded.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerBroker: Layer.Layer<Broker, never, Broker | Recorder> = Layer.effect(
  Broker,
  Effect.zipWith(Broker, Recorder, recordingBroker)
)

/**
 * Answers for domain events, and records each that is dispatched: after the commit of what emitted it, or never. Beside an
 * event's own subscribers, or in their place.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSubscribers = <
  const C extends readonly [Event.ClassOf<Event.Domain>, ...ReadonlyArray<Event.ClassOf<Event.Domain>>]
>(
  ...events: C
): Layer.Layer<{ [I in keyof C]: Subscribers.Subscribers<InstanceType<C[I]>> }[number], never, Recorder> =>
  unsafeCoerce(
    events.map((event) =>
      Subscribers.layer(
        event,
        Effect.map(Recorder, ({ record }) => ({
          recorder: (emitted: Event.Domain) => record(Entry.Emitted({ event: emitted }))
        }))
      )
    ).reduce((all, one) => unsafeCoerce(Layer.merge(all, one)))
  )

/**
 * The events of these classes that were added to the outbox and are committed, in the order of the commits.
 *
 * As all that follow, it leaves out what is of other classes; `Recorder.entries` has everything. Events are read from the
 * messages, as a consumer would: one that cannot be is a defect, with a sentence.
 *
 * @since 0.1.0
 * @category accessors
 */
export const added = <const C extends IntegrationClasses>(...events: C): Effect.Effect<Recorded<C>, never, Recorder> =>
  messages(events, (entry) => entry._tag === "Added")

/**
 * Those that were added to the outbox and rolled back.
 *
 * @since 0.1.0
 * @category accessors
 */
export const rolledBack = <const C extends IntegrationClasses>(
  ...events: C
): Effect.Effect<Recorded<C>, never, Recorder> => messages(events, (entry) => entry._tag === "RolledBack")

/**
 * Those that the broker has taken, each as often as it has.
 *
 * @since 0.1.0
 * @category accessors
 */
export const published = <const C extends IntegrationClasses>(
  ...events: C
): Effect.Effect<Recorded<C>, never, Recorder> =>
  messages(
    events,
    (entry) => entry._tag === "Published" && entry.outcome._tag === "Delivered" && !isDeadLetter(entry.message)
  )

/**
 * The domain events of these classes that were dispatched. {@link layerSubscribers} records them.
 *
 * @since 0.1.0
 * @category accessors
 */
export const emitted = <const C extends NonEmpty<Event.ClassOf<Event.Domain>>>(
  ...events: C
): Effect.Effect<Recorded<C>, never, Recorder> =>
  unsafeCoerce(
    select((entry) =>
      entry._tag === "Emitted" && events.some((event) => entry.event instanceof event) ? [entry.event] : []
    )
  )

/**
 * The requests of these classes that mocks were sent.
 *
 * @since 0.1.0
 * @category accessors
 */
export const sent = <const C extends NonEmpty<Request.AnyClass>>(
  ...requests: C
): Effect.Effect<Recorded<C>, never, Recorder> =>
  unsafeCoerce(
    select((entry) =>
      entry._tag === "Sent" && requests.some((request) => entry.request instanceof request) ? [entry.request] : []
    )
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type NonEmpty<C> = readonly [C, ...ReadonlyArray<C>]

type IntegrationClasses = NonEmpty<Event.ClassOf<Event.Integration>>

type Recorded<C extends ReadonlyArray<new(...args: any) => unknown>> = ReadonlyArray<InstanceType<C[number]>>

const select = <A>(
  pick: (entry: Entry) => ReadonlyArray<A>
): Effect.Effect<ReadonlyArray<A>, never, Recorder> =>
  Effect.flatMap(Recorder, ({ entries }) => Effect.map(entries, (all) => all.flatMap(pick)))

const messages = <C extends IntegrationClasses>(
  events: C,
  isMeant: (entry: Entry) => boolean
): Effect.Effect<Recorded<C>, never, Recorder> => {
  const classes = new Map(events.map((event) => [event.eventName, event]))
  return unsafeCoerce(Effect.flatMap(
    select((entry) => "message" in entry && isMeant(entry) ? [entry.message] : []),
    (found) =>
      Effect.orDie(Effect.forEach(
        found.filter(({ name }) => classes.has(name)),
        (message) => Serialization.decode(classes.get(message.name)!, message)
      ))
  ))
}
