/**
 * What a program promises to others: the events that it announces and reads, its requests, and what leads to what.
 *
 * @since 0.1.0
 */
import type * as Consumer from "@effect-cqrs/core/Consumer"
import type * as Event from "@effect-cqrs/core/Event"
import type * as Request from "@effect-cqrs/core/Request"
import * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { keyOf } from "./internal/key.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~@effect-cqrs/contracts/Contract"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * The class of an event that leaves the process, by what a contract reads of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventClass extends Event.ClassOf<Event.Integration> {
  readonly kind: "notification" | "ecst"
  readonly topic: string
  readonly version: number
  readonly fields: Schema.Struct.Fields
  readonly partitionKey: (event: any) => string | undefined
  readonly upcasts: ReadonlyArray<{ readonly version: number; readonly payload: Schema.Struct.Fields }>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RequestClass extends Request.AnyClass {
  readonly kind: "command" | "query"
  readonly fields: Schema.Struct.Fields
  readonly success: Schema.Schema.All
  readonly failure: Schema.Schema.All
}

/**
 * A request, and what its handler announces.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handled {
  readonly request: RequestClass
  /** To the outbox. */
  readonly adds: ReadonlyArray<EventClass>
  /** Through the `EventEmitter`: domain events, and those that leave the process as best effort. */
  readonly emits: ReadonlyArray<Event.ClassOf<Event.Any>>
}

/**
 * An event that leaves or enters the process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Announced {
  readonly event: EventClass
  readonly announced: boolean
  readonly consumed: boolean
  /**
   * The partition key in terms of the payload's fields, `{roomId}`; `undefined` if it is computed in a way that does not
   * show, `null` if there is none.
   */
  readonly key: string | null | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Consuming {
  readonly group: string
  readonly events: ReadonlyArray<EventClass>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Contract {
  readonly [TypeId]: TypeId
  readonly title: string
  readonly version: string
  readonly description: string | undefined
  /** By name, each once. */
  readonly events: ReadonlyArray<Announced>
  readonly handlers: ReadonlyArray<Handled>
  readonly consumers: ReadonlyArray<Consuming>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly title: string
  /** Of the contract, as its owners count: `1.4.0`. */
  readonly version: string
  readonly description?: string | undefined
  /** The requests with what their handlers announce (see {@link handler}). */
  readonly handlers?: ReadonlyArray<Handled> | undefined
  /** Events that something else in the program announces, as a timer does. */
  readonly announces?: ReadonlyArray<Event.ClassOf<Event.Integration>> | undefined
  /** The consumers: the same options that their layers have been given. */
  readonly consumers?: ReadonlyArray<ConsumerOptions> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ConsumerOptions extends Consumer.Options<ReadonlyArray<Event.ClassOf<Event.Integration>>, boolean> {}

/**
 * - `NoJsonSchema`: a field has no form in JSON Schema: the sentence says which, and what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContractError extends Schema.TaggedError<ContractError>("@effect-cqrs/contracts/ContractError")(
  "ContractError",
  { reason: Schema.Literal("NoJsonSchema"), message: Schema.String }
) {}

/**
 * Declares what a request's handler announces. The compiler checks that it is of a kind that can be: a query adds
 * nothing to the outbox, and a domain event does not go there.
 *
 * Whether the handler announces these and no others is nothing that its type says: `Outbox.add` asks for a transaction,
 * whatever the event. Compare with what a test has recorded: {@link undeclared}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const handler = <
  Req extends Request.Any,
  const Adds extends ReadonlyArray<Event.ClassOf<Event.Integration>> = [],
  const Emits extends ReadonlyArray<Event.ClassOf<Event.Any>> = []
>(
  request: Request.ClassOf<Req>,
  announces?: {
    readonly adds?: (Adds & Addable<Req, Adds>) | undefined
    readonly emits?: Emits | undefined
  }
): Handled => ({
  request: request as unknown as RequestClass,
  adds: classes(announces?.adds ?? []),
  emits: announces?.emits ?? []
})

/**
 * Puts a contract together. Throws a sentence if two events, two requests or two consumers have one name.
 *
 * @example
 * ```ts
 * import { Contract } from "@effect-cqrs/contracts"
 * import { Command, Event } from "@effect-cqrs/core"
 * import { Schema } from "effect"
 *
 * class CloseRoom extends Command.make<CloseRoom>()("CloseRoom", { payload: { roomId: Schema.String } }) {}
 *
 * class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
 *   topic: "rooms",
 *   payload: { roomId: Schema.String },
 *   key: (event) => event.roomId
 * }) {}
 *
 * export default Contract.make({
 *   title: "Rooms",
 *   version: "1.0.0",
 *   handlers: [Contract.handler(CloseRoom, { adds: [RoomClosed] })],
 *   consumers: [{ subscription: { group: "audit" }, events: [RoomClosed] }]
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Contract => {
  const handlers = options.handlers ?? []
  const consumers = (options.consumers ?? []).map(({ events, subscription }): Consuming => ({
    group: subscription.group,
    events: classes(events)
  }))
  const announced = new Set([
    ...classes(options.announces ?? []),
    ...handlers.flatMap((
      { adds, emits }
    ) => [...adds, ...classes(emits).filter(({ kind }) => kind !== ("domain" as string))])
  ])
  const consumed = new Set(consumers.flatMap(({ events }) => events))
  const events = [...new Set([...announced, ...consumed])].sort((one, other) => order(one.eventName, other.eventName))
  requireDistinct("event", events.map(({ eventName }) => eventName))
  requireDistinct("request", handlers.map(({ request }) => request.id))
  requireDistinct("consumer", consumers.map(({ group }) => group))
  return {
    [TypeId]: TypeId,
    title: options.title,
    version: options.version,
    description: options.description,
    events: events.map((event) => ({
      event,
      announced: announced.has(event),
      consumed: consumed.has(event),
      key: keyOf(event)
    })),
    handlers,
    consumers
  }
}

/**
 * @since 0.1.0
 * @category guards
 */
export const isContract = (value: unknown): value is Contract => Predicate.hasProperty(value, TypeId)

/**
 * What was announced and is not declared: the names of events that `messages` have, as the outbox holds them after a test
 * has sent `request`, and that its handler is not said to add. Without a request, those that nothing is said to announce.
 *
 * @since 0.1.0
 * @category accessors
 */
export const undeclared = (
  contract: Contract,
  messages: Iterable<{ readonly name: string }>,
  request?: Request.AnyClass
): ReadonlyArray<string> => {
  const declared = new Set(
    request === undefined
      ? contract.events.filter(({ announced }) => announced).map(({ event }) => event.eventName)
      : contract.handlers.filter((one) => one.request === request)
        .flatMap(({ adds, emits }) => [...adds, ...emits].map(({ eventName }) => eventName))
  )
  return [...new Set(Array.from(messages, ({ name }) => name))].filter((name) => !declared.has(name)).sort(order)
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type Addable<Req extends Request.Any, Adds> = Request.Kind<Req> extends "query" ? Adds extends readonly [] ? unknown
  : `The query ${Request.Id<Req>} adds nothing to the outbox: a query does not write`
  : unknown

const classes = (events: ReadonlyArray<Event.ClassOf<Event.Any>>): ReadonlyArray<EventClass> =>
  events as ReadonlyArray<unknown> as ReadonlyArray<EventClass>

const order = (one: string, other: string): number => one < other ? -1 : one > other ? 1 : 0

const requireDistinct = (what: string, names: ReadonlyArray<string>): void => {
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) {
    throw new Cause.IllegalArgumentException(`Two ${what}s of one contract are named ${twice}: name each once`)
  }
}
